"""Single flight: of all callers that miss a value, one makes it and the others wait.

A caller creates a flight and joins with it. If `join` returns the same flight, the caller leads: it
makes the value and ends the flight with an outcome. Otherwise it waits for the flight that was
returned. If that one failed, the callers that waited for it try again by `take_over`, and the first
of them leads.

A leader must enter a `Finally` that ends its flight before it joins. So whatever is raised, nobody
waits forever. Everything that ends a flight can be repeated wherever it was interrupted.
"""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from tiercel.forks import call_after_fork, fork_lock
from tiercel.gate import Gate

__all__ = ["Flight", "SingleFlight"]

_Outcome = TypeVar("_Outcome")


class Flight(Generic[_Outcome]):
    """A value that is being made or will be."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.outcome: _Outcome | None = None
        self.successor: Flight[_Outcome] | None = None
        """The next attempt, after this one failed."""
        self.wakers: dict[object, Callable[[], object]] = {}
        """How to wake each waiting caller. Waking one twice is harmless."""

    @property
    def is_done(self) -> bool:
        """Whether there is an outcome."""
        return self.outcome is not None

    def end(self, outcome: _Outcome) -> None:
        """Set the outcome, unless there is one, and wake the waiting callers."""
        if self.outcome is None:
            self.outcome = outcome
        for wake in list(self.wakers.values()):
            wake()

    def wait(self) -> _Outcome:
        """Wait on this thread for the outcome."""
        gate = Gate()
        self.wakers[gate] = gate.open
        while self.outcome is None:
            gate.wait(threading.TIMEOUT_MAX)
        return self.outcome


_Flight = TypeVar("_Flight", bound=Flight[Any])


class SingleFlight(Generic[_Flight]):
    """The current flights, at most one a name."""

    def __init__(self) -> None:
        self._lock = fork_lock()
        self._flights: dict[bytes, _Flight] = {}
        call_after_fork(self)

    def join(self, new: _Flight, may_join: Callable[[_Flight], bool]) -> _Flight:
        """Return the current flight of the name if the caller may join it.

        Otherwise begin the new one and return it.
        """
        with self._lock:
            return self._join(new, may_join)

    def take_over(self, failed: _Flight, new: _Flight, may_join: Callable[[_Flight], bool]) -> _Flight:
        """Return the successor of a failed flight, one for all that waited; if none, begin the new
        one.
        """
        with self._lock:
            return self._take_over(failed, new, may_join)

    def remove(self, flight: _Flight) -> None:
        """Let later callers lead a new flight. Those that wait for this one keep waiting."""
        with self._lock:
            if self._flights.get(flight.name) is flight:
                del self._flights[flight.name]

    def after_fork(self) -> None:
        """Drop the flights of threads that the child does not have."""
        self._flights.clear()

    def _take_over(self, failed: _Flight, new: _Flight, may_join: Callable[[_Flight], bool]) -> _Flight:
        if failed.successor is None:
            failed.successor = self._join(new, may_join)
        return cast("_Flight", failed.successor)

    def _join(self, new: _Flight, may_join: Callable[[_Flight], bool]) -> _Flight:
        there = self._flights.get(new.name)
        if there is not None and not there.is_done and may_join(there):
            return there
        self._begin(new)
        return new

    def _begin(self, new: _Flight) -> None:
        self._flights[new.name] = new
