"""Reads values from the tiers: for each key, the first valid value from the top.

A value found below the first tier is promoted once its key has been requested often enough.
"""

from collections.abc import Sequence
from typing import Final, final

from tiercel._core import Finally
from tiercel.cache.entry import Entry
from tiercel.cache.envelope import as_copy, unpack
from tiercel.cache.leases import Lease
from tiercel.cache.namespaces import Namespace
from tiercel.cache.queued_tier import QueuedTier
from tiercel.cache.tier_stack import TierStack

__all__ = ["PROMOTE_AT", "Lookup"]

# The number of requests for a key at which its value is promoted to the first tier.
PROMOTE_AT: Final = 2
# A read is recorded once an eighth of the idle time has passed since the last recorded one.
_TOUCH: Final = 8


@final
class Lookup:
    """Reads values from the tiers of a cache."""

    def __init__(self, stack: TierStack) -> None:
        self._stack = stack

    def find(self, name: bytes, namespace: Namespace, now: int) -> tuple[Entry | None, Entry | None]:
        """Return a valid value, or else an expired one within its grace period.

        The request must already be counted.
        """
        entry, stale = self._classify(0, self._stack.tiers[0].get(name), namespace, now)
        if entry is not None:
            self._touch(entry, name, now)
            return entry, None
        if len(self._stack.tiers) == 1:
            return None, stale
        lease = Lease(name)
        with Finally(self._stack.leases.end, lease):
            self._stack.leases.begin(lease)
            for at, tier in enumerate(self._stack.tiers[1:], 1):
                entry, older = self._classify(at, tier.get(name), namespace, now)
                stale = stale or older
                if entry is not None:
                    if self._stack.sketch.count(name) >= PROMOTE_AT or entry.envelope.idle:
                        self._promote(entry, lease, now)
                    return entry, None
        return None, stale

    def find_many(
        self, names: Sequence[bytes], namespace: Namespace, now: int
    ) -> list[tuple[Entry | None, Entry | None]]:
        """Do the same for many keys, with one call per tier, and count the requests."""
        uses = {name: self._stack.sketch.add(name) for name in names}
        found: dict[bytes, tuple[Entry | None, Entry | None]] = {}
        missing = list(uses)
        leases: dict[bytes, Lease] = {}
        with Finally(self._end_all, leases):
            for at, tier in enumerate(self._stack.tiers):
                for name in missing if at == 1 else ():
                    leases[name] = Lease(name)
                    self._stack.leases.begin(leases[name])
                for name, data in zip(missing, tier.get_many(missing), strict=True):
                    entry, older = self._classify(at, data, namespace, now)
                    found[name] = entry, None if entry else found.get(name, (None, None))[1] or older
                    if entry is not None and at == 0:
                        self._touch(entry, name, now)
                    elif entry is not None and (uses[name] >= PROMOTE_AT or entry.envelope.idle):
                        self._promote(entry, leases[name], now)
                missing = [name for name in missing if found[name][0] is None]
        return [found[name] for name in names]

    def peek(self, name: bytes, namespace: Namespace, now: int) -> Entry | None:
        """Return a valid value without counting a request."""
        return self._peek(name, namespace, now, self._stack.tiers)

    def peek_local(self, name: bytes, namespace: Namespace, now: int) -> Entry | None:
        """Do the same in the local tiers only."""
        return self._peek(name, namespace, now, [tier for tier in self._stack.tiers if tier.is_local])

    def _peek(self, name: bytes, namespace: Namespace, now: int, tiers: Sequence[QueuedTier]) -> Entry | None:
        for tier in tiers:
            data = tier.peek(name)
            parsed = None if data is None else unpack(data)
            if data is not None and parsed is not None and namespace.is_valid(parsed[0]) and parsed[0].is_fresh(now):
                return Entry(data, *parsed, self._stack.tiers.index(tier))
        return None

    def _classify(
        self, at: int, data: bytes | None, namespace: Namespace, now: int
    ) -> tuple[Entry | None, Entry | None]:
        """Return a tier's value as a valid one, or else as an expired one within its grace period."""
        if data is None:
            return None, None
        parsed = unpack(data)
        if parsed is not None and namespace.is_valid(parsed[0]):
            entry = Entry(data, *parsed, at)
            if entry.envelope.is_fresh(now):
                return entry, None
            self._stack.tiers[at].count(stale=1)
            return None, entry if entry.envelope.is_kept(now) else None
        self._stack.tiers[at].count(stale=1)
        return None, None

    def _promote(self, entry: Entry, lease: Lease, now: int) -> None:
        """Copy a value to the first tier unless its lease was revoked."""
        tier = self._stack.tiers[entry.tier]
        data = entry.touched(now) if entry.envelope.idle else entry.data
        if self._stack.put_first(lease.name, data if tier.is_local else as_copy(data), lease):
            tier.count(promoted=1)

    def _touch(self, entry: Entry, name: bytes, now: int) -> None:
        """Record the use of a value that has an idle time."""
        if not entry.envelope.idle or now < entry.envelope.touched + entry.envelope.idle // _TOUCH:
            return
        lease = Lease(name)
        with Finally(self._stack.leases.end, lease):
            self._stack.leases.begin(lease)
            if self._stack.tiers[0].backend.get(name) == entry.data:
                self._stack.put_first(name, entry.touched(now), lease)

    def _end_all(self, leases: dict[bytes, Lease]) -> None:
        for lease in leases.values():
            self._stack.leases.end(lease)
