"""Whether somebody has written a key since it was read by one who is going to write what was seen.

A write begins, changes the tiers one after the other, the first one first, and ends. What was read before or meanwhile may be outdated then, so
nobody who looked at the key before the end may write what was seen. Whoever writes what was seen asks whether it is outdated while nobody
else can change the first tier: a write that begins later comes after it in all tiers. To move a value between tiers is no write.
"""

import threading
from typing import final

__all__ = ["Watch", "Watches"]


@final
class Watch:
    """One look at a key, or one write of it."""

    __slots__ = ("crossed", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.crossed = False
        """Whether the key was written or deleted since, or nobody looks any more."""


class Watches:
    """The watches of a cache, any number a key, and the keys that are being written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[bytes, list[Watch]] = {}
        self._writers: dict[bytes, int] = {}

    def begin(self, name: bytes) -> Watch:
        """Look at a key. This comes before it is read."""
        watch = Watch(name)
        with self._lock:
            watch.crossed = name in self._writers
            self._watches.setdefault(name, []).append(watch)
        return watch

    def end(self, watch: Watch) -> None:
        """No longer look; doing it again changes nothing."""
        with self._lock:
            self._end(watch)

    def begin_write(self, name: bytes, mine: Watch | None = None) -> Watch:
        """Begin to write a key: what others have seen of it is outdated. What is given is crossed by a write that begins later."""
        write = Watch(name)
        with self._lock:
            for watch in self._watches.get(name, ()):
                watch.crossed |= watch is not mine
            self._watches.setdefault(name, []).append(write)
            self._writers[name] = self._writers.get(name, 0) + 1
        return write

    def end_write(self, write: Watch) -> None:
        """The tiers have what was written."""
        with self._lock:
            self._end(write)
            self._writers[write.name] -= 1
            if not self._writers[write.name]:
                del self._writers[write.name]

    def _end(self, watch: Watch) -> None:
        watch.crossed = True
        there = self._watches.get(watch.name, [])
        if watch in there:
            there.remove(watch)
        if not there:
            self._watches.pop(watch.name, None)
