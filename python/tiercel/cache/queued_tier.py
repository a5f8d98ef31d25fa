"""A tier in its place in a cache: what was asked of it, and what waits to come down to it."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from time import perf_counter_ns
from typing import Any, Final, Protocol, TypeAlias, TypedDict, cast, final

from tiercel._core import TierCore
from tiercel.cache.tiers import Key, Memory

__all__ = ["AnyTier", "CacheTierStats", "Latency", "Move", "PendingWrite", "QueuedTier", "as_name"]

# The property of this name hides the type within the class.
_Content: TypeAlias = bytes
# When a queue is longer than this, whoever adds to it also works on it.
_LONG: Final = 1 << 14
# A bucket for each power of two of nanoseconds; the last one holds everything over 4 minutes.
_BUCKETS: Final = 39


class AnyTier(Protocol):
    """What a cache needs of a tier."""

    @property
    def bytes(self) -> int:
        """Bytes that count against its size."""
        ...

    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[Key]: ...
    def get(self, key: Key, /) -> _Content | None:
        """The value of a key."""
        ...

    def get_many(self, keys: Iterable[Key], /) -> list[_Content | None]:
        """The values of keys."""
        ...

    def put(self, key: Key, value: _Content, /) -> bool:
        """Keep a value; tells whether it does."""
        ...

    def put_evicting(self, key: Key, value: _Content, /) -> tuple[bool, list[tuple[Key, _Content]]]:
        """Keep a value, and hand out what it drives out."""
        ...

    def delete(self, key: Key, /) -> bool:
        """Forget a key."""
        ...

    def stats(self) -> Mapping[str, Any]:
        """What the tier counts."""
        ...

    def flush(self) -> bool:
        """Have everything where it outlives the process."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class Latency(TypedDict):
    """How long reads took, in seconds: each is at least as long as that share of the reads took, and less than twice as long."""

    p50: float
    p95: float
    p99: float
    buckets: dict[float, int]
    """Reads, one for many keys that are asked for together, by the time that they took less than."""


