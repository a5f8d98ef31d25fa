"""Single flight: of all who want a value that is not there, one loads it and the others wait.

```
join --> leads? --yes--> load --> complete(data) ---------------> all who wait get data
           |               +----> fail(error) --first-----> one who waits leads the next flight
           no                            +-----second----> all who wait get the error
           +--> wait(flight)
```

A flight is made first and joins then, under a `Finally` that ends it: whatever is raised in the one who leads it, nobody waits for what never comes. All
that ends a flight can be done again wherever it was left.
"""

import asyncio
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias, final
from weakref import ref

from tiercel.cache.leases import Lease, Leases
from tiercel.cache.tiers import Key

__all__ = ["Failed", "Flight", "HandedOver", "Loaded", "SingleFlight", "Uncached"]


class Uncached(NamedTuple):
    """A value that has no form for a tier: all who wait for it get this very object."""

    value: Any


# What a flight brings: a value as tiers keep it, from which each who waits makes one of their own.
Loaded: TypeAlias = bytes | Uncached


class Failed(NamedTuple):
    """What comes of a flight that brings nothing."""

    error: BaseException


class HandedOver(Exception):  # noqa: N818
    """The flight that one waited for has failed for the first time."""


_HANDED_OVER: Final = Failed(HandedOver())


@final
class Flight:
    """A value that is being loaded, or is going to be."""

    def __init__(
        self, key: Key, name: bytes, version: tuple[int, int], begun: int, tags: tuple[str, ...], *, is_retry: bool
    ) -> None:
        self.key = key
        self.name = name
        self.lease = Lease(name)
        self.epoch, self.turn = version
        self.begun = begun
        self.started = monotonic()
        self.tags = tags
        self.is_retry = is_retry
        """Whether it takes up one that failed."""
        self.table: SingleFlight | None = None
        self.successor: Flight | None = None
        self.outcome: Loaded | Failed | None = None
        self.wakers: dict[object, Callable[[], object]] = {}
        """How each who waits is woken. Waking somebody again does nothing."""
        self.waits_for: dict[object, Flight] = {}
        """What the loader waits for at the moment."""
        self.refreshes = False
        """Whether it loads anew what is given meanwhile."""
        self.is_completing = False
        """Whether a thread keeps what an event loop has loaded: then nobody else ends it."""
        self._loop: ref[asyncio.AbstractEventLoop] | None = None

    @property
    def is_done(self) -> bool:
        """Whether something has come of it."""
        return self.outcome is not None

    def belongs_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """It is loaded on an event loop, and ends with that."""
        self._loop = ref(loop)

    @property
    def may_be_orphaned(self) -> bool:
        """Whether it can come to be lost."""
        return self._loop is not None

    @property
    def is_orphaned(self) -> bool:
        """Whether nothing will come of it, for its event loop was closed."""
        if self.is_done or self.is_completing or self._loop is None:
            return False
        loop = self._loop()
        return loop is None or loop.is_closed()

    def result(self) -> Loaded:
        """What it brought; raises what it failed with, `HandedOver` if that is to be tried again."""
        if isinstance(self.outcome, Failed):
            raise self.outcome.error
        if self.outcome is None:
            raise AssertionError("a flight is over before it is asked for what it brought")
        return self.outcome


@final
class SingleFlight:
    """The flights of a cache, one a key."""

    def __init__(self, leases: Leases) -> None:
        self._lock = threading.Lock()
        self._leases = leases
        self._flights: dict[bytes, Flight] = {}

    def join(self, new: Flight, may_join: Callable[[Flight], bool]) -> Flight:
        """The flight of a key: the new one, which the caller must then land or crash, or the one that is there.

        A flight that began before its key was written, or invalidated, is not joined: what it brings is outdated.
        """
        with self._lock:
            there = self._flights.get(new.name)
            if there is not None and self._is_joined(there, may_join):
                return there
            self._begin(new)
        if there is not None and there.is_orphaned:
            self.end(there)
        return new

    def take_over(self, failed: Flight, new: Flight, may_join: Callable[[Flight], bool]) -> Flight:
        """The flight that takes up one that failed, the new one or another: all who waited for the one wait for the other."""
        with self._lock:
            if failed.successor is None:
                there = self._flights.get(new.name)
                if there is None or not self._is_joined(there, may_join):
                    self._begin(new)
                    there = new
                failed.successor = there
            return failed.successor

    def _is_joined(self, there: Flight, may_join: Callable[[Flight], bool]) -> bool:
        return not there.lease.revoked and not there.is_done and not there.is_orphaned and may_join(there)

    def _begin(self, new: Flight) -> None:
        new.table = self
        self._leases.begin(new.lease)
        self._flights[new.name] = new

    def complete(self, flight: Flight, loaded: Loaded) -> None:
        """Hand out what was loaded."""
        if flight.outcome is None:
            flight.outcome = loaded
        self.end(flight)

    def fail(self, flight: Flight, error: BaseException) -> None:
        """Hand out that it failed: one who waits tries once more, after a second failure nobody does."""
        if flight.outcome is None:
            hand_over = not flight.is_retry or not isinstance(error, Exception)
            flight.outcome = _HANDED_OVER if hand_over else Failed(error)
        self.end(flight)

    def end(self, flight: Flight) -> bool:
        """Nobody leads it any more; tells whether that leaves it to one of those who wait."""
        is_left = flight.outcome is None
        if is_left:
            flight.outcome = _HANDED_OVER
        self.abandon(flight)
        for wake in list(flight.wakers.values()):
            wake()
        # First nobody joins it any more, and then nobody asks whether it is outdated.
        self._leases.end(flight.lease)
        return is_left

    def abandon(self, flight: Flight) -> None:
        """Whoever comes now loads anew."""
        with self._lock:
            if self._flights.get(flight.name) is flight:
                del self._flights[flight.name]

    def after_fork(self, leases: Leases) -> None:
        """Go on in a forked process, where nobody lands what flew."""
        self._lock, self._leases, self._flights = threading.Lock(), leases, {}
