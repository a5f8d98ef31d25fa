"""Small thread pools whose threads start when there is work and end when there is none.

`concurrent.futures` does not fit: a process that exits waits for its threads, although a call to a
remote tier may hang forever, and a signal can leave a lock held in `submit`. A job must not wait
for another job of its pool.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from tiercel._core import Finally
from tiercel.forks import call_after_fork
from tiercel.threads import start

__all__ = ["Pool", "in_thread"]

_Result = TypeVar("_Result")

# Seconds without work after which a thread ends, so that a forgotten tier leaves no threads behind.
_IDLE: Final = 5.0
# Threads on which coroutines read and write tiers.
_THREADS: Final = 8


class Pool:
    """Runs jobs in order of submission, a limited number at a time. Jobs must not raise."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._reset()
        call_after_fork(self)

    def after_fork(self) -> None:
        """Continue in a forked child, which has none of the threads."""
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        # Jobs that are queued or run. A signal in `submit` may count one too many, which starts one thread too many.
        self._unfinished = 0
        self._threads: set[object] = set()

    def submit(self, job: Callable[[], object]) -> bool:
        """Queue a job. Return False if there is no thread to run it."""
        with self._lock:
            self._unfinished += 1
            self._jobs.put(job)
            if self._unfinished > len(self._threads) < self._most:
                self._start()
            return bool(self._threads)

    @property
    def waiting(self) -> int:
        """The number of queued jobs that a thread will run."""
        return self._jobs.qsize() if self._threads else 0

    def _start(self) -> None:
        me, started = object(), list[bool]()
        with Finally(self._check_start, me, started):
            self._threads.add(me)
            # No thread can start when there are too many, or when the process exits. Then the job stays queued.
            with suppress(RuntimeError):
                start(threading.Thread(target=self._work, args=(me,), name=self._name, daemon=True))
                started.append(True)

    def _check_start(self, me: object, started: list[bool]) -> None:
        """Forget a thread that may not have started."""
        if not started:
            self._threads.discard(me)

    def _work(self, me: object) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE)
            except Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._threads.discard(me)
                        self._unfinished = 0 if not self._threads else self._unfinished
                        return
                continue
            job()
            # An idle thread must not keep the job alive.
            del job
            with self._lock:
                self._unfinished -= 1


# Used by the coroutines of all caches. The threads of an event loop will not do: all of them may be
# waiting for loads of this cache.
_POOL: Final = Pool(_THREADS, "tiercel coroutine")


def in_thread(work: Callable[..., _Result], *arguments: Any) -> "asyncio.Future[_Result]":
    """Run work on a thread and return its future.

    The work begins at once, and is done even if nobody awaits it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()
    future.add_done_callback(_looked_at)
    context = copy_context()
    once = [None]

    def job() -> None:
        try:
            once.pop()
        except IndexError:
            # The caller has run it without a thread.
            return
        try:
            result, error = context.run(work, *arguments), None
        except BaseException as raised:  # noqa: BLE001 - whoever awaits the future gets it
            result, error = None, raised
        # Nobody waits on a closed loop.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, future, result, error)

    if not _POOL.submit(job):
        job()
    return future


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        # A future refuses StopIteration, which would end the awaiting generator as if it had returned.
        future.set_exception(RuntimeError(f"raised {error!r}") if isinstance(error, StopIteration) else error)


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """Mark the error of a future as seen, which asyncio would otherwise log."""
    if not future.cancelled():
        future.exception()
