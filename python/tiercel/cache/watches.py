"""Whether somebody has written a key since it was read by one who is going to write what was seen.

A write begins, changes the first tier and then those below it, and ends. What was read before or meanwhile may be outdated then, so
nobody who looked at the key before the end may write what was seen. Whoever writes what was seen asks whether it is outdated while nobody
else can change the first tier: a write that begins later comes after it in all tiers. To move a value between tiers is no write.

A watch is made first and begins then, under a `Finally` that ends it. So whatever is raised in between, it ends, and nothing that is left in the
middle of a method here counts a key as being written for longer than its writer writes it.
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
        self._writers: dict[bytes, list[Watch]] = {}

    def begin(self, watch: Watch) -> None:
        """Look at a key. This comes before it is read."""
        with self._lock:
            watch.crossed = watch.name in self._writers
            self._watches.setdefault(watch.name, []).append(watch)

    def begin_write(self, write: Watch, mine: Watch | None = None) -> None:
        """Begin to write a key: what others have seen of it is outdated. What is given is crossed by a write that begins later."""
        with self._lock:
            self._writers.setdefault(write.name, []).append(write)
            there = self._watches.setdefault(write.name, [])
            for watch in there:
                watch.crossed |= watch is not mine
            there.append(write)

    def overtake(self, write: Watch) -> None:
        """A write changes the first tier now. What others, which began before or after it, have changed there is outdated."""
        if len(self._writers.get(write.name, ())) < 2:
            return
        with self._lock:
            for other in self._writers.get(write.name, ()):
                other.crossed |= other is not write

    def end(self, watch: Watch) -> None:
        """No longer look, or write. Doing it again changes nothing, and so does ending what never began."""
        with self._lock:
            watch.crossed = True
            for watches in (self._watches, self._writers):
                there = watches.get(watch.name, [])
                if watch in there:
                    there.remove(watch)
                if not there:
                    watches.pop(watch.name, None)
