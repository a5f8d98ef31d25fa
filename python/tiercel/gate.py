"""What one thread waits for until another one opens it.

The events of `threading` are written in Python: a signal that comes in while the main thread waits for one can leave its lock held, and whoever sets it waits for
ever. A gate is one lock, which can be left anywhere.
"""

import threading
from contextlib import suppress
from time import monotonic
from typing import Final, final

__all__ = ["Gate", "acquired"]

# Seconds between looks at whether a signal has come.
_LOOK: Final = 0.25


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
        return acquired(self._lock, seconds)


def acquired(lock: threading.Lock, seconds: float) -> bool:
    """Take a lock that others may hold for long; tells whether it came within so many seconds.

    A signal that comes in between the last look of Python and the call that waits does not end that call, so Ctrl-C would do nothing until the lock
    is free. Python runs handlers on the main thread alone, so only that one looks now and then.
    """
    look = _LOOK if threading.current_thread() is threading.main_thread() else threading.TIMEOUT_MAX
    end = monotonic() + seconds
    while not lock.acquire(timeout=max(0.0, min(end - monotonic(), look))):
        if monotonic() >= end:
            return False
    return True
