"""Deletes keys in doubt from a remote tier as soon as it answers again."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias, final

from tiercel.cache.remote.guard import Guard, UnansweredError
from tiercel.cache.remote.validation import WriteValidator
from tiercel.gate import acquired

__all__ = ["Repair"]

# Deletes the contents under names.
_Remove: TypeAlias = Callable[[list[str]], None]
# The most keys that one call deletes.
_AT_ONCE: Final = 500


@final
class Repair:
    """Deletes the keys of one tier that are in doubt, on one thread at a time."""

    def __init__(self, validator: WriteValidator, guard: Guard) -> None:
        self._validator = validator
        self._guard = guard
        self._working = threading.Lock()

    def start(self, remove: _Remove) -> None:
        """Delete some of the keys in the background, unless another thread is doing so."""
        if not self._working.acquire(blocking=False):
            return
        lost = self._validator.take_failed(_AT_ONCE)

        def heal() -> None:
            try:
                self._repair(remove, lost)
            finally:
                self._fail(lost)
                self._working.release()

        if not self._guard.send(heal):
            self._fail(lost)
            self._working.release()

    def finish(self, remove: _Remove, seconds: float) -> bool:
        """Delete all keys in doubt if the tier answers. Return whether none is left.

        Wait up to `seconds` for another thread that is doing so.
        """
        if not acquired(self._working, seconds):
            return False
        lost: list[tuple[str, int]] = []
        try:
            while lost := self._validator.take_failed(_AT_ONCE):
                self._guard.patiently(partial(self._repair, remove, lost))
        except UnansweredError:
            pass
        finally:
            self._fail(lost)
            self._working.release()
        return not self._validator.any

    def _repair(self, remove: _Remove, lost: list[tuple[str, int]]) -> None:
        remove([name for name, _ in lost])
        for name, number in lost:
            self._validator.confirm(name, number)

    def _fail(self, lost: list[tuple[str, int]]) -> None:
        for name, number in lost:
            self._validator.fail(name, number)
