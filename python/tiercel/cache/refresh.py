"""Refreshes of stale values in the background, for stale-while-revalidate.

A key is queued once, and its flight begins only when its turn comes. A caller that cannot use the
stale value can therefore load the key at once, without waiting for the queue.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Final, final

from tiercel.cache.pool import Pool
from tiercel.cache.waiting import context_of_nobody

__all__ = ["Refresher"]

# The most concurrent refreshes on threads, and on each event loop.
_MOST: Final = 8
# The most keys in a queue. Further keys are queued when they are requested again.
_ROOM: Final = 10_000


@final
class Refresher:
    """The refreshes of a cache."""

    def __init__(self) -> None:
        self._pool = Pool(_MOST, "tiercel renewal")
        self._due: dict[Hashable, Callable[[], object]] = {}
        self._loops: dict[asyncio.AbstractEventLoop, _OnLoop] = {}

    def add(self, what: Hashable, work: Callable[[], object]) -> None:
        """Queue a refresh on a thread, unless the same one is queued."""
        if len(self._due) < _ROOM:
            self._due.setdefault(what, work)
        # A signal here may leave a queued refresh without a job.
        if self._pool.waiting < len(self._due):
            self._pool.submit(self._work)

    def _work(self) -> None:
        # The queue is empty if two jobs were submitted for one refresh.
        with suppress(KeyError):
            _, work = self._due.popitem()
            # A loader may call `sys.exit`, which would end the thread.
            with suppress(BaseException):
                work()

    def aadd(self, what: Hashable, work: Callable[[], Awaitable[object]]) -> None:
        """Queue a refresh on the running event loop, which drops it when it is closed."""
        for each in [loop for loop in self._loops if loop.is_closed()]:
            self._loops.pop(each, None)
        loop = asyncio.get_running_loop()
        self._loops.setdefault(loop, _OnLoop(loop)).add(what, work)


@final
class _OnLoop:
    """The refreshes of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[Hashable, Callable[[], Awaitable[object]]] = {}
        # Referenced here, because the event loop does not keep tasks alive.
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
