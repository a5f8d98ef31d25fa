"""A tier of a stack: its counters, and the queue of writes before it."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from time import perf_counter_ns
from typing import Any, Final, Protocol, TypeAlias, TypedDict, cast, final

from tiercel._core import TierCore
from tiercel.cache.keys import Key
from tiercel.cache.tiers import Memory
from tiercel.forks import fork_lock

__all__ = ["AnyTier", "CacheTierStats", "Latency", "Move", "PendingWrite", "QueuedTier", "as_name"]

# The property `bytes` hides the type within the class.
_Content: TypeAlias = bytes
# Whoever adds to a longer queue also drains it.
_LONG: Final = 1 << 14
# A bucket for each power of two of nanoseconds; the last one holds everything over 4 minutes.
_BUCKETS: Final = 39


class AnyTier(Protocol):
    """What a cache requires of a tier."""

    @property
    def bytes(self) -> int:
        """Bytes that count against its size."""
        ...

    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[Key]: ...
    def get(self, key: Key, /) -> _Content | None:
        """Return the value of a key."""
        ...

    def get_many(self, keys: Iterable[Key], /) -> list[_Content | None]:
        """Return the values of keys."""
        ...

    def put(self, key: Key, value: _Content, /) -> bool:
        """Store a value. Return whether it was kept."""
        ...

    def put_evicting(self, key: Key, value: _Content, /) -> tuple[bool, list[tuple[Key, _Content]]]:
        """Store a value, and return whether it was kept and what it evicted."""
        ...

    def delete(self, key: Key, /) -> bool:
        """Delete a key."""
        ...

    def stats(self) -> Mapping[str, Any]:
        """Return the counters of the tier."""
        ...

    def flush(self) -> bool:
        """Write and sync everything. Return whether that succeeded."""
        ...

    def close(self) -> None:
        """Release all resources."""
        ...


class Latency(TypedDict):
    """Read latencies in seconds. A percentile is rounded up to a power of two, so it is less than twice the true one."""

    p50: float
    p95: float
    p99: float
    buckets: dict[float, int]
    """The number of reads by an upper bound of their time.

    Reading many keys at once is one read.
    """


class CacheTierStats(TypedDict):
    """Counters of a tier of a cache.

    Attributes
    ----------
    tier
        The class of the tier.
    hits
        Values found here and returned.
    misses
        Requested values that were not here.
    stale
        Values found here that were expired or invalidated.
    promoted
        Values copied from here to the first tier.
    demoted
        Values that the tier above evicted and that moved down to here.
    written
        Values written through to here.
    declined
        Values that the admission check rejected.
    dropped
        Values that were dropped because the queue was full.
    waiting
        Values and deletions in the queue.
    latency
        Read latencies: `p50`, `p95` and `p99` in seconds, and `buckets`, the number of reads by an
        upper bound of their time.
    own
        The counters of the tier itself, which include calls by others, with the keys of
        `TierStats`, or of `RemoteTierStats` for a remote tier.
    """

    tier: str
    hits: int
    misses: int
    stale: int
    promoted: int
    demoted: int
    written: int
    declined: int
    dropped: int
    waiting: int
    latency: Latency
    own: Mapping[str, Any]


@final
class PendingWrite:
    """A queued write or deletion of a key."""

    __slots__ = ("data", "replaces", "through")

    def __init__(self, data: bytes | None, *, replaces: bool, through: bool = False) -> None:
        self.data = data
        """The value to put; None for a deletion."""
        self.replaces = replaces
        """Whether the tier may have another value of the key, which must not stay."""
        self.through = through
        """Whether it is written through: it skips the admission check."""

    def size(self, name: bytes) -> int:
        """Bytes of the queue that this takes."""
        return len(name) + len(self.data or b"")


@final
class Move:
    """An operation that is being applied. Until it ends, the contents of the tier are uncertain."""

    __slots__ = ("name", "waits")

    def __init__(self) -> None:
        self.name = b""
        self.waits: PendingWrite | None = None


class QueuedTier:
    """A tier with a queue of writes. Readers look in the queue first, so a queued operation counts as done.

    One thread at a time drains the queues of a cache, and nobody else changes a tier below the first one. `lock`
    guards the queue, and for the first tier the tier itself. Its holder may take the lock of the next tier.
    """

    def __init__(self, tier: AnyTier, capacity: int) -> None:
        self.backend = tier
        self.is_persistent = not isinstance(tier, Memory)
        self.is_local = isinstance(tier, TierCore)
        """Whether a read stays within the process and its disks."""
        self._moving: set[Move] = set()
        self.lock = fork_lock()
        self.queue: OrderedDict[bytes, PendingWrite] = OrderedDict()
        self._queued_bytes = 0
        self._capacity = capacity
        self._counting = fork_lock()
        self.hits = self.misses = self.stale = self.promoted = self.demoted = self.written = 0
        self.declined = self.dropped = 0
        self._latencies = [0] * (_BUCKETS + 1)

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a key, and count the read."""
        begun = perf_counter_ns()
        data = self.peek(name)
        self._record_reads(begun, 0 if data is None else 1, 1)
        return data

    def get_many(self, names: list[bytes]) -> list[bytes | None]:
        """Return the values of keys with one call of the tier, and count the read."""
        if not names:
            return []
        begun = perf_counter_ns()
        waiting = {name: waits.data for name in names if (waits := self.queue.get(name)) is not None}
        asked = [name for name in names if name not in waiting] if waiting else names
        found = {**dict(zip(asked, self.backend.get_many(asked), strict=True)), **waiting}
        self._record_reads(begun, sum(data is not None for data in found.values()), len(names))
        return [found[name] for name in names]

    def _record_reads(self, begun: int, hits: int, looks: int) -> None:
        took = min((perf_counter_ns() - begun).bit_length(), _BUCKETS)
        with self._counting:
            self._latencies[took] += 1
            self.hits += hits
            self.misses += looks - hits

    def peek(self, name: bytes) -> bytes | None:
        """Return the value of a key without counting the read."""
        waits = self.queue.get(name) if self.queue else None
        return self.backend.get(name) if waits is None else waits.data

    def count(self, **more: int) -> None:
        """Add to the counters."""
        with self._counting:
            for what, number in more.items():
                setattr(self, what, getattr(self, what) + number)

    def may_have(self, name: bytes) -> bool:
        """Whether the tier may have the key. The caller holds the lock."""
        return bool(self._moving) or not self.is_local or name in self.queue or name in self.backend

    @property
    def is_crowded(self) -> bool:
        """Whether whoever adds to the queue should also drain it.

        This keeps write-through values from being dropped.
        """
        return len(self.queue) > _LONG or (self.is_local and self._queued_bytes > self._capacity // 2)

    def enqueue(self, name: bytes, data: bytes | None, *, through: bool = False) -> None:
        """Queue a value or a deletion. The caller holds the lock."""
        before = self.queue.get(name)
        replaces = through or data is None or (before is not None and before.replaces)
        # If the key was queued for write-through, the evicted value is that same write.
        through = through or (data is not None and before is not None and before.through)
        self._set(name, PendingWrite(data, replaces=replaces, through=through))
        dropped = 0
        while self._queued_bytes > self._capacity and (oldest := self._oldest_value()) is not None:
            dropped += 1
            if self.queue[oldest].replaces or (self.is_local and oldest in self.backend):
                self._set(oldest, PendingWrite(None, replaces=True))
            else:
                self._pop(oldest)
        if dropped:
            self.count(dropped=dropped)

    def begin_move(self, move: Move, name: bytes | None = None) -> None:
        """Begin to apply the operation queued for a key, or else the oldest one."""
        with self.lock:
            self._moving.add(move)
            move.name = next(iter(self.queue), b"") if name is None else name
            move.waits = self.queue.get(move.name)

    def end_move(self, move: Move) -> None:
        """End a move, applied or not. Ending it twice is harmless."""
        with self.lock:
            self._moving.discard(move)

    def complete(self, name: bytes, done: PendingWrite) -> None:
        """Remove an applied operation from the queue, unless a newer one has replaced it."""
        with self.lock:
            if self.queue.get(name) is done:
                self._pop(name)

    def after_fork(self) -> None:
        """Continue in a forked process."""
        self._moving, self.queue, self._queued_bytes = set(), OrderedDict(), 0

    def _oldest_value(self) -> bytes | None:
        """Return the key of the oldest value that may be dropped.

        Values that are written through to a local tier are never dropped, because that is fast.
        """
        values = ((name, waits) for name, waits in self.queue.items() if waits.data is not None)
        return next((name for name, waits in values if not (waits.through and self.is_local)), None)

    def _set(self, name: bytes, waits: PendingWrite) -> None:
        """Queue an operation in one step, so that no reader sees an older value of the tier."""
        if not self.queue:
            # A signal may have interrupted a change of this sum.
            self._queued_bytes = 0
        before = self.queue.get(name)
        self.queue[name] = waits
        self.queue.move_to_end(name)
        self._queued_bytes += waits.size(name) - (0 if before is None else before.size(name))

    def _pop(self, name: bytes) -> None:
        self._queued_bytes -= self.queue.pop(name).size(name)

    def names(self) -> Iterator[bytes]:
        """Iterate over the keys that are here now."""
        with self.lock:
            waiting = {name: waits.data is not None for name, waits in self.queue.items()}
        yield from (name for name, is_value in waiting.items() if is_value)
        yield from (name for name in map(as_name, self.backend) if name not in waiting)

    def stats(self, fast_reads: list[int]) -> CacheTierStats:
        """Return the counters. `fast_reads` are the reads by the fast path, by the logarithm of their time."""
        with self._counting:
            counts: Any = {
                what: getattr(self, what)
                for what in ("hits", "misses", "stale", "promoted", "demoted", "written", "declined", "dropped")
            }
            latencies = list(self._latencies)
        # An expired value was found, but not returned.
        counts["hits"] += sum(fast_reads) - counts["stale"]
        latencies = [looks + more for looks, more in zip_longest(latencies, fast_reads, fillvalue=0)]
        more = {"waiting": len(self.queue), "latency": _latency(latencies), "own": self.backend.stats()}
        return cast("CacheTierStats", {"tier": type(self.backend).__name__, **counts, **more})


def as_name(key: Key) -> bytes:
    """Return a key of a tier as bytes.

    A cache writes only bytes; other keys in a tier are not its own.
    """
    return key if isinstance(key, bytes) else key.encode()


def _latency(buckets: list[int]) -> Latency:
    bounds = [2.0**at / 1e9 for at in range(len(buckets))]
    total = sum(buckets)

    def quantile(share: float) -> float:
        seen = 0
        for bound, number in zip(bounds, buckets, strict=True):
            seen += number
            if total and seen >= share * total:
                return bound
        return 0.0

    found = {bound: number for bound, number in zip(bounds, buckets, strict=True) if number}
    return {"p50": quantile(0.5), "p95": quantile(0.95), "p99": quantile(0.99), "buckets": found}
