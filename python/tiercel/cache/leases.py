"""Leases: whether a key has been written since a caller read it.

A caller that reads a key in order to write what it read (a load, a promotion, a move between tiers) takes a lease
before it reads. A write revokes all leases of its key: those taken before it began, and those taken until it has
changed every tier. The caller checks its lease while nobody else can change the first tier, and writes nothing if it
was revoked. A write that begins after the check reaches every tier later than the caller. Moving a
value between tiers is not a write.

A lease is created first and then begun, under a `Finally` that ends it. The lease thus ends
whatever is raised in between, and an interrupted method never leaves a key marked as being written.
"""

from typing import final

from tiercel.forks import fork_lock

__all__ = ["Lease", "Leases"]


@final
class Lease:
    """A lease of one reader, or one write of a key."""

    __slots__ = ("name", "revoked")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.revoked = False
        """Whether the key was written or deleted since, or the lease has ended."""


class Leases:
    """The leases of a cache, any number per key, and the keys that are being written."""

    def __init__(self) -> None:
        self._lock = fork_lock()
        self._leases: dict[bytes, list[Lease]] = {}
        self._writers: dict[bytes, list[Lease]] = {}

    def begin(self, lease: Lease) -> None:
        """Take a lease. This must happen before the key is read."""
        with self._lock:
            lease.revoked = lease.name in self._writers
            self._leases.setdefault(lease.name, []).append(lease)

    def begin_write(self, write: Lease, own: Lease | None = None) -> None:
        """Begin to write a key, and revoke all its leases but `own`. A later write revokes this one."""
        with self._lock:
            self._writers.setdefault(write.name, []).append(write)
            there = self._leases.setdefault(write.name, [])
            for lease in there:
                lease.revoked |= lease is not own
            there.append(write)

    def overtake(self, write: Lease) -> None:
        """Revoke all other writes of the key, since this one changes the first tier now."""
        if len(self._writers.get(write.name, ())) < 2:
            return
        with self._lock:
            for other in self._writers.get(write.name, ()):
                other.revoked |= other is not write

    def end(self, lease: Lease) -> None:
        """End a lease or a write. Ending it twice, or before it began, is harmless."""
        with self._lock:
            lease.revoked = True
            for leases in (self._leases, self._writers):
                there = leases.get(lease.name, [])
                if lease in there:
                    there.remove(lease)
                if not there:
                    leases.pop(lease.name, None)

    def after_fork(self) -> None:
        """Drop the leases of threads that the child does not have."""
        self._leases.clear()
        self._writers.clear()
