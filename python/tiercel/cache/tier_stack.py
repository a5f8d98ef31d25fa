"""The tiers of a cache, one below the other, and what moves between them. `lookup.py` finds values in them.

```
put ----> first tier --driven out--> queue --worth it?--> second tier --driven out--> queue --> third tier
             ^                                                |
             +------------- seen for the second time ---------+--- get
```

What is put is written through as well, by the same queue, to the first tier below that outlives the process; worth is not asked then. What is
promoted stays below, too, so that it need not be written again when it comes down; a copy of what a tier outside of the process has is marked,
for somebody else may have written there since. A key that is written or deleted waits, as a
deletion, before each lower tier that may have it; so a call waits for no tier but the first, and nobody sees what was replaced. One thread works
off the queues (`mover.py`), and has the tiers write to their files what they were given.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Literal, TypeAlias, final

from tiercel._core import Finally, Glance, Sketch
from tiercel.cache.admission import Admission
from tiercel.cache.envelope import as_copy, is_copy, unpack
from tiercel.cache.health import HealthLog
from tiercel.cache.keys import is_record
from tiercel.cache.leases import Lease, Leases
from tiercel.cache.mover import Mover
from tiercel.cache.queued_tier import AnyTier, CacheTierStats, Move, PendingWrite, QueuedTier, as_name
from tiercel.cache.tiers import Key, Memory, PersistentTier
from tiercel.errors import ClosedError

__all__ = ["TierStack", "Write"]

Write: TypeAlias = Literal["through", "back"]

# Counters of the sketch: it knows well how often so many keys were asked for.
_SKETCH: Final = 1 << 16
# Steps of work that whoever adds to a crowded queue does.
_STEPS: Final = 256


@final
class TierStack:
    """Tiers, first to last."""

    def __init__(self, tiers: Sequence[AnyTier], capacity: int, write: Write | None) -> None:
        self.tiers = [QueuedTier(tier, capacity) for tier in tiers]
        self.health = HealthLog(tiers)
        self.leases = Leases()
        self.sketch = Sketch(_SKETCH)
        first = tiers[0]
        self._glance = Glance(first, self.sketch) if isinstance(first, Memory) else None
        self._admission = [Admission(self.sketch) for _ in tiers]
        self._working = threading.RLock()
        self._mover = Mover()
        self._process = os.getpid()
        self._forked_at = 0
        lasting = next((at for at, tier in enumerate(self.tiers) if at and tier.is_persistent), None)
        if write is None and lasting is not None and not self.tiers[lasting].is_local:
            lasting = None
        self._write_through_at = None if write == "back" else lasting
        # A first tier with files gathers what it is given, too.
        self._first_buffers = write != "back" and isinstance(first, PersistentTier)

    def glance(self, name: bytes, epoch: int, now: int) -> bytes | None:
        """A value of the first tier, without its envelope, if that is quick to tell; the key is counted as asked for."""
        if self._glance is None:
            self.sketch.add(name)
            return None
        return self._glance.look(name, epoch, now)

    def write(self, name: bytes, data: bytes, own: Lease | None = None) -> bool:
        """Put a value in place of what any tier has, unless what it was made of is outdated; tells whether a tier keeps it."""
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
        """Delete a key whose value is this one. That is no write: who loads the key goes on."""
        lease = Lease(name)
        with Finally(self.leases.end, lease):
            self.leases.begin(lease)
            there = next((there for tier in self.tiers if (there := tier.peek(name)) is not None), None)
            return there == data and self._delete(name, None, lease)

    def memo(self, record: bytes) -> bytes | None:
        """What the first tier, if it is in memory, has under the name of a record."""
        first = self.tiers[0]
        return None if first.is_persistent else first.backend.get(record)

    def keep_memo(self, record: bytes, memo: bytes) -> None:
        """Have it there. No other tier gets it, not even when it is driven out."""
        first, put = self.tiers[0], list[_Put]()
        if first.is_persistent:
            return
        with first.lock, Finally(self._queue_all_evicted, put):
            _put_into(put, first, record, memo)

    def records(self) -> list[bytes]:
        """The names of the records that the first tier has, if it is in memory."""
        first = self.tiers[0]
        return [] if first.is_persistent else [name for name in map(as_name, first.backend) if is_record(name)]

    def stats(self) -> list[CacheTierStats]:
        """What happened at each tier so far."""
        glances = [] if self._glance is None else self._glance.took()
        return [tier.stats(glances if at == 0 else []) for at, tier in enumerate(self.tiers)]

    def names(self) -> Iterator[bytes]:
        """Every key once."""
        known: set[bytes] = set()
        for tier in self.tiers:
            for name in tier.names():
                if name not in known:
                    known.add(name)
                    yield name

    def finish(self) -> None:
        """What a process does before it ends, unless it is one that was forked from the owner."""
        if self._process != os.getpid():
            return
        with suppress(ClosedError):
            self.write_back()
            for tier in self.tiers:
                tier.backend.flush()

    def write_back(self) -> bool:
        """Give what the first tier has to the next one that outlives the process, too, and do all that waits; tells whether that has it."""
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
        """Let a value of the first tier come down."""
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
        """Put what lies below, or lay in the first tier, into the first tier, unless it is outdated; tells whether it is there."""
        first, put = self.tiers[0], list[_Put]()
        with first.lock, Finally(self._queue_all_evicted, put):
            if lease.revoked:
                return False
            _put_into(put, first, name, data)
        if put[0][1] or self._first_buffers:
            self._schedule()
        return put[0][0]

    def _delete(self, name: bytes, write: Lease | None, own: Lease | None) -> bool:
        """Delete a key from the first tier, and have it deleted from those below."""
        first = self.tiers[0]
        with first.lock:
            if own is not None and own.revoked:
                return False
            if write is not None:
                self.leases.overtake(write)
            # Before it leaves the first tier, so that nobody sees an older one below.
            pushed = self._replace_below(name, None)
            first.backend.delete(name)
        if pushed or self._first_buffers:
            self._schedule()
        return True

    def _write_first(self, name: bytes, data: bytes, write: Lease, own: Lease | None) -> bool | None:
        """Put into the first tier, and let the change wait for those below; None, and nothing is changed, if what the value was made of is outdated."""
        first, put = self.tiers[0], list[_Put]()
        if len(self.tiers) == 1:
            with first.lock:
                kept = None if own is not None and own.revoked else first.backend.put(name, data)
            if self._first_buffers:
                self._schedule()
            return kept
        # All in one step, or of two who write a key the one could come first here and the other there.
        with first.lock, Finally(self._pass_on, name, data, put):
            if own is not None and own.revoked:
                return None
            self.leases.overtake(write)
            _put_into(put, first, name, data)
        self._schedule()
        return put[0][0]

    def _pass_on(self, name: bytes, data: bytes, put: list["_Put"]) -> None:
        """The tiers below hear of what was put into the first one. The lock of that is held."""
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
        """Put what the first tier does not take into one that does. It may be larger than any queue: so long, the key waits as deleted."""
        name, first, move = write.name, self.tiers[0], Move()
        with self._working:
            for at, tier in enumerate(self.tiers[1:], 1):
                with first.lock:
                    if write.revoked:
                        # Somebody else has written the key since, or is about to.
                        return True
                    with tier.lock:
                        tier.enqueue(name, None)
                        waits = tier.queue[name]
                with Finally(tier.end_move, move):
                    tier.begin_move(move, name)
                    # What has been written since waits in its place, and stays when this one is settled.
                    if self._put(at, name, data):
                        tier.complete(name, waits)
                        return True
                    self._delete_at(at, name, waits)
        return False

    def _replace_below(self, name: bytes, data: bytes | None) -> bool:
        """Have a value put into the tier that is written through, and the key deleted from all others below the first; tells whether there is something to do.

        From the first of them down: what a move drives out of a tier goes on to the next one unless something waits for the key before the tier. So what
        waits further down stays the last word on the key only if something waits above it already.
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
                # A record that waits would come down after a newer one.
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
        """Do what waits, and have the tiers in the process write to their files what they were given."""
        self.drain()
        for tier in self.tiers:
            if isinstance(tier.backend, PersistentTier):
                with suppress(ClosedError):
                    tier.backend.write()
        self.health.check()

    def drain(self, most: int | None = None) -> None:
        """Do what waits, or so much of it."""
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
                # Somebody has closed the tier.
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
        """Whether a tier need not be given a value: it has it, or one of a tier outside that is as new. If it has another, that must go."""
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
        """Put into a tier below the first, and let what it drives out go on."""
        tier = self.tiers[at]
        kept, evicted = tier.backend.put_evicting(name, data)
        with tier.lock:
            for gone, old in evicted:
                self._admission[at].evicted(as_name(gone), old)
            if at + 1 < len(self.tiers):
                # What waits for such a key is newer than what is driven out.
                self._queue(at + 1, [(gone, old) for gone, old in evicted if gone not in tier.queue])
        return kept

    def after_fork(self, moment: int) -> None:
        """Go on in a forked process, where threads that held a lock are not. What was there before is the parent's to bring down."""
        self._working, self._mover = threading.RLock(), Mover()
        self._forked_at = moment
        self.leases = Leases()
        for tier in self.tiers:
            tier.after_fork()


# What became of a value, and what it drove out.
_Put: TypeAlias = tuple[bool, Sequence[tuple[Key, bytes]]]


def _put_into(put: list[_Put], tier: QueuedTier, name: bytes, data: bytes) -> None:
    # Not in two calls, between which a signal may come in: what was driven out would be nowhere.
    put.extend(map(tier.backend.put_evicting, (name,), (data,)))
