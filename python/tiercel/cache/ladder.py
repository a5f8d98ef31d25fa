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
from tiercel.cache.keys import is_record
from tiercel.cache.level import AnyTier, Level, LevelStats, Move, Waiting, as_name
from tiercel.cache.mover import Mover
from tiercel.cache.refusals import Refusals
from tiercel.cache.tiers import Key, Lasting, Memory
from tiercel.cache.watches import Watch, Watches
from tiercel.errors import ClosedError

__all__ = ["Ladder", "Write"]

Write: TypeAlias = Literal["through", "back"]

# Counters of the sketch: it knows well how often so many keys were asked for.
_SKETCH: Final = 1 << 16
# Steps of work that whoever adds to a crowded queue does.
_SOME: Final = 256


@final
class Ladder:
    """Tiers, first to last."""

    def __init__(self, tiers: Sequence[AnyTier], room: int, write: Write | None) -> None:
        self.levels = [Level(tier, room) for tier in tiers]
        self.refusals = Refusals(tiers)
        self.watches = Watches()
        self.sketch = Sketch(_SKETCH)
        first = tiers[0]
        self._glance = Glance(first, self.sketch) if isinstance(first, Memory) else None
        self._admission = [Admission(self.sketch) for _ in tiers]
        self._working = threading.RLock()
        self._mover = Mover()
        self._process = os.getpid()
        self._inherited = 0
        lasting = next((at for at, level in enumerate(self.levels) if at and level.lasts), None)
        if write is None and lasting is not None and not self.levels[lasting].is_near:
            lasting = None
        self._through = None if write == "back" else lasting
        # A first tier with files gathers what it is given, too.
        self._first_gathers = write != "back" and isinstance(first, Lasting)

    def glance(self, name: bytes, epoch: int, now: int) -> bytes | None:
        """A value of the first tier, without its envelope, if that is quick to tell; the key is counted as asked for."""
        if self._glance is None:
            self.sketch.add(name)
            return None
        return self._glance.look(name, epoch, now)

    def write(self, name: bytes, data: bytes, mine: Watch | None = None) -> bool:
        """Put a value in place of what any tier has, unless what it was made of is outdated; tells whether a tier keeps it."""
        write = Watch(name)
        with Finally(self.watches.end, write):
            self.watches.begin_write(write, mine)
            kept = self._write_first(name, data, write, mine)
            return False if kept is None else kept or self._put_below(data, write)

    def delete(self, name: bytes) -> None:
        """Delete a key from all tiers."""
        write = Watch(name)
        with Finally(self.watches.end, write):
            self.watches.begin_write(write)
            self._delete(name, write, None)

    def remove(self, name: bytes, data: bytes) -> bool:
        """Delete a key whose value is this one. That is no write: who loads the key goes on."""
        watch = Watch(name)
        with Finally(self.watches.end, watch):
            self.watches.begin(watch)
            there = next((there for level in self.levels if (there := level.peek(name)) is not None), None)
            return there == data and self._delete(name, None, watch)

    def memo(self, record: bytes) -> bytes | None:
        """What the first tier, if it is in memory, has under the name of a record."""
        first = self.levels[0]
        return None if first.lasts else first.tier.get(record)

    def keep_memo(self, record: bytes, memo: bytes) -> None:
        """Have it there. No other tier gets it, not even when it is driven out."""
        first, put = self.levels[0], list[_Put]()
        if first.lasts:
            return
        with first.lock, Finally(self._queue_all_evicted, put):
            _put_into(put, first, record, memo)

    def records(self) -> list[bytes]:
        """The names of the records that the first tier has, if it is in memory."""
        first = self.levels[0]
        return [] if first.lasts else [name for name in map(as_name, first.tier) if is_record(name)]

    def stats(self) -> list[LevelStats]:
        """What happened at each tier so far."""
        glances = [] if self._glance is None else self._glance.took()
        return [level.stats(glances if at == 0 else []) for at, level in enumerate(self.levels)]

    def names(self) -> Iterator[bytes]:
        """Every key once."""
        known: set[bytes] = set()
        for level in self.levels:
            for name in level.names():
                if name not in known:
                    known.add(name)
                    yield name

    def finish(self) -> None:
        """What a process does before it ends, unless it is one that was forked from the owner."""
        if self._process != os.getpid():
            return
        with suppress(ClosedError):
            self.copy_down()
            for level in self.levels:
                level.tier.flush()

    def copy_down(self) -> bool:
        """Give what the first tier has to the next one that outlives the process, too, and do all that waits; tells whether that has it."""
        kept = True
        lasting = [at for at, level in enumerate(self.levels) if level.lasts]
        if lasting and lasting[0]:
            for name in [name for name in self.levels[0].names() if not is_record(name)]:
                kept &= self._copy_down(name, lasting[0])
        self.work()
        return kept

    def _copy_down(self, name: bytes, at: int) -> bool:
        level, first = self.levels[at], self.levels[0]
        watch, move = Watch(name), Move()
        with self._working, Finally(self.watches.end, watch), Finally(level.end_move, move):
            self.watches.begin(watch)
            level.begin_move(move, name)
            waits = move.waits
            data = first.tier.get(name)
            with first.lock:
                if data is None or watch.crossed:
                    return True
            wanted = Waiting(data, replaces=waits is not None and waits.replaces)
            kept = self._has(level, name, wanted) or self._put(at, name, data)
            if kept and waits is not None:
                level.settle(name, waits)
            return kept

    def lower(self, name: bytes) -> bool:
        """Let a value of the first tier come down."""
        first, watch = self.levels[0], Watch(name)
        with Finally(self.watches.end, watch):
            self.watches.begin(watch)
            data = first.tier.get(name)
            with first.lock:
                if data is None or watch.crossed:
                    return False
                self._queue(1, [(name, data)])
                first.tier.delete(name)
                return True

    def lift(self, name: bytes) -> bool:
        """Copy a value of a lower tier to the first one."""
        watch = Watch(name)
        with Finally(self.watches.end, watch):
            self.watches.begin(watch)
            for level in self.levels[1:]:
                data = level.peek(name)
                if data is not None:
                    return self.copy_up(name, data if level.is_near else as_copy(data), watch)
        return False

    def copy_up(self, name: bytes, data: bytes, watch: Watch) -> bool:
        """Put what lies below, or lay in the first tier, into the first tier, unless it is outdated; tells whether it is there."""
        first, put = self.levels[0], list[_Put]()
        with first.lock, Finally(self._queue_all_evicted, put):
            if watch.crossed:
                return False
            _put_into(put, first, name, data)
        if put[0][1] or self._first_gathers:
            self._work_soon()
        return put[0][0]

    def _delete(self, name: bytes, write: Watch | None, mine: Watch | None) -> bool:
        """Delete a key from the first tier, and have it deleted from those below."""
        first = self.levels[0]
        with first.lock:
            if mine is not None and mine.crossed:
                return False
            if write is not None:
                self.watches.overtake(write)
            # Before it leaves the first tier, so that nobody sees an older one below.
            pushed = self._replace_below(name, None)
            first.tier.delete(name)
        if pushed or self._first_gathers:
            self._work_soon()
        return True

    def _write_first(self, name: bytes, data: bytes, write: Watch, mine: Watch | None) -> bool | None:
        """Put into the first tier, and let the change wait for those below; None, and nothing is changed, if what the value was made of is outdated."""
        first, put = self.levels[0], list[_Put]()
        if len(self.levels) == 1:
            with first.lock:
                kept = None if mine is not None and mine.crossed else first.tier.put(name, data)
            if self._first_gathers:
                self._work_soon()
            return kept
        # All in one step, or of two who write a key the one could come first here and the other there.
        with first.lock, Finally(self._pass_on, name, data, put):
            if mine is not None and mine.crossed:
                return None
            self.watches.overtake(write)
            _put_into(put, first, name, data)
        self._work_soon()
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
        if len(self.levels) > 1 and evicted:
            self._queue(1, evicted)

    def _put_below(self, data: bytes, write: Watch) -> bool:
        """Put what the first tier does not take into one that does. It may be larger than any queue: so long, the key waits as deleted."""
        name, first, move = write.name, self.levels[0], Move()
        with self._working:
            for at, level in enumerate(self.levels[1:], 1):
                with first.lock:
                    if write.crossed:
                        # Somebody else has written the key since, or is about to.
                        return True
                    with level.lock:
                        level.push(name, None)
                        waits = level.waiting[name]
                with Finally(level.end_move, move):
                    level.begin_move(move, name)
                    # What has been written since waits in its place, and stays when this one is settled.
                    if self._put(at, name, data):
                        level.settle(name, waits)
                        return True
                    self._delete_at(at, name, waits)
        return False

    def _replace_below(self, name: bytes, data: bytes | None) -> bool:
        """Have a value put into the tier that is written through, and the key deleted from all others below the first; tells whether there is something to do.

        From the first of them down: what a move drives out of a tier goes on to the next one unless something waits for the key before the tier. So what
        waits further down stays the last word on the key only if something waits above it already.
        """
        pushed = False
        for at, level in enumerate(self.levels[1:], 1):
            with level.lock:
                wanted = data if at == self._through else None
                if wanted is not None or level.may_have(name):
                    level.push(name, wanted, through=wanted is not None)
                    pushed = True
        return pushed

    def _queue(self, at: int, entries: Iterable[tuple[Key, bytes]]) -> None:
        level = self.levels[at]
        with level.lock:
            for key, data in entries:
                name = as_name(key)
                # A record that waits would come down after a newer one.
                if not is_record(name):
                    level.push(name, data)

    def _work_soon(self) -> None:
        is_crowded, waits = False, self._first_gathers
        for level in self.levels:
            is_crowded |= level.is_crowded
            waits |= bool(level.waiting)
        if is_crowded:
            self.work(_SOME)
        if waits:
            self._mover.tell(self)

    def move(self) -> None:
        """Do what waits, and have the tiers in the process write to their files what they were given."""
        self.work()
        for level in self.levels:
            if isinstance(level.tier, Lasting):
                with suppress(ClosedError):
                    level.tier.write()
        self.refusals.look()

    def work(self, most: int | None = None) -> None:
        """Do what waits, or so much of it."""
        done = 0
        while most is None or done < most:
            with self._working:
                step = next(((at, level) for at, level in enumerate(self.levels) if level.waiting), None)
                if step is None:
                    return
                self._step(*step)
            done += 1

    def _step(self, at: int, level: Level) -> None:
        move = Move()
        with Finally(level.end_move, move):
            level.begin_move(move)
            if move.waits is None:
                return
            try:
                self._bring_down(at, move.name, move.waits)
            except ClosedError:
                # Somebody has closed the tier.
                level.settle(move.name, move.waits)

    def _bring_down(self, at: int, name: bytes, waits: Waiting) -> None:
        level = self.levels[at]
        if waits.data is None:
            self._delete_at(at, name, waits)
        elif self._has(level, name, waits):
            level.settle(name, waits)
        elif (waits.through or self._admission[at].admits(name, waits.data)) and self._put(at, name, waits.data):
            level.count(**{"written" if waits.through else "demoted": 1})
            level.settle(name, waits)
        else:
            level.count(declined=1)
            self._delete_at(at, name, waits)

    def _has(self, level: Level, name: bytes, waits: Waiting) -> bool:
        """Whether a tier need not be given a value: it has it, or one of a tier outside that is as new. If it has another, that must go."""
        if waits.replaces or waits.data is None:
            return False
        parsed = unpack(waits.data)
        if not level.is_near and (is_copy(waits.data) or parsed is None or parsed[0].written <= self._inherited):
            return True
        there = level.tier.get(name)
        if there is None:
            return False
        if level.is_near:
            waits.replaces = there[2:] != waits.data[2:]
            return not waits.replaces
        other = unpack(there)
        return (
            parsed is not None
            and other is not None
            and (other[0].epoch == parsed[0].epoch and other[0].written >= parsed[0].written)
        )

    def _delete_at(self, at: int, name: bytes, waits: Waiting) -> None:
        level = self.levels[at]
        if waits.replaces:
            level.tier.delete(name)
        level.settle(name, waits)

    def _put(self, at: int, name: bytes, data: bytes) -> bool:
        """Put into a tier below the first, and let what it drives out go on."""
        level = self.levels[at]
        kept, evicted = level.tier.put_evicting(name, data)
        with level.lock:
            for gone, old in evicted:
                self._admission[at].evicted(as_name(gone), old)
            if at + 1 < len(self.levels):
                # What waits for such a key is newer than what is driven out.
                self._queue(at + 1, [(gone, old) for gone, old in evicted if gone not in level.waiting])
        return kept

    def renew(self, moment: int) -> None:
        """Go on in a forked process, where threads that held a lock are not. What was there before is the parent's to bring down."""
        self._working, self._mover = threading.RLock(), Mover()
        self._inherited = moment
        self.watches = Watches()
        for level in self.levels:
            level.renew()


# What became of a value, and what it drove out.
_Put: TypeAlias = tuple[bool, Sequence[tuple[Key, bytes]]]


def _put_into(put: list[_Put], level: Level, name: bytes, data: bytes) -> None:
    # Not in two calls, between which a signal may come in: what was driven out would be nowhere.
    put.extend(map(level.tier.put_evicting, (name,), (data,)))
