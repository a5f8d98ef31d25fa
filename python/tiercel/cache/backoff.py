"""Exponential backoff of failed refreshes: retry after a second, then after twice as long each time, up to a minute.

A failing loader is called once per pause, however often the stale value is requested.
"""

from collections.abc import Callable
from typing import Final, final

from tiercel.cache.envelope import SECOND
from tiercel.forks import fork_lock

__all__ = ["Backoff"]

_FIRST: Final = SECOND
_LONGEST: Final = 60 * SECOND
# The most keys that are remembered. A forgotten key is retried at once.
_ROOM: Final = 10_000


@final
class Backoff:
    """The pauses of a cache, by key."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = fork_lock()
        # The start and the length of each pause.
        self._pauses: dict[bytes, tuple[int, int]] = {}

    def failed(self, name: bytes) -> None:
        """Begin a pause after a failed refresh, twice as long as the one before."""
        now = self._clock()
        with self._lock:
            _, before = self._pauses.pop(name, (0, 0))
            while len(self._pauses) >= _ROOM:
                self.succeeded(next(iter(self._pauses)))
            self._pauses[name] = now, min(max(_FIRST, 2 * before), _LONGEST)

    def succeeded(self, name: bytes) -> None:
        """Forget the failures of a key, which has a new value."""
        self._pauses.pop(name, None)

    def is_pausing(self, name: bytes) -> bool:
        """Whether the key must not be refreshed yet."""
        pause = self._pauses.get(name)
        # A clock that is set back ends a pause.
        return pause is not None and pause[0] <= self._clock() < sum(pause)
