"""Locks in processes that fork: threads of the parent, which may hold them, are not in the child, so there they are made anew."""

import os
import threading
from types import TracebackType
from typing import Final, final
from weakref import WeakSet

__all__ = ["ForkLock"]


@final
class ForkLock:
    """A lock, to be used by `with`, that a forked process finds free.

    What it guards is in the child as it was when the process forked: so in between two statements under the lock, things must be such that
    one can go on from there. Whoever holds it must not fork.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Go on in a forked process."""
        self._lock = threading.Lock()


_LOCKS: Final[WeakSet[ForkLock]] = WeakSet()


def _renew_all() -> None:
    for lock in list(_LOCKS):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
