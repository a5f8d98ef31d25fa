"""Locks in processes that fork: threads of the parent, which may hold them, are not in the child, so there they begin anew."""

import os
import threading
from typing import Final
from weakref import WeakSet

__all__ = ["fork_lock"]


def fork_lock() -> threading.Lock:
    """A lock that a forked process finds free.

    What it guards is in the child as it was when the process forked: so in between two statements under the lock, things must be such that
    one can go on from there. Whoever holds it must not fork.
    """
    # The lock itself rather than an object around it, for a Ctrl-C within a method of that could leave the lock held for good.
    lock = threading.Lock()
    _LOCKS.add(lock)
    return lock


_LOCKS: Final[WeakSet[threading.Lock]] = WeakSet()


def _renew_all() -> None:
    for lock in list(_LOCKS):
        # As the standard library does with locks of its own.
        lock._at_fork_reinit()  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownMemberType]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
