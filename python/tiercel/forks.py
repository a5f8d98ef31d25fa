"""Repair of objects in a forked child.

The child lacks the threads that may hold their locks or do their work.
"""

import os
import threading
from typing import Final, Protocol
from weakref import WeakSet, WeakValueDictionary

__all__ = ["call_after_fork", "fork_lock"]


class AfterFork(Protocol):
    """An object that must change in a forked child."""

    def after_fork(self) -> None:
        """Continue in the child."""
        ...


def fork_lock() -> threading.Lock:
    """Return a lock that is free in a forked child.

    The child gets the guarded state as it was at the fork. So the state must be valid to continue
    from between any two statements under the lock. A thread that holds the lock must not fork.
    """
    # A plain lock: a Ctrl-C within a method of a wrapper could leave the lock held for good.
    lock = threading.Lock()
    _LOCKS.add(lock)
    return lock


def call_after_fork(owner: AfterFork) -> None:
    """Call `owner.after_fork()` in forked children while the owner lives, in calling order."""
    _OWNERS[id(owner)] = owner


_LOCKS: Final[WeakSet[threading.Lock]] = WeakSet()
# By id, because owners may be equal or unhashable.
_OWNERS: Final[WeakValueDictionary[int, AfterFork]] = WeakValueDictionary()


def _after_fork() -> None:
    for lock in list(_LOCKS):
        # The standard library does the same with its locks.
        lock._at_fork_reinit()  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownMemberType]
    for owner in list(_OWNERS.values()):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
