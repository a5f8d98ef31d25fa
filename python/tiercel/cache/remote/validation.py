"""Validation: which remote values may be returned.

A failed write or deletion may or may not have taken effect. It may even take effect after later
ones, because a request waits in some buffer. Each value therefore carries a version: the writer and
the number of the write. A write or deletion ends in one of three ways:

```text
           +-- confirmed: the key is valid again; the values of older open writes are invalid from now on
           |
  begun ---+-- failed: the key is in doubt, and a miss, until a later write is confirmed;
           |           the tier deletes it when it answers again
           |
           +-- abandoned while it runs: the key is in doubt until this write is confirmed or failed,
                                        or a later one is confirmed
```
"""

import os
import threading

__all__ = ["MOST", "VERSION_BYTES", "WriteValidator"]

# Bytes of a version: the writer, and the number of the write.
VERSION_BYTES = 16
# The most keys in doubt, and the most keys with invalid old values. Beyond that all keys are in doubt.
MOST = 10_000


class WriteValidator:
    """The writes and deletions of one tier. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writer = os.urandom(VERSION_BYTES - 8)
        self._number = 0
        # The unconfirmed writes by name, in order, and whether their outcome is unknown.
        self._open: dict[str, dict[int, bool]] = {}
        # Names of failed writes, for the tier to delete. A dictionary keeps their order.
        self._failed: dict[str, None] = {}
        # The oldest valid version, by name and for all names.
        self._floors: dict[str, int] = {}
        self._floor = 0
        # The write since which values of other writers are invalid; 0 if they are valid.
        self._others_invalid_since = 0

    def begin(self, name: str) -> int:
        """Begin a write or a deletion, and return its number."""
        with self._lock:
            self._number += 1
            if len(self._open) >= MOST and name not in self._open:
                self._invalidate_all()
                self._number += 1
            self._open.setdefault(name, {})[self._number] = False
            return self._number

    def confirm(self, name: str, number: int) -> None:
        """Record that the write took effect."""
        with self._lock:
            numbers = self._open.get(name, {})
            if number not in numbers:
                return
            if min(numbers) < number:
                self._raise_floor(name, number)
            if newer := {each: given_up for each, given_up in numbers.items() if each > number}:
                self._open[name] = newer
                return
            del self._open[name]
            self._failed.pop(name, None)

    def fail(self, name: str, number: int) -> None:
        """Record that the write may or may not have taken effect."""
        with self._lock:
            if number in self._open.get(name, {}):
                self._open[name][number] = True
                self._failed[name] = None

    def abandon(self, name: str, number: int) -> None:
        """Record that the write may still take effect, and that nobody waits for it."""
        with self._lock:
            if number in self._open.get(name, {}):
                self._open[name][number] = True

    def take_failed(self, most: int) -> list[tuple[str, int]]:
        """Begin the deletion of failed names, and return them with the numbers of these deletions."""
        with self._lock:
            names = list(self._failed)[:most]
            for name in names:
                del self._failed[name]
        return [(name, self.begin(name)) for name in names]

    def begin_clear(self) -> int:
        """Begin to delete everything, and return the number. Nothing older stays valid."""
        with self._lock:
            self._number += 1
            self._invalidate_all()
            return self._number

    def confirm_clear(self, number: int) -> None:
        """Record that everything was deleted: values of other writers are valid again."""
        with self._lock:
            if self._others_invalid_since == number:
                self._others_invalid_since = 0

    @property
    def any(self) -> bool:
        """Whether any write is unconfirmed or any key is in doubt."""
        return bool(self._open or self._others_invalid_since)

    @property
    def any_failed(self) -> bool:
        """Whether any name should be deleted."""
        return bool(self._failed)

    def is_uncertain(self, name: str) -> bool:
        """Whether no value of this name is valid."""
        with self._lock:
            return self._in_doubt(name)

    def is_valid(self, name: str, version: bytes) -> bool:
        """Whether a value with this version is valid."""
        with self._lock:
            if self._in_doubt(name):
                return False
            if version[:-8] != self._writer:
                return not self._others_invalid_since
            return int.from_bytes(version[-8:], "little") >= max(self._floor, self._floors.get(name, 0))

    def version(self, number: int) -> bytes:
        """Return the version of a value."""
        return self._writer + number.to_bytes(8, "little")

    def forked(self) -> "WriteValidator":
        """Return the state for a forked process, which is another writer.

        It accepts values of other writers, unless a write was unconfirmed or an old value invalid.
        """
        child = WriteValidator()
        if self._open or self._floors or self._others_invalid_since:
            child.begin_clear()
        return child

    def _in_doubt(self, name: str) -> bool:
        return any(self._open.get(name, {}).values())

    def _raise_floor(self, name: str, number: int) -> None:
        self._floors.pop(name, None)
        self._floors[name] = number
        if len(self._floors) > MOST:
            self._floor = max(self._floor, self._floors.pop(next(iter(self._floors))))

    def _invalidate_all(self) -> None:
        self._floor = self._others_invalid_since = self._number
        self._open.clear()
        self._failed.clear()
        self._floors.clear()
