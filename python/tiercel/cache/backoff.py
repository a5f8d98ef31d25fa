"""When a value that could not be loaded anew is tried again: the first time after a second, and after twice as long with each failure, up to a minute.

So a loader that fails is called at most once a pause, however often the stale value is asked for.
"""

import threading
from collections.abc import Callable
from typing import Final, final

from tiercel.cache.envelope import SECOND

__all__ = ["Backoff"]

_FIRST: Final = SECOND
_LONGEST: Final = 60 * SECOND
# Keys that are remembered. What was forgotten is tried again at once.
_ROOM: Final = 10_000


@final
class Backoff:
    """The pauses of a cache, by key."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # When each began, and how long it is.
        self._pauses: dict[bytes, tuple[int, int]] = {}

    def failed(self, name: bytes) -> None:
        """A key could not be loaded anew."""
        now = self._clock()
        with self._lock:
            _, before = self._pauses.pop(name, (0, 0))
            while len(self._pauses) >= _ROOM:
                self.succeeded(next(iter(self._pauses)))
            self._pauses[name] = now, min(max(_FIRST, 2 * before), _LONGEST)

    def succeeded(self, name: bytes) -> None:
        """A key has a new value."""
        self._pauses.pop(name, None)

    def is_pausing(self, name: bytes) -> bool:
        """Whether a key is not to be loaded anew yet."""
        pause = self._pauses.get(name)
        # A clock that was set back ends a pause.
        return pause is not None and pause[0] <= self._clock() < sum(pause)
