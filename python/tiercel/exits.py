"""What is to be done before a process ends."""

import atexit
import os
import sys
from collections.abc import Callable
from typing import final

__all__ = ["AtExit"]


@final
class AtExit:
    """Calls a function at a plain exit of the process; also in a child of `multiprocessing`, which ends without `atexit`.

    Of several, the one with the highest `priority` comes first there.
    """

    def __init__(self, finish: Callable[[], None], priority: int) -> None:
        self._finish = finish
        self._priority = priority
        self._registered_in = 0
        atexit.register(finish)

    def is_needed(self) -> None:
        """Say that this process has made something that must be finished."""
        process = sys.modules.get("multiprocessing.process")
        if process is None or process.parent_process() is None or self._registered_in == os.getpid():
            return
        from multiprocessing.util import Finalize

        self._registered_in = os.getpid()
        Finalize(None, self._finish, exitpriority=self._priority)
