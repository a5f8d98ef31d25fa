"""A few threads that come when there is work and go when there is none.

Not those of `concurrent.futures`: a process that ends waits for them, and a call to what is outside may hang for good.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Pool"]

# Seconds without work after which a thread ends, so that a forgotten tier leaves none behind.
IDLE = 5.0


class Pool:
    """Runs jobs, which must not raise, in the order in which they came, so many at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = 0
        self._idle = 0
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job run."""
        with self._changed:
            self._jobs.append(job)
            if len(self._jobs) > self._idle and self._threads < self._most:
                self._start()
            else:
                self._changed.notify()

    def _start(self) -> None:
        # No thread is to be had when there are too many, or the process ends: then the job waits, and who asked for it gives up.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._work, name="tiercel outside", daemon=True).start()
            self._threads += 1

    def _work(self) -> None:
        while job := self._next():
            job()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._jobs, IDLE)
            self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads -= 1
            return None
