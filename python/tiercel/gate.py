"""What one thread waits for until another one opens it.

The events of `threading` are written in Python: a signal that comes in while the main thread waits for one can leave its lock held, and whoever sets it waits for
ever. A gate is one lock, which can be left anywhere.
"""

import threading
from contextlib import suppress
from typing import final

__all__ = ["Gate"]


@final
class Gate:
    """Closed until it is opened. One thread waits for it, which shuts it by that."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let whoever waits go on, or whoever comes next."""
        # It is open.
        with suppress(RuntimeError):
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait so long; tells whether it was opened."""
        return self._lock.acquire(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX)))
