"""Functions that must run before a process exits."""

import atexit
import os
import sys
from collections.abc import Callable
from typing import final

__all__ = ["AtExit"]


@final
class AtExit:
    """Calls a function when the process exits normally, also in children of `multiprocessing`,
    which skip `atexit`.

    In such children, the highest `priority` runs first.
    """

    def __init__(self, finish: Callable[[], None], priority: int) -> None:
        self._finish = finish
        self._priority = priority
        self._registered_in = 0
        atexit.register(finish)

    def is_needed(self) -> None:
        """Note that this process has created something that must be finished."""
        process = sys.modules.get("multiprocessing.process")
        if process is None or process.parent_process() is None or self._registered_in == os.getpid():
            return
        from multiprocessing.util import Finalize

        self._registered_in = os.getpid()
        Finalize(None, self._finish, exitpriority=self._priority)
