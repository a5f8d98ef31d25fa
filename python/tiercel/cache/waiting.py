"""How one waits for a flight that another one leads, on a thread or on an event loop, and who must not.

A loader may ask a cache for other keys. So a flight waits for others while its loader does, and a circle of flights would wait for ever: each wait is noted at
the flights of whoever waits, and one that would close a circle raises an error instead.

```
loader of a: get_or_load(b) --> waits for the flight of b
                                loader of b: get_or_load(a) --> RecursiveLoadError: 'a' -> 'b' -> 'a'
```
"""

import asyncio
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from functools import partial
from time import monotonic
from typing import Final

from tiercel._core import Finally
from tiercel.cache.single_flight import Flight, SingleFlight
from tiercel.errors import RecursiveLoadError
from tiercel.forks import fork_lock
from tiercel.gate import Gate

__all__ = ["await_flight", "context_of_nobody", "loading", "refuse_own", "wait_for_flight"]

# What whoever runs here is loading, of any cache.
_LOADING: Final[ContextVar[frozenset[Flight]]] = ContextVar("loading", default=frozenset())
# Of what waits for what, in all caches.
_WAITS: Final = fork_lock()
# Seconds between looks at whether the event loop of a flight is closed, which nobody tells.
_LOOK: Final = 0.05


@contextmanager
def loading(flights: Iterable[Flight]) -> Generator[None]:
    """Mark what runs here as the loader of these flights."""
    # Where an interruption leaves the mark behind, it is of flights that are over.
    token = _LOADING.set(_own() | set(flights))
    try:
        yield
    finally:
        # A coroutine that is thrown away ends in the context of whoever does so.
        with suppress(ValueError):
            _LOADING.reset(token)


def context_of_nobody() -> Context:
    """The context of the caller, in which nothing is being loaded."""
    context = copy_context()
    context.run(_LOADING.set, frozenset())
    return context


def _own() -> frozenset[Flight]:
    return frozenset(flight for flight in _LOADING.get() if not flight.is_done)


def refuse_own(single_flight: SingleFlight, name: bytes) -> None:
    """Raise `RecursiveLoadError` if whoever runs here is loading this key."""
    for flight in _LOADING.get():
        if flight.name == name and not flight.is_done and flight.table is single_flight:
            key = repr(flight.key)
            raise RecursiveLoadError(
                f"loader: asked the cache for {key}, the key it is loading; return the value itself"
            )


def wait_for_flight(single_flight: SingleFlight, flight: Flight, until: float) -> bool:
    """Wait until something comes of a flight, or until a moment of the monotonic clock; tells whether something has."""
    gate, own = Gate(), _own()
    with Finally(_leave, flight, own, gate):
        _enter(flight, own, gate)
        flight.wakers[gate] = gate.open
        while not flight.is_done:
            left = until - monotonic()
            if left <= 0:
                return False
            gate.wait(min(left, _LOOK) if flight.may_be_orphaned else left)
            if flight.is_orphaned:
                single_flight.end(flight)
    return True


async def await_flight(single_flight: SingleFlight, flight: Flight, until: float) -> bool:
    """The same on an event loop."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    own = _own()
    with Finally(_leave, flight, own, woken):
        _enter(flight, own, woken)
        flight.wakers[woken] = partial(_call, loop, woken)
        while not flight.is_done:
            left = until - monotonic()
            if left <= 0:
                return False
            await asyncio.wait([woken], timeout=min(left, _LOOK) if flight.may_be_orphaned else left)
            if flight.is_orphaned:
                single_flight.end(flight)
    return True


def _enter(flight: Flight, own: frozenset[Flight], waiter: object) -> None:
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


def _leave(flight: Flight, own: frozenset[Flight], waiter: object) -> None:
    flight.wakers.pop(waiter, None)
    for each in own:
        each.waits_for.pop(waiter, None)


def _circle(flight: Flight, own: frozenset[Flight]) -> Sequence[Flight]:
    """The way from a flight that the caller leads over the one that it wants and back to it; nothing if there is none."""
    ways, seen = [[flight]], {flight}
    while ways:
        way = ways.pop()
        for following in list(way[-1].waits_for.values()):
            if following in own:
                return [following, *way, following]
            if following not in seen and not following.is_done:
                seen.add(following)
                ways.append([*way, following])
    return []


def _call(loop: asyncio.AbstractEventLoop, woken: "asyncio.Future[None]") -> None:
    # A loop that is closed has nobody who waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_wake, woken)


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)
