"""Single flight: of all who want a value that is not there, one loads it and the others wait.

```
join --> leads? --yes--> load --> land(data) ---------------> all who wait get data
           |               +----> crash(error) --first-----> one who waits leads the next flight
           no                            +-----second----> all who wait get the error
           +--> wait(flight)
```
"""

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TypeAlias, final

from tiercel.cache.watches import Watch
from tiercel.errors import RecursiveLoadError

__all__ = ["Crashed", "Flight", "Flights", "Landed", "Unkept"]

# What whoever runs here is loading, of any cache.
_LOADING: Final[ContextVar[frozenset["Flight"]]] = ContextVar("loading", default=frozenset())


class Unkept(NamedTuple):
    """A value that has no form for a tier: all who wait for it get this very object."""

    value: Any


# What a flight brings: a value as tiers keep it, from which each who waits makes one of their own.
Landed: TypeAlias = bytes | Unkept


class Crashed(Exception):  # noqa: N818
    """The flight that one waited for has failed for the first time."""


@final
class Flight:
    """A value that is being loaded."""

    def __init__(
        self, watch: Watch, epoch: int, turn: int, begun: int, tags: tuple[str, ...], *, is_second: bool
    ) -> None:
        self.name = watch.name
        self.watch = watch
        self.table: Flights | None = None
        self.epoch = epoch
        self.turn = turn
        self.begun = begun
        self.tags = tags
        self.is_second = is_second
        """Whether it takes up one that crashed."""
        self.heir: Flight | None = None
        self.landed: Future[Landed] = Future()


class Flights:
    """The flights of a cache, one a key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[bytes, Flight] = {}

    def join(self, new: Flight, is_valid: Callable[[Flight], bool]) -> tuple[Flight, bool]:
        """The flight of a key, and whether it is the new one, which the caller must then land or crash.

        A flight that began before its key was written, or invalidated, is not joined: what it brings is outdated.
        """
        if any(flight.name == new.name and self._flies(flight) for flight in _LOADING.get()):
            raise RecursiveLoadError("loader: asks the cache for the key that it is to load")
        new.table = self
        with self._lock:
            there = self._flights.get(new.name)
            if there is not None and not there.watch.crossed and is_valid(there):
                return there, False
            self._flights[new.name] = new
            return new, True

    def take_up(self, crashed: Flight, new: Flight, is_valid: Callable[[Flight], bool]) -> tuple[Flight, bool]:
        """The flight that takes up one that crashed, and whether it is the new one: all who waited for the one wait for the other."""
        with self._lock:
            if crashed.heir is None:
                there = self._flights.get(new.name)
                if there is None or there.watch.crossed or not is_valid(there):
                    there = self._flights[new.name] = new
                crashed.heir = there
            return crashed.heir, crashed.heir is new

    def _flies(self, flight: Flight) -> bool:
        return flight.table is self and not flight.landed.done()

    @contextmanager
    def loading(self, flights: Iterable[Flight]) -> Generator[None]:
        """Mark what runs here as the loader of these flights."""
        token = _LOADING.set(_LOADING.get() | set(flights))
        try:
            yield
        finally:
            _LOADING.reset(token)

    def land(self, flight: Flight, landed: Landed) -> None:
        """Hand out what was loaded."""
        self.abandon(flight)
        flight.landed.set_result(landed)

    def crash(self, flight: Flight, error: BaseException) -> None:
        """Hand out that it failed: one who waits tries once more, after a second failure nobody does."""
        self.abandon(flight)
        hand_over = not flight.is_second or not isinstance(error, Exception)
        if isinstance(error, StopIteration):
            # No future takes one, for it would end whoever waits as if that had returned.
            error = RuntimeError(f"loader: raised {error!r}")
        flight.landed.set_exception(Crashed() if hand_over else error)

    def renew(self) -> None:
        """Go on in a forked process, where nobody lands what flew."""
        self._lock = threading.Lock()
        self._flights = {}

    def abandon(self, flight: Flight) -> None:
        """Whoever comes now loads anew."""
        with self._lock:
            if self._flights.get(flight.name) is flight:
                del self._flights[flight.name]
