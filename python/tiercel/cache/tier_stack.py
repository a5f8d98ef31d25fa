"""The stack of tiers of a cache, and how values move between them. `lookup.py` reads from it.

```
put ----> first tier ---evicted---> queue --admitted?--> second tier ---evicted---> queue --> third tier
             ^                                               |
             +-------- promoted at the second request -------+--- get
```

`put` also writes through to the first persistent tier below, by the same queue but without the admission check.
A promoted value also stays below, so that demoting it again costs no write. Copies of values of a
remote tier are marked as copies, because another process may have written there since.

A write or deletion of a key queues a deletion for each lower tier that may have the key. A call
therefore waits only for the first tier, and no reader sees a replaced value. One thread drains the
queues (`mover.py`) and makes the tiers write their buffers to their files.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Literal, TypeAlias, final

from tiercel._core import FastPath, Finally, Sketch
from tiercel.cache.admission import Admission
from tiercel.cache.envelope import as_copy, is_copy, unpack
from tiercel.cache.health import HealthLog
from tiercel.cache.keys import Key, is_record
from tiercel.cache.leases import Lease, Leases
from tiercel.cache.mover import Mover
from tiercel.cache.queued_tier import AnyTier, CacheTierStats, Move, PendingWrite, QueuedTier, as_name
from tiercel.cache.tiers import Memory, PersistentTier
from tiercel.errors import ClosedError

__all__ = ["TierStack", "Write"]

Write: TypeAlias = Literal["through", "back"]

# Counters of the sketch, which is accurate for about as many keys.
_SKETCH: Final = 1 << 16
# Queued operations that a writer applies itself when a queue is long.
_STEPS: Final = 256


@final
class TierStack:
    """The tiers of a cache, first to last."""

    def __init__(self, tiers: Sequence[AnyTier], capacity: int, write: Write | None) -> None:
        self.tiers = [QueuedTier(tier, capacity) for tier in tiers]
        self.health = HealthLog(tiers)
        self.leases = Leases()
        self.sketch = Sketch(_SKETCH)
        first = tiers[0]
        self._fast_path = FastPath(first, self.sketch) if isinstance(first, Memory) else None
        self._admission = [Admission(self.sketch) for _ in tiers]
        self._working = threading.RLock()
        self._mover = Mover()
        self._is_forked = False
        self._forked_at = 0
        lasting = next((at for at, tier in enumerate(self.tiers) if at and tier.is_persistent), None)
        if write is None and lasting is not None and not self.tiers[lasting].is_local:
            lasting = None
        self._write_through_at = None if write == "back" else lasting
        # A first tier with files also buffers writes.
        self._first_buffers = write != "back" and isinstance(first, PersistentTier)

    def get_fast(self, name: bytes, epoch: int, now: int) -> bytes | None:
        """Return a value of the first tier without its envelope, and count the request.

        Return None if the fast path does not apply.
        """
        if self._fast_path is None:
            self.sketch.add(name)
            return None
        return self._fast_path.get(name, epoch, now)

    def write(self, name: bytes, data: bytes, own: Lease | None = None) -> bool:
        """Replace the value in all tiers unless the lease `own` was revoked.

        Return whether a tier keeps the value.
        """
        write = Lease(name)
        with Finally(self.leases.end, write):
            self.leases.begin_write(write, own)
            kept = self._write_first(name, data, write, own)
            return False if kept is None else kept or self._put_below(data, write)

    def delete(self, name: bytes) -> None:
        """Delete a key from all tiers."""
        write = Lease(name)
        with Finally(self.leases.end, write):
            self.leases.begin_write(write)
            self._delete(name, write, None)

    def remove(self, name: bytes, data: bytes) -> bool:
        """Delete a key if it has this value. This is not a write: a load of the key goes on."""
        lease = Lease(name)
        with Finally(self.leases.end, lease):
            self.leases.begin(lease)
            there = next((there for tier in self.tiers if (there := tier.peek(name)) is not None), None)
            return there == data and self._delete(name, None, lease)

    def memo(self, record: bytes) -> bytes | None:
        """Return what the first tier has under the name of a record, if that tier is in memory."""
        first = self.tiers[0]
        return None if first.is_persistent else first.backend.get(record)

    def keep_memo(self, record: bytes, memo: bytes) -> None:
        """Store a memo in the first tier, if that is in memory. It never moves to another tier."""
        first, put = self.tiers[0], list[_Put]()
        if first.is_persistent:
            return
        with first.lock, Finally(self._queue_all_evicted, put):
            _put_into(put, first, record, memo)

    def records(self) -> list[bytes]:
        """List the names of the records in the first tier, if that is in memory."""
        first = self.tiers[0]
        return [] if first.is_persistent else [name for name in map(as_name, first.backend) if is_record(name)]

    def stats(self) -> list[CacheTierStats]:
        """Return the counters of each tier."""
        fast_reads = [] if self._fast_path is None else self._fast_path.latencies()
        return [tier.stats(fast_reads if at == 0 else []) for at, tier in enumerate(self.tiers)]

    def names(self) -> Iterator[bytes]:
        """Iterate over all keys, each once."""
        known: set[bytes] = set()
        for tier in self.tiers:
            for name in tier.names():
                if name not in known:
                    known.add(name)
                    yield name

    def finish(self) -> None:
        """Flush before the process exits, except in a forked child of the owner."""
        if self._is_forked:
            return
        with suppress(ClosedError):
            self.write_back()
            for tier in self.tiers:
                tier.backend.flush()

    def write_back(self) -> bool:
        """Write the values of the first tier to the first persistent tier below.

        Also drain the queues. Return whether the writes succeeded.
        """
        kept = True
        lasting = [at for at, tier in enumerate(self.tiers) if tier.is_persistent]
        if lasting and lasting[0]:
            for name in [name for name in self.tiers[0].names() if not is_record(name)]:
                kept &= self._write_back(name, lasting[0])
        self.drain()
        return kept

    def _write_back(self, name: bytes, at: int) -> bool:
        tier, first = self.tiers[at], self.tiers[0]
        lease, move = Lease(name), Move()
        with self._working, Finally(self.leases.end, lease), Finally(tier.end_move, move):
            self.leases.begin(lease)
            tier.begin_move(move, name)
            waits = move.waits
            data = first.backend.get(name)
            with first.lock:
                if data is None or lease.revoked:
                    return True
            wanted = PendingWrite(data, replaces=waits is not None and waits.replaces)
            kept = self._has(tier, name, wanted) or self._put(at, name, data)
            if kept and waits is not None:
                tier.complete(name, waits)
            return kept

    def demote(self, name: bytes) -> bool:
        """Move a value of the first tier down."""
        first, lease = self.tiers[0], Lease(name)
        with Finally(self.leases.end, lease):
            self.leases.begin(lease)
            data = first.backend.get(name)
            with first.lock:
                if data is None or lease.revoked:
                    return False
                self._queue(1, [(name, data)])
                first.backend.delete(name)
                return True

    def promote(self, name: bytes) -> bool:
        """Copy a value of a lower tier to the first one."""
        lease = Lease(name)
        with Finally(self.leases.end, lease):
            self.leases.begin(lease)
            for tier in self.tiers[1:]:
                data = tier.peek(name)
                if data is not None:
                    return self.put_first(name, data if tier.is_local else as_copy(data), lease)
        return False

    def put_first(self, name: bytes, data: bytes, lease: Lease) -> bool:
        """Put a value that was read from any tier into the first one, unless the lease was revoked.

        Return whether the first tier has it.
        """
        first, put = self.tiers[0], list[_Put]()
        with first.lock, Finally(self._queue_all_evicted, put):
            if lease.revoked:
                return False
            _put_into(put, first, name, data)
        if put[0][1] or self._first_buffers:
            self._schedule()
        return put[0][0]

    def _delete(self, name: bytes, write: Lease | None, own: Lease | None) -> bool:
        """Delete a key from the first tier, and queue its deletion for those below."""
        first = self.tiers[0]
        with first.lock:
            if own is not None and own.revoked:
                return False
            if write is not None:
                self.leases.overtake(write)
            # Before it leaves the first tier, so that no reader finds an older value below.
            pushed = self._replace_below(name, None)
            first.backend.delete(name)
        if pushed or self._first_buffers:
            self._schedule()
        return True

    def _write_first(self, name: bytes, data: bytes, write: Lease, own: Lease | None) -> bool | None:
        """Put a value into the first tier and queue the change for those below.

        Change nothing and return None if `own` was revoked.
        """
        first, put = self.tiers[0], list[_Put]()
        if len(self.tiers) == 1:
            with first.lock:
                kept = None if own is not None and own.revoked else first.backend.put(name, data)
            if self._first_buffers:
                self._schedule()
            return kept
        # In one step: otherwise two writes of a key could be applied in one order here and in the
        # other below.
        with first.lock, Finally(self._pass_on, name, data, put):
            if own is not None and own.revoked:
                return None
            self.leases.overtake(write)
            _put_into(put, first, name, data)
        self._schedule()
        return put[0][0]

    def _pass_on(self, name: bytes, data: bytes, put: list["_Put"]) -> None:
        """Queue the results of puts into the first tier for the tiers below. The caller holds its lock."""
        for kept, evicted in put:
            self._replace_below(name, data if kept else None)
            self._queue_evicted(evicted)

    def _queue_all_evicted(self, put: list["_Put"]) -> None:
        for _, evicted in put:
            self._queue_evicted(evicted)

    def _queue_evicted(self, evicted: Sequence[tuple[Key, bytes]]) -> None:
        if len(self.tiers) > 1 and evicted:
            self._queue(1, evicted)

    def _put_below(self, data: bytes, write: Lease) -> bool:
        """Put a value that does not fit the first tier into one that it fits.

        It may be too large for any queue, so a deletion is queued meanwhile.
        """
        name, first, move = write.name, self.tiers[0], Move()
        with self._working:
            for at, tier in enumerate(self.tiers[1:], 1):
                with first.lock:
                    if write.revoked:
                        # Another caller has written the key since, or is about to.
                        return True
                    with tier.lock:
                        tier.enqueue(name, None)
                        waits = tier.queue[name]
                with Finally(tier.end_move, move):
                    tier.begin_move(move, name)
                    # A newer write replaces this one in the queue, and stays there when this one
                    # completes.
                    if self._put(at, name, data):
                        tier.complete(name, waits)
                        return True
                    self._delete_at(at, name, waits)
        return False

    def _replace_below(self, name: bytes, data: bytes | None) -> bool:
        """Queue a value for the write-through tier, and a deletion for the other lower tiers.

        Return whether anything was queued.

        Visit the tiers from the top. Otherwise a value that a move evicts from an upper tier would be
        queued for a lower one after this operation, and replace its result.
        """
        pushed = False
        for at, tier in enumerate(self.tiers[1:], 1):
            with tier.lock:
                wanted = data if at == self._write_through_at else None
                if wanted is not None or tier.may_have(name):
                    tier.enqueue(name, wanted, through=wanted is not None)
                    pushed = True
        return pushed

    def _queue(self, at: int, entries: Iterable[tuple[Key, bytes]]) -> None:
        tier = self.tiers[at]
        with tier.lock:
            for key, data in entries:
                name = as_name(key)
                # A queued record would arrive after a newer one.
                if not is_record(name):
                    tier.enqueue(name, data)

    def _schedule(self) -> None:
        is_crowded, waits = False, self._first_buffers
        for tier in self.tiers:
            is_crowded |= tier.is_crowded
            waits |= bool(tier.queue)
        if is_crowded:
            self.drain(_STEPS)
        if waits:
            self._mover.notify(self)

    def move(self) -> None:
        """Drain the queues, and make the local tiers write their buffers to their files."""
        self.drain()
        for tier in self.tiers:
            if isinstance(tier.backend, PersistentTier):
                with suppress(ClosedError):
                    tier.backend.write()
        self.health.check()

    def drain(self, most: int | None = None) -> None:
        """Apply all queued operations, or at most `most` of them."""
        done = 0
        while most is None or done < most:
            with self._working:
                step = next(((at, tier) for at, tier in enumerate(self.tiers) if tier.queue), None)
                if step is None:
                    return
                self._step(*step)
            done += 1

    def _step(self, at: int, tier: QueuedTier) -> None:
        move = Move()
        with Finally(tier.end_move, move):
            tier.begin_move(move)
            if move.waits is None:
                return
            try:
                self._apply(at, move.name, move.waits)
            except ClosedError:
                # The tier was closed.
                tier.complete(move.name, move.waits)

    def _apply(self, at: int, name: bytes, waits: PendingWrite) -> None:
        tier = self.tiers[at]
        if waits.data is None:
            self._delete_at(at, name, waits)
        elif self._has(tier, name, waits):
            tier.complete(name, waits)
        elif (waits.through or self._admission[at].admits(name, waits.data)) and self._put(at, name, waits.data):
            tier.count(**{"written" if waits.through else "demoted": 1})
            tier.complete(name, waits)
        else:
            tier.count(declined=1)
            self._delete_at(at, name, waits)

    def _has(self, tier: QueuedTier, name: bytes, waits: PendingWrite) -> bool:
        """Return whether a tier needs no write: it has the value, or is remote and has one as new.

        Mark a different value in a local tier for removal.
        """
        if waits.replaces or waits.data is None:
            return False
        parsed = unpack(waits.data)
        if not tier.is_local and (is_copy(waits.data) or parsed is None or parsed[0].written <= self._forked_at):
            return True
        there = tier.backend.get(name)
        if there is None:
            return False
        if tier.is_local:
            waits.replaces = there[2:] != waits.data[2:]
            return not waits.replaces
        other = unpack(there)
        return (
            parsed is not None
            and other is not None
            and (other[0].epoch == parsed[0].epoch and other[0].written >= parsed[0].written)
        )

    def _delete_at(self, at: int, name: bytes, waits: PendingWrite) -> None:
        tier = self.tiers[at]
        if waits.replaces:
            tier.backend.delete(name)
        tier.complete(name, waits)

    def _put(self, at: int, name: bytes, data: bytes) -> bool:
        """Put a value into a tier below the first, and queue what it evicts for the next one."""
        tier = self.tiers[at]
        kept, evicted = tier.backend.put_evicting(name, data)
        with tier.lock:
            for gone, old in evicted:
                self._admission[at].evicted(as_name(gone), old)
            if at + 1 < len(self.tiers):
                # An operation queued for the key is newer than the evicted value.
                self._queue(at + 1, [(gone, old) for gone, old in evicted if gone not in tier.queue])
        return kept

    def after_fork(self, moment: int) -> None:
        """Continue in a forked process, without the threads that held locks. The parent applies what was queued."""
        self._working, self._mover = threading.RLock(), Mover()
        self._is_forked, self._forked_at = True, moment
        self.leases.after_fork()
        for tier in self.tiers:
            tier.after_fork()


# Whether a value was kept, and what it evicted.
_Put: TypeAlias = tuple[bool, Sequence[tuple[Key, bytes]]]


def _put_into(put: list[_Put], tier: QueuedTier, name: bytes, data: bytes) -> None:
    # In one call: a signal between two calls would lose what was evicted.
    put.extend(map(tier.backend.put_evicting, (name,), (data,)))
