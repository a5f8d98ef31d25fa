"""A gate: one thread waits until another opens it.

`threading.Event` is written in Python: a signal during `wait` on the main thread can leave its lock
held, and then `set` blocks forever. A gate is a single lock, so an interruption cannot break it.
"""

import threading
from contextlib import suppress
from time import monotonic
from typing import Final, final

__all__ = ["Gate", "acquired"]

# Seconds between checks for signals.
_LOOK: Final = 0.25


@final
class Gate:
    """Closed until it is opened. One thread waits for it, and closes it again by passing."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let the waiting thread pass, or the next one that comes."""
        # It is open already.
        with suppress(RuntimeError):
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether the gate was opened."""
        return acquired(self._lock, seconds)


def acquired(lock: threading.Lock, seconds: float) -> bool:
    """Acquire a lock that others may hold for long, within `seconds`; return whether that
    succeeded.

    A signal that arrives just before the blocking call does not interrupt it, so Ctrl-C would have
    no effect until the lock is free. Python runs handlers on the main thread only, so only that
    thread wakes up to check.
    """
    look = _LOOK if threading.current_thread() is threading.main_thread() else threading.TIMEOUT_MAX
    end = monotonic() + seconds
    while not lock.acquire(timeout=max(0.0, min(end - monotonic(), look))):
        if monotonic() >= end:
            return False
    return True
