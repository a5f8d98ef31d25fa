"""Single flight of loads: one of the callers that miss a key loads it, and the others wait.

```
join --> leads? --yes--> load --> complete(data) --------> all waiting callers get the data
           |               +----> fail(error) ---first---> one waiting caller takes over
           no                            +-------second--> all waiting callers get the error
           +--> wait for the flight
```
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias, final
from weakref import ref

from tiercel.cache.keys import Key
from tiercel.cache.leases import Lease, Leases
from tiercel.single_flight import Flight, SingleFlight

__all__ = ["Failed", "HandedOver", "LoadFlight", "LoadFlights", "Loaded", "Uncached"]


class Uncached(NamedTuple):
    """A value that the codec cannot encode: all waiting callers get this very object."""

    value: Any


# The result of a flight: an encoded value, from which each waiting caller decodes its own.
Loaded: TypeAlias = bytes | Uncached


class Failed(NamedTuple):
    """The outcome of a flight without a result."""

    error: BaseException


class HandedOver(Exception):  # noqa: N818
    """The flight has failed for the first time, so one of the waiting callers takes over."""


_HANDED_OVER: Final = Failed(HandedOver())


@final
class LoadFlight(Flight[bytes | Uncached | Failed]):
    """A value that is being loaded, or will be."""

    def __init__(
        self, key: Key, name: bytes, version: tuple[int, int], begun: int, tags: tuple[str, ...], *, is_retry: bool
    ) -> None:
        super().__init__(name)
        self.key = key
        self.lease = Lease(name)
        self.epoch, self.turn = version
        self.begun = begun
        self.started = monotonic()
        self.tags = tags
        self.is_retry = is_retry
        """Whether it is the successor of a failed flight."""
        self.table: LoadFlights | None = None
        self.waits_for: dict[object, LoadFlight] = {}
        """The flights that the loader of this one is waiting for."""
        self.refreshes = False
        """Whether it reloads a stale value in the background."""
        self.is_completing = False
        """Whether a thread stores what an event loop has loaded. Then nobody else ends it."""
        self.has_ended = False
        """Whether there is nothing left to do for its end."""
        self._loop: ref[asyncio.AbstractEventLoop] | None = None

    def belongs_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Mark the flight as led on an event loop. It ends when the loop is closed."""
        self._loop = ref(loop)

    @property
    def may_be_orphaned(self) -> bool:
        """Whether it is led on an event loop, which may be closed."""
        return self._loop is not None

    @property
    def is_orphaned(self) -> bool:
        """Whether it has no outcome and will have none, because its event loop was closed."""
        if self.is_done or self.is_completing or self._loop is None:
            return False
        loop = self._loop()
        return loop is None or loop.is_closed()

    def result(self) -> Loaded:
        """Return the result. Raise the error of a failed flight, or `HandedOver` to try again."""
        if isinstance(self.outcome, Failed):
            raise self.outcome.error
        if self.outcome is None:
            raise AssertionError("the result of a flight was read before its end")
        return self.outcome


@final
class LoadFlights(SingleFlight[LoadFlight]):
    """The loads of a cache, at most one per key."""

    def __init__(self, leases: Leases) -> None:
        super().__init__()
        self._leases = leases

    def join(self, new: LoadFlight, may_join: Callable[[LoadFlight], bool]) -> LoadFlight:
        """Return the current flight of a key, or begin the new one, which the caller must complete or fail.

        A flight that began before its key was written or invalidated is not joined, because its result is outdated.
        """
        there = self._flights.get(new.name)
        joined = super().join(new, may_join)
        if joined is new and there is not None and there.is_orphaned:
            self.end(there)
        return joined

    def _join(self, new: LoadFlight, may_join: Callable[[LoadFlight], bool]) -> LoadFlight:
        return super()._join(new, lambda there: not there.lease.revoked and not there.is_orphaned and may_join(there))

    def _begin(self, new: LoadFlight) -> None:
        new.table = self
        self._leases.begin(new.lease)
        super()._begin(new)

    def complete(self, flight: LoadFlight, loaded: Loaded) -> None:
        """End a flight with its result."""
        if flight.outcome is None:
            flight.outcome = loaded
        self.end(flight)

    def fail(self, flight: LoadFlight, error: BaseException) -> None:
        """End a flight with an error: one waiting caller tries again, but nobody after a second failure."""
        if flight.outcome is None:
            hand_over = not flight.is_retry or not isinstance(error, Exception)
            flight.outcome = _HANDED_OVER if hand_over else Failed(error)
        self.end(flight)

    def end(self, flight: LoadFlight) -> bool:
        """End a flight. Return whether it had no outcome, which hands it over to one of the waiting callers."""
        if flight.has_ended:
            return False
        is_handed_over = flight.outcome is None
        if is_handed_over:
            flight.outcome = _HANDED_OVER
        self.remove(flight)
        flight.end(_HANDED_OVER)
        # In this order: its lease may end only after nobody can join the flight any more.
        self._leases.end(flight.lease)
        # Last: what an interruption leaves out is done by the next call.
        flight.has_ended = True
        return is_handed_over
