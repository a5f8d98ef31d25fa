"""Single flight: of all who want a value that is not there, one loads it and the others wait.

```
join --> leads? --yes--> load --> land(data) ---------------> all who wait get data
           |               +----> crash(error) --first-----> one who waits leads the next flight
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

from tiercel.cache.tiers import Key
from tiercel.cache.watches import Watch, Watches

__all__ = ["Crashed", "Failed", "Flight", "Flights", "Landed", "Unkept"]


class Unkept(NamedTuple):
    """A value that has no form for a tier: all who wait for it get this very object."""

    value: Any


# What a flight brings: a value as tiers keep it, from which each who waits makes one of their own.
Landed: TypeAlias = bytes | Unkept


class Failed(NamedTuple):
    """What comes of a flight that brings nothing."""

    error: BaseException


class Crashed(Exception):  # noqa: N818
    """The flight that one waited for has failed for the first time."""


_HANDED_OVER: Final = Failed(Crashed())


@final
class Flight:
    """A value that is being loaded, or is going to be."""

    def __init__(
        self, key: Key, name: bytes, stamp: tuple[int, int], begun: int, tags: tuple[str, ...], *, is_second: bool
    ) -> None:
        self.key = key
        self.name = name
        self.watch = Watch(name)
        self.epoch, self.turn = stamp
        self.begun = begun
        self.born = monotonic()
        self.tags = tags
        self.is_second = is_second
        """Whether it takes up one that crashed."""
        self.table: Flights | None = None
        self.heir: Flight | None = None
        self.outcome: Landed | Failed | None = None
        self.wakers: dict[object, Callable[[], object]] = {}
        """How each who waits is woken. Waking somebody again does nothing."""
        self.waits_for: dict[object, Flight] = {}
        """What the loader waits for at the moment."""
        self.renews = False
        """Whether it loads anew what is given meanwhile."""
        self.is_landing = False
        """Whether a thread keeps what an event loop has loaded: then nobody else ends it."""
        self._loop: ref[asyncio.AbstractEventLoop] | None = None

    @property
    def is_over(self) -> bool:
        """Whether something has come of it."""
        return self.outcome is not None

    def belongs_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """It is loaded on an event loop, and ends with that."""
        self._loop = ref(loop)

    @property
    def may_be_lost(self) -> bool:
        """Whether it can come to be lost."""
        return self._loop is not None

    @property
    def is_lost(self) -> bool:
        """Whether nothing will come of it, for its event loop was closed."""
        if self.is_over or self.is_landing or self._loop is None:
            return False
        loop = self._loop()
        return loop is None or loop.is_closed()

    def result(self) -> Landed:
        """What it brought; raises what it failed with, `Crashed` if that is to be tried again."""
        if isinstance(self.outcome, Failed):
            raise self.outcome.error
        if self.outcome is None:
            raise AssertionError("a flight is over before it is asked for what it brought")
        return self.outcome


@final
class Flights:
    """The flights of a cache, one a key."""

    def __init__(self, watches: Watches) -> None:
        self._lock = threading.Lock()
        self._watches = watches
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
        if there is not None and there.is_lost:
            self.end(there)
        return new

    def take_up(self, crashed: Flight, new: Flight, may_join: Callable[[Flight], bool]) -> Flight:
        """The flight that takes up one that crashed, the new one or another: all who waited for the one wait for the other."""
        with self._lock:
            if crashed.heir is None:
                there = self._flights.get(new.name)
                if there is None or not self._is_joined(there, may_join):
                    self._begin(new)
                    there = new
                crashed.heir = there
            return crashed.heir

    def _is_joined(self, there: Flight, may_join: Callable[[Flight], bool]) -> bool:
        return not there.watch.crossed and not there.is_over and not there.is_lost and may_join(there)

    def _begin(self, new: Flight) -> None:
        new.table = self
        self._watches.begin(new.watch)
        self._flights[new.name] = new

    def land(self, flight: Flight, landed: Landed) -> None:
        """Hand out what was loaded."""
        if flight.outcome is None:
            flight.outcome = landed
        self.end(flight)

    def crash(self, flight: Flight, error: BaseException) -> None:
        """Hand out that it failed: one who waits tries once more, after a second failure nobody does."""
        if flight.outcome is None:
            hand_over = not flight.is_second or not isinstance(error, Exception)
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
        self._watches.end(flight.watch)
        return is_left

    def abandon(self, flight: Flight) -> None:
        """Whoever comes now loads anew."""
        with self._lock:
            if self._flights.get(flight.name) is flight:
                del self._flights[flight.name]

    def renew(self, watches: Watches) -> None:
        """Go on in a forked process, where nobody lands what flew."""
        self._lock, self._watches, self._flights = threading.Lock(), watches, {}
