"""The thread of a cache that moves what waits between its tiers.

It comes with the first work, stays for a second after the last, so that a put need not start one, and holds its stack only while there is
work: a cache that nobody holds closes its tiers at once.
"""

import logging
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, Protocol, final
from weakref import ref

from tiercel.threads import start

__all__ = ["Mover", "forget_all", "unfinished"]

_LINGER: Final = 1.0
_LOG: Final = logging.getLogger("tiercel")


class Movable(Protocol):
    """What has things to move."""

    def move(self) -> None:
        """Move what waits."""
        ...

    def finish(self) -> None:
        """Do all that is left before the process ends."""
        ...


# What has work left, and is held for its sake alone.
_BUSY: Final[set[Movable]] = set()


def unfinished() -> list[Movable]:
    """What has work left."""
    return list(_BUSY)


def forget_all() -> None:
    """In a forked process all of that is the parent's."""
    _BUSY.clear()


@final
class Mover:
    """Has one thread move what waits, when there is something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._runs = False
        self._notified = False

    def notify(self, moved: Movable) -> None:
        """There is something to move."""
        with self._lock:
            _BUSY.add(moved)
            if self._notified:
                return
            # It is told when that is done. Where a signal comes in before, it is told once more.
            if self._runs:
                self._tokens.put(None)
                self._notified = True
                return
            thread = threading.Thread(target=_run, args=(ref(moved), self), name="tiercel-cache", daemon=True)
            # There may be no more threads: then what waits is done with the next that comes, or by `flush`, or when the process ends.
            with suppress(RuntimeError):
                start(thread)
                self._runs = self._notified = True

    def begin(self) -> None:
        """What comes from now on needs another round."""
        with self._lock:
            self._notified = False

    def end(self, moved: Movable) -> None:
        """A round is done."""
        with self._lock:
            if not self._notified:
                _BUSY.discard(moved)

    def wait(self) -> bool:
        """Wait for the next round; False if none has come for a while, and the thread is to end."""
        try:
            self._tokens.get(timeout=_LINGER)
        except Empty:
            with self._lock:
                self._runs = self._notified
                return self._notified
        return True


def _run(moved_ref: "ref[Movable]", mover: Mover) -> None:
    while (moved := moved_ref()) is not None:
        mover.begin()
        try:
            moved.move()
            mover.end(moved)
        except Exception:  # noqa: BLE001 - tiers raise what they like
            # What could not be moved still waits, and is seen as if it had been: the next round tries again.
            _LOG.exception("a cache could not move what waits for a tier")
        del moved
        if not mover.wait():
            return
