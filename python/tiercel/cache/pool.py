"""A few threads that come when there is work and go when there is none.

Not those of `concurrent.futures`: a process that ends waits for them, and a call to what is outside may hang for good; and what submits work there holds locks in
which a signal can leave it. Nothing that runs on a pool may wait for other work of that pool.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from tiercel._core import Finally
from tiercel.threads import start

__all__ = ["Pool", "in_thread"]

_Result = TypeVar("_Result")

# Seconds without work after which a thread ends, so that a forgotten tier leaves none behind.
_IDLE: Final = 5.0
# Reads and writes of tiers that coroutines have done at a time.
_THREADS: Final = 8


class Pool:
    """Runs jobs, which must not raise, in the order in which they came, so many at a time."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self.after_fork()

    def after_fork(self) -> None:
        """Go on in a forked process, where there is none of the threads."""
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        # Jobs that wait or run. A signal in `submit` may leave one too many counted: then a thread too many comes.
        self._unfinished = 0
        self._threads: set[object] = set()

    def submit(self, job: Callable[[], object]) -> bool:
        """Have a job run; False if there is no thread that could."""
        with self._lock:
            self._unfinished += 1
            self._jobs.put(job)
            if self._unfinished > len(self._threads) < self._most:
                self._start()
            return bool(self._threads)

    @property
    def waiting(self) -> int:
        """Jobs that a thread is going to begin."""
        return self._jobs.qsize() if self._threads else 0

    def _start(self) -> None:
        me, started = object(), list[bool]()
        with Finally(self._check_start, me, started):
            self._threads.add(me)
            # No thread is to be had when there are too many, or the process ends: then the job waits.
            with suppress(RuntimeError):
                start(threading.Thread(target=self._work, args=(me,), name=self._name, daemon=True))
                started.append(True)

    def _check_start(self, me: object, started: list[bool]) -> None:
        """A thread that may not have begun is not counted on."""
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
            # Nothing is held while there is nothing to do.
            del job
            with self._lock:
                self._unfinished -= 1


# Of coroutines of all caches. It is their own, for the threads of an event loop may all be waiting for what one of them loads.
_POOL: Final = Pool(_THREADS, "tiercel coroutine")


def in_thread(work: Callable[..., _Result], *arguments: Any) -> "asyncio.Future[_Result]":
    """The result of work on a thread, which has begun, and is done whether or not anybody waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()
    future.add_done_callback(_looked_at)
    context = copy_context()
    once = [None]

    def job() -> None:
        try:
            once.pop()
        except IndexError:
            # It was done without a thread.
            return
        try:
            result, error = context.run(work, *arguments), None
        except BaseException as raised:  # noqa: BLE001 - it is raised where it is waited for
            result, error = None, raised
        # A loop that is closed has nobody who waits.
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
        # No future takes one, for it would end whoever waits as if that had returned.
        future.set_exception(RuntimeError(f"raised {error!r}") if isinstance(error, StopIteration) else error)


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """What nobody looks at is told on stderr."""
    if not future.cancelled():
        future.exception()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.after_fork)
