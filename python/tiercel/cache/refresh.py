"""Values that were given past their time, and are loaded anew while nobody waits for them.

A key waits here once, and has no flight before its turn comes: whoever cannot have the old value loads it at once and waits for nothing that stands in line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Final, final

from tiercel.cache.pool import Pool
from tiercel.cache.waiting import context_of_nobody

__all__ = ["Refresher"]

# Loads at a time, of threads and of each event loop.
_MOST: Final = 8
# Keys that wait. More of them wait until they are asked for again.
_ROOM: Final = 10_000


@final
class Refresher:
    """The renewals of a cache."""

    def __init__(self) -> None:
        self._pool = Pool(_MOST, "tiercel renewal")
        self._due: dict[Hashable, Callable[[], object]] = {}
        self._loops: dict[asyncio.AbstractEventLoop, _OnLoop] = {}

    def add(self, what: Hashable, work: Callable[[], object]) -> None:
        """Load something anew on a thread, unless that is to be done."""
        if len(self._due) < _ROOM:
            self._due.setdefault(what, work)
        # Where a signal came in here, something may wait that no job was submitted for.
        if self._pool.waiting < len(self._due):
            self._pool.submit(self._work)

    def _work(self) -> None:
        # None is left where two have come for the same one.
        with suppress(KeyError):
            _, work = self._due.popitem()
            # A loader may call `sys.exit`, which would end the thread.
            with suppress(BaseException):
                work()

    def aadd(self, what: Hashable, work: Callable[[], Awaitable[object]]) -> None:
        """The same on the event loop that runs here, and as long as that is not closed."""
        for each in [loop for loop in self._loops if loop.is_closed()]:
            self._loops.pop(each, None)
        loop = asyncio.get_running_loop()
        self._loops.setdefault(loop, _OnLoop(loop)).add(what, work)


@final
class _OnLoop:
    """The renewals of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[Hashable, Callable[[], Awaitable[object]]] = {}
        # Held, for the event loop does not.
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, what: Hashable, work: Callable[[], Awaitable[object]]) -> None:
        if len(self._due) < _ROOM:
            self._due.setdefault(what, work)
        if len(self._tasks) < min(_MOST, len(self._due) + len(self._tasks)):
            task = self._loop.create_task(self._work(), context=context_of_nobody())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        while self._due:
            _, work = self._due.popitem()
            with suppress(Exception):
                await work()
