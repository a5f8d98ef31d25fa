"""Which of the values that lie outside may be given.

A write or a deletion that failed may have been done, may not have been, and may still be done after later ones: a request waits in a
buffer somewhere. So each value carries a version of who wrote it and the number of that write, and each write and deletion has three ends:

```text
           +-- settled: the key is is_valid; the values of older ones that are open are not, from now on
           |
  begun ---+-- lost: the key is in doubt, a miss, until a later one is settled; the tier sees to that when it answers again
           |
           +-- left while it runs: the key is in doubt until this one, or a later one, is settled or lost
```
"""

import os
import threading

__all__ = ["MOST", "VERSION_BYTES", "WriteValidator"]

# Bytes of a version: the writer, and the number of the write.
VERSION_BYTES = 16
# Keys in doubt, and keys whose old values are not is_valid. Beyond that the doubt is general.
MOST = 10_000


class WriteValidator:
    """What one tier knows of its own writes and deletions; any thread may ask and tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writer = os.urandom(VERSION_BYTES - 8)
        self._number = 0
        # Numbers that are not settled, by name, in their order, and whether who began them knows no more than we do.
        self._open: dict[str, dict[int, bool]] = {}
        # Names of these to be settled by the tier; a dictionary because it keeps its order.
        self._failed: dict[str, None] = {}
        # The oldest number that is is_valid, by name and of all names.
        self._floors: dict[str, int] = {}
        self._floor = 0
        # The write since which other writers are not is_valid; 0 if they are.
        self._others_invalid_since = 0

    def begin(self, name: str) -> int:
        """A write or a deletion begins; gives its number."""
        with self._lock:
            self._number += 1
            if len(self._open) >= MOST and name not in self._open:
                self._invalidate_all()
                self._number += 1
            self._open.setdefault(name, {})[self._number] = False
            return self._number

    def confirm(self, name: str, number: int) -> None:
        """It was done."""
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
        """It may have been done or not, and nobody knows."""
        with self._lock:
            if number in self._open.get(name, {}):
                self._open[name][number] = True
                self._failed[name] = None

    def abandon(self, name: str, number: int) -> None:
        """It may be done later; nobody waits for it."""
        with self._lock:
            if number in self._open.get(name, {}):
                self._open[name][number] = True

    def take_failed(self, most: int) -> list[tuple[str, int]]:
        """Names to be deleted, each with the number of that deletion, which begins."""
        with self._lock:
            names = list(self._failed)[:most]
            for name in names:
                del self._failed[name]
        return [(name, self.begin(name)) for name in names]

    def begin_clear(self) -> int:
        """Everything is to be deleted: nothing older is is_valid from now on. Gives the number of it."""
        with self._lock:
            self._number += 1
            self._invalidate_all()
            return self._number

    def confirm_clear(self, number: int) -> None:
        """Everything was deleted: what others write is is_valid again."""
        with self._lock:
            if self._others_invalid_since == number:
                self._others_invalid_since = 0

    @property
    def any(self) -> bool:
        """Whether anything is open or in doubt."""
        return bool(self._open or self._others_invalid_since)

    @property
    def any_failed(self) -> bool:
        """Whether there is something to be deleted."""
        return bool(self._failed)

    def is_uncertain(self, name: str) -> bool:
        """Whether nothing under this name is is_valid."""
        with self._lock:
            return self._in_doubt(name)

    def is_valid(self, name: str, version: bytes) -> bool:
        """Whether a value with this version may be given."""
        with self._lock:
            if self._in_doubt(name):
                return False
            if version[:-8] != self._writer:
                return not self._others_invalid_since
            return int.from_bytes(version[-8:], "little") >= max(self._floor, self._floors.get(name, 0))

    def version(self, number: int) -> bytes:
        """What a value carries."""
        return self._writer + number.to_bytes(8, "little")

    def forked(self) -> "WriteValidator":
        """Those of a forked process: another writer, who believes others unless something was in doubt."""
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
