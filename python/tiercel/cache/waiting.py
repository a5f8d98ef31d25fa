"""Waiting for a flight that another caller leads, without deadlocks between loaders.

A loader may ask a cache for other keys. A flight then waits for others while its loader does, and a
circle of flights would wait forever. Each flight of the waiting caller records what it waits for,
and a wait that would close a circle raises an error instead.

```
loader of a: get_or_load(b) --> waits for the flight of b
                                loader of b: get_or_load(a) --> RecursiveLoadError: 'a' -> 'b' -> 'a'
```
"""

import asyncio
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from time import monotonic
from typing import Final, Protocol, final

from tiercel._core import Finally
from tiercel.cache.single_flight import LoadFlight, LoadFlights
from tiercel.errors import RecursiveLoadError
from tiercel.forks import fork_lock
from tiercel.gate import Gate

__all__ = [
    "LoopWaiter",
    "ThreadWaiter",
    "context_of_nobody",
    "loading",
    "refuse_own",
    "wait_for_flight",
]

# The flights that the current context is loading, of any cache.
_LOADING: Final[ContextVar[frozenset[LoadFlight]]] = ContextVar("loading", default=frozenset())
# Guards which flight waits for which, in all caches.
_WAITS: Final = fork_lock()
# Seconds between checks for a closed event loop of a flight, because nothing reports that.
_CHECK: Final = 0.05


@contextmanager
def loading(flights: Iterable[LoadFlight]) -> Generator[None]:
    """Mark the current context as the loader of these flights."""
    # A mark that an interruption leaves behind is harmless, because its flights are done.
    token = _LOADING.set(_own() | set(flights))
    try:
        yield
    finally:
        # An abandoned coroutine may be closed in another context.
        with suppress(ValueError):
            _LOADING.reset(token)


def context_of_nobody() -> Context:
    """Copy the context of the caller, without the flights that it is loading."""
    context = copy_context()
    context.run(_LOADING.set, frozenset())
    return context


def _own() -> frozenset[LoadFlight]:
    return frozenset(flight for flight in _LOADING.get() if not flight.is_done)


def refuse_own(flights: LoadFlights, name: bytes) -> None:
    """Raise `RecursiveLoadError` if the current context is loading this key."""
    for flight in _LOADING.get():
        if flight.name == name and not flight.is_done and flight.table is flights:
            key = repr(flight.key)
            raise RecursiveLoadError(
                f"loader: asked the cache for {key}, the key it is loading; return the value itself"
            )


class Waiter(Protocol):
    """Waits until another thread wakes it."""

    def wake(self) -> None:
        """Wake it. This may be called from any thread, and more than once."""
        ...

    async def wait(self, seconds: float) -> None:
        """Wait until it is woken, or for this time."""
        ...


@final
class ThreadWaiter:
    """Blocks its thread."""

    def __init__(self) -> None:
        self._gate = Gate()

    def wake(self) -> None:
        """Wake it."""
        self._gate.open()

    async def wait(self, seconds: float) -> None:
        """Wait until it is woken, or for this time."""
        self._gate.wait(seconds)


@final
class LoopWaiter:
    """Suspends its coroutine."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._woken: asyncio.Future[None] = loop.create_future()

    def wake(self) -> None:
        """Wake it."""
        # Nobody waits on a closed loop.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set_woken)

    async def wait(self, seconds: float) -> None:
        """Wait until it is woken, or for this time."""
        await asyncio.wait([self._woken], timeout=seconds)

    def _set_woken(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)


async def wait_for_flight(flights: LoadFlights, flight: LoadFlight, until: float, waiter: Waiter) -> bool:
    """Wait for a flight until a time of the monotonic clock. Return whether it has ended."""
    own = _own()
    with Finally(_leave, flight, own, waiter):
        _enter(flight, own, waiter)
        flight.wakers[waiter] = waiter.wake
        while not flight.is_done:
            left = until - monotonic()
            if left <= 0:
                return False
            await waiter.wait(min(left, _CHECK) if flight.may_be_orphaned else left)
            if flight.is_orphaned:
                flights.end(flight)
    return True


def _enter(flight: LoadFlight, own: frozenset[LoadFlight], waiter: object) -> None:
    if not own:
        return
    with _WAITS:
        circle = _circle(flight, own)
        if not circle:
            for each in own:
                each.waits_for[waiter] = flight
    if circle:
        keys = " -> ".join(repr(each.key) for each in circle)
        raise RecursiveLoadError(f"loader: expected loaders that do not wait for each other, got the circle {keys}")


def _leave(flight: LoadFlight, own: frozenset[LoadFlight], waiter: object) -> None:
    flight.wakers.pop(waiter, None)
    for each in own:
        each.waits_for.pop(waiter, None)


def _circle(flight: LoadFlight, own: frozenset[LoadFlight]) -> Sequence[LoadFlight]:
    """Return the path from a flight of the caller through the one it wants and back, or nothing."""
    paths, seen = [[flight]], {flight}
    while paths:
        path = paths.pop()
        for following in list(path[-1].waits_for.values()):
            if following in own:
                return [following, *path, following]
            if following not in seen and not following.is_done:
                seen.add(following)
                paths.append([*path, following])
    return []
