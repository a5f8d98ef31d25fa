"""Deletes keys in doubt from a tier outside of the process, as soon as that answers again."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias, final

from tiercel.cache.outside.doubts import Doubts
from tiercel.cache.outside.guard import Guard, UnansweredError
from tiercel.gate import acquired

__all__ = ["Healing"]

# What removes the contents under names from the tier.
_Remove: TypeAlias = Callable[[list[str]], None]
# Keys that are deleted in one call.
_AT_ONCE: Final = 500


@final
class Healing:
    """Deletes the keys in doubt of one tier. One thread at a time does so."""

    def __init__(self, doubts: Doubts, guard: Guard) -> None:
        self._doubts = doubts
        self._guard = guard
        self._working = threading.Lock()

    def start(self, remove: _Remove) -> None:
        """Delete some of the keys in the background, unless another thread is at work."""
        if not self._working.acquire(blocking=False):
            return
        lost = self._doubts.take_lost(_AT_ONCE)

        def heal() -> None:
            try:
                self._heal(remove, lost)
            finally:
                self._lose(lost)
                self._working.release()

        if not self._guard.send(heal):
            self._lose(lost)
            self._working.release()

    def finish(self, remove: _Remove, seconds: float) -> bool:
        """Delete all of the keys, as far as the tier answers; wait so long for another thread. Tells whether no key is in doubt."""
        if not acquired(self._working, seconds):
            return False
        lost: list[tuple[str, int]] = []
        try:
            while lost := self._doubts.take_lost(_AT_ONCE):
                self._guard.patiently(partial(self._heal, remove, lost))
        except UnansweredError:
            pass
        finally:
            self._lose(lost)
            self._working.release()
        return not self._doubts.any

    def _heal(self, remove: _Remove, lost: list[tuple[str, int]]) -> None:
        remove([name for name, _ in lost])
        for name, number in lost:
            self._doubts.settle(name, number)

    def _lose(self, lost: list[tuple[str, int]]) -> None:
        for name, number in lost:
            self._doubts.lose(name, number)
