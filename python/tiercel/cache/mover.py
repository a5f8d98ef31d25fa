"""The background thread of a cache, which drains the queues between its tiers.

It starts with the first work and stays for a second after the last, so that not every put starts a thread. It
references the stack only while there is work, so that dropping the last reference to a cache closes its tiers at once.
"""

import logging
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, Protocol, final
from weakref import ref

from tiercel.forks import call_after_fork
from tiercel.threads import start

__all__ = ["Mover", "unfinished"]

_LINGER: Final = 1.0
_LOG: Final = logging.getLogger("tiercel")


class Movable(Protocol):
    """An object with work for the background."""

    def move(self) -> None:
        """Do all pending work."""
        ...

    def finish(self) -> None:
        """Finish before the process exits."""
        ...


class _Busy(set[Movable]):
    """Objects with pending work, which keeps them alive. In a forked child it is the parent's work."""

    def after_fork(self) -> None:
        self.clear()


_BUSY: Final = _Busy()
call_after_fork(_BUSY)


def unfinished() -> list[Movable]:
    """List the objects with pending work."""
    return list(_BUSY)


@final
class Mover:
    """Runs one thread while there is work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._runs = False
        self._notified = False

    def notify(self, moved: Movable) -> None:
        """Announce work."""
        with self._lock:
            _BUSY.add(moved)
            if self._notified:
                return
            # Set last: a signal before that costs one more notification, not a lost one.
            if self._runs:
                self._tokens.put(None)
                self._notified = True
                return
            thread = threading.Thread(target=_run, args=(ref(moved), self), name="tiercel-cache", daemon=True)
            # If no thread can start, the next notification, `flush` or the exit of the process does the work.
            with suppress(RuntimeError):
                start(thread)
                self._runs = self._notified = True

    def begin(self) -> None:
        """Begin a round. Work announced from now on needs another one."""
        with self._lock:
            self._notified = False

    def end(self, moved: Movable) -> None:
        """End a round."""
        with self._lock:
            if not self._notified:
                _BUSY.discard(moved)

    def wait(self) -> bool:
        """Wait for the next round. Return False if none has come for a while, so that the thread must end."""
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
        except Exception:  # noqa: BLE001 - tiers may raise anything
            # The work stays queued, where readers see it, and the next round tries again.
            _LOG.exception("a cache could not move queued values to a tier")
        del moved
        if not mover.wait():
            return