class CacheTierStats(TypedDict):
    """What happened at a tier of a cache.

    Attributes
    ----------
    tier
        The class of the tier.
    hits
        Values found here, and given.
    misses
        Values asked for that were not here.
    stale
        Values found here that were too old, or invalidated.
    promoted
        Values copied from here to the first tier.
    demoted
        Values that the tier before drove out, and that came down to here.
    written
        Values that were written through to here.
    declined
        Values not worth their place here.
    dropped
        Values that would have come down, but for too many that wait.
    waiting
        Values and deletions on their way down to here.
    latency
        How long reads took: `p50`, `p95` and `p99` in seconds, and `buckets`, how many reads took less than so many seconds.
    own
        What the tier itself counts since it was made, whoever used it: the keys of `TierStats`, and of `RemoteTierStats` for a tier outside of the process.
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
    """What is to become of a key in a tier."""

    __slots__ = ("data", "replaces", "through")

    def __init__(self, data: bytes | None, *, replaces: bool, through: bool = False) -> None:
        self.data = data
        """What is to be put; None for a key that is to be deleted."""
        self.replaces = replaces
        """Whether the tier may have something else under the key, which must not stay."""
        self.through = through
        """Whether it is written through: the tier gets it, whatever it is worth."""

    def size(self, name: bytes) -> int:
        """Bytes that wait."""
        return len(name) + len(self.data or b"")


@final
class Move:
    """What is worked off. So long, nobody can tell what the tier has."""

    __slots__ = ("name", "waits")

    def __init__(self) -> None:
        self.name = b""
        self.waits: PendingWrite | None = None


class QueuedTier:
    """A tier, and the queue before it. What is in the queue is as if it were done: readers look there first.

    One thread at a time works off the queues of a cache; nobody else changes a tier below the first one. `lock` is that of the queue, and for the first
    tier that of the tier; who holds it may take that of the next tier.
    """

    def __init__(self, tier: AnyTier, capacity: int) -> None:
        self.backend = tier
        self.is_persistent = not isinstance(tier, Memory)
        self.is_local = isinstance(tier, TierCore)
        """Whether asking what is there costs no call to anything outside of the process."""
        self._moving: set[Move] = set()
        self.lock = threading.Lock()
        self.queue: OrderedDict[bytes, PendingWrite] = OrderedDict()
        self._queued_bytes = 0
        self._capacity = capacity
        self._counting = threading.Lock()
        self.hits = self.misses = self.stale = self.promoted = self.demoted = self.written = 0
        self.declined = self.dropped = 0
        self._latencies = [0] * (_BUCKETS + 1)

    def get(self, name: bytes) -> bytes | None:
        """What is here under a name."""
        begun = perf_counter_ns()
        data = self.peek(name)
        self._record_reads(begun, 0 if data is None else 1, 1)
        return data

    def get_many(self, names: list[bytes]) -> list[bytes | None]:
        """What is here under each of these names, with one question to the tier."""
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
        """The same, not counted as a use of this tier."""
        waits = self.queue.get(name) if self.queue else None
        return self.backend.get(name) if waits is None else waits.data

    def count(self, **more: int) -> None:
        """Add to what is counted."""
        with self._counting:
            for what, number in more.items():
                setattr(self, what, getattr(self, what) + number)

    def may_have(self, name: bytes) -> bool:
        """Whether there may be something under a name. The lock is held."""
        return bool(self._moving) or not self.is_local or name in self.queue or name in self.backend

    @property
    def is_crowded(self) -> bool:
        """Whether whoever adds to the queue is to work some off, so that what is written through need not be dropped."""
        return len(self.queue) > _LONG or (self.is_local and self._queued_bytes > self._capacity // 2)

    def enqueue(self, name: bytes, data: bytes | None, *, through: bool = False) -> None:
        """Let a value or a deletion wait. The lock is held."""
        before = self.queue.get(name)
        replaces = through or data is None or (before is not None and before.replaces)
        # What was driven out meanwhile is what is written through.
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
        """Work off what waits for a key, or else what has waited longest."""
        with self.lock:
            self._moving.add(move)
            move.name = next(iter(self.queue), b"") if name is None else name
            move.waits = self.queue.get(move.name)

    def end_move(self, move: Move) -> None:
        """It is done, or given up. Doing it again changes nothing."""
        with self.lock:
            self._moving.discard(move)

    def complete(self, name: bytes, done: PendingWrite) -> None:
        """Something was done, and waits no longer, unless something else has come for the key."""
        with self.lock:
            if self.queue.get(name) is done:
                self._pop(name)

    def after_fork(self) -> None:
        """Go on in a forked process."""
        self.lock, self._counting, self._moving = threading.Lock(), threading.Lock(), set()
        self.queue, self._queued_bytes = OrderedDict(), 0

    def _oldest_value(self) -> bytes | None:
        """The value to drop. What is written through to a tier in the process is not: that tier is quick to work off."""
        values = ((name, waits) for name, waits in self.queue.items() if waits.data is not None)
        return next((name for name, waits in values if not (waits.through and self.is_local)), None)

    def _set(self, name: bytes, waits: PendingWrite) -> None:
        """In one step, or a reader would see what is below."""
        if not self.queue:
            # Whatever a signal has left in the middle of a change.
            self._queued_bytes = 0
        before = self.queue.get(name)
        self.queue[name] = waits
        self.queue.move_to_end(name)
        self._queued_bytes += waits.size(name) - (0 if before is None else before.size(name))

    def _pop(self, name: bytes) -> None:
        self._queued_bytes -= self.queue.pop(name).size(name)

    def names(self) -> Iterator[bytes]:
        """The keys that are here, as of now."""
        with self.lock:
            waiting = {name: waits.data is not None for name, waits in self.queue.items()}
        yield from (name for name, is_value in waiting.items() if is_value)
        yield from (name for name in map(as_name, self.backend) if name not in waiting)

    def stats(self, glances: list[int]) -> CacheTierStats:
        """What happened here so far, with quick looks that gave a value, by the logarithm of the time they took."""
        with self._counting:
            counts: Any = {
                what: getattr(self, what)
                for what in ("hits", "misses", "stale", "promoted", "demoted", "written", "declined", "dropped")
            }
            latencies = list(self._latencies)
        # A value that was too old was found, but not given.
        counts["hits"] += sum(glances) - counts["stale"]
        latencies = [looks + more for looks, more in zip_longest(latencies, glances, fillvalue=0)]
        more = {"waiting": len(self.queue), "latency": _latency(latencies), "own": self.backend.stats()}
        return cast("CacheTierStats", {"tier": type(self.backend).__name__, **counts, **more})


def as_name(key: Key) -> bytes:
    """A key of a tier. A cache has no others than bytes; what else is there is nothing of its own."""
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
