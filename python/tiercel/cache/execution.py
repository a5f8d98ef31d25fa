"""How a load runs: on the thread of its caller, or on an event loop.

`loads.py` and `batches.py` are written once, as coroutines over an `Execution`. On a thread none of
its methods suspends, so `run_now` runs the coroutine to its end in one step.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from functools import partial
from typing import Any, Final, Protocol, TypeVar, final

from tiercel.cache.arguments import refuse_coroutine
from tiercel.cache.pool import in_thread
from tiercel.cache.refresh import Refresher
from tiercel.cache.single_flight import LoadFlight, LoadFlights
from tiercel.cache.waiting import LoopWaiter, ThreadWaiter, wait_for_flight

__all__ = ["ON_THREAD", "Execution", "OnLoop", "run_now"]

_Result = TypeVar("_Result")


class Execution(Protocol):
    """Runs the steps of a load."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop, or None for a thread."""
        ...

    async def do(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do work that may block."""
        ...

    async def value(self, returned: Any, async_method: str, /) -> Any:
        """Return the value that a loader returned. It may be a coroutine only on an event loop.

        Otherwise the error names the async method.
        """
        ...

    async def complete(
        self, flights: Iterable[LoadFlight], work: Callable[..., _Result], /, *arguments: Any
    ) -> _Result:
        """Do work that ends the flights, even if nobody waits for it any more."""
        ...

    async def wait(self, flights: LoadFlights, flight: LoadFlight, until: float) -> bool:
        """Wait for a flight until a time of the monotonic clock. Return whether it has ended."""
        ...

    def refresh(self, refresher: Refresher, what: Hashable, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Queue work for the background."""
        ...

    def loader(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Callable[[Any], Any]:
        """Make a loader from a coroutine function that uses this execution."""
        ...


def run_now(work: Callable[..., Coroutine[Any, Any, _Result]], *arguments: Any) -> _Result:
    """Run a coroutine that never suspends."""
    coroutine = work(*arguments)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    except RuntimeError as error:
        # A coroutine cannot raise StopIteration, as a loader may.
        if isinstance(error.__cause__, StopIteration) and str(error) == "coroutine raised StopIteration":
            raise error.__cause__ from None
        raise
    finally:
        coroutine.close()
    raise AssertionError("a coroutine has suspended on a thread")


@final
class _OnThread:
    """Runs all steps on the thread of the caller. No method suspends."""

    loop = None

    async def do(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        return work(*arguments)

    async def value(self, returned: Any, async_method: str) -> Any:
        refuse_coroutine(returned, async_method)
        return returned

    async def complete(self, _: Iterable[LoadFlight], work: Callable[..., _Result], *arguments: Any) -> _Result:
        return work(*arguments)

    async def wait(self, flights: LoadFlights, flight: LoadFlight, until: float) -> bool:
        return await wait_for_flight(flights, flight, until, ThreadWaiter())

    def refresh(self, refresher: Refresher, what: Hashable, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        refresher.add(what, partial(run_now, work))

    def loader(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Callable[[Any], Any]:
        return partial(run_now, work)


ON_THREAD: Final = _OnThread()


@final
class OnLoop:
    """Runs all steps on the running event loop, and blocking ones on threads."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def do(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do work on a thread."""
        return await in_thread(work, *arguments)

    async def value(self, returned: Any, _: str) -> Any:
        """Await a coroutine."""
        return await returned if inspect.isawaitable(returned) else returned

    async def complete(self, flights: Iterable[LoadFlight], work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do work on a thread, which then ends the flights even if this coroutine is cancelled."""
        completing: Awaitable[_Result] = in_thread(work, *arguments)
        for flight in flights:
            flight.is_completing = True
        return await completing

    async def wait(self, flights: LoadFlights, flight: LoadFlight, until: float) -> bool:
        """Wait for a flight."""
        return await wait_for_flight(flights, flight, until, LoopWaiter(self.loop))

    def refresh(self, refresher: Refresher, what: Hashable, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Queue work for this event loop."""
        refresher.aadd(what, work)

    def loader(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Callable[[Any], Any]:
        """Return the coroutine function."""
        return work
