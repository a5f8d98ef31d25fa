"""Whether somebody has written a key since it was read by one who is going to write what was seen.

A write begins, changes the first tier and then those below it, and ends. What was read before or meanwhile may be outdated then, so
nobody who looked at the key before the end may write what was seen. Whoever writes what was seen asks whether it is outdated while nobody
else can change the first tier: a write that begins later comes after it in all tiers. To move a value between tiers is no write.

A lease is made first and begins then, under a `Finally` that ends it. So whatever is raised in between, it ends, and nothing that is left in the
middle of a method here counts a key as being written for longer than its writer writes it.
"""

import threading
from typing import final

__all__ = ["Lease", "Leases"]


@final
class Lease:
    """One look at a key, or one write of it."""

    __slots__ = ("name", "revoked")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.revoked = False
        """Whether the key was written or deleted since, or nobody looks any more."""


class Leases:
    """The leases of a cache, any number a key, and the keys that are being written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[bytes, list[Lease]] = {}
        self._writers: dict[bytes, list[Lease]] = {}

    def begin(self, lease: Lease) -> None:
        """Look at a key. This comes before it is read."""
        with self._lock:
            lease.revoked = lease.name in self._writers
            self._leases.setdefault(lease.name, []).append(lease)

    def begin_write(self, write: Lease, own: Lease | None = None) -> None:
        """Begin to write a key: what others have seen of it is outdated. What is given is revoked by a write that begins later."""
        with self._lock:
            self._writers.setdefault(write.name, []).append(write)
            there = self._leases.setdefault(write.name, [])
            for lease in there:
                lease.revoked |= lease is not own
            there.append(write)

    def overtake(self, write: Lease) -> None:
        """A write changes the first tier now. What others, which began before or after it, have changed there is outdated."""
        if len(self._writers.get(write.name, ())) < 2:
            return
        with self._lock:
            for other in self._writers.get(write.name, ()):
                other.revoked |= other is not write

    def end(self, lease: Lease) -> None:
        """No longer look, or write. Doing it again changes nothing, and so does ending what never began."""
        with self._lock:
            lease.revoked = True
            for leases in (self._leases, self._writers):
                there = leases.get(lease.name, [])
                if lease in there:
                    there.remove(lease)
                if not there:
                    leases.pop(lease.name, None)
