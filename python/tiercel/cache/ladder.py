"""The tiers of a cache, one below the other, and what moves between them.

```
put ----> first tier --driven out--> queue --worth it?--> second tier --driven out--> queue --> third tier
             ^                                                |
             +------------- seen for the second time ---------+--- get
```

What is promoted stays below, too, so that it need not be written again when it comes down. A key that is written or deleted waits, as a
deletion, before each lower tier that may have it; so a call waits for no tier but the first, and nobody sees what was replaced. One thread works
off the queues. It begins when something waits and ends when nothing does.
"""

import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple, final
from weakref import WeakSet

from tiercel._core import Glance, Sketch
from tiercel.cache.admission import Admission
from tiercel.cache.envelope import Envelope, pack, unpack
from tiercel.cache.keys import is_record
from tiercel.cache.level import AnyTier, Level, LevelStats, Waiting, as_name
from tiercel.cache.namespaces import Namespace
from tiercel.cache.tiers import Key, Memory
from tiercel.cache.watches import Watch, Watches

__all__ = ["SIGHTS", "Ladder", "Seen"]

# Counters of the sketch: it knows well how often so many keys were asked for.
_SKETCH: Final = 1 << 16
# With more than so many in a queue, whoever adds to it works some off.
_LONG: Final = 1 << 14
# How often a key must have been asked for to be copied to the first tier.
SIGHTS: Final = 2
# What was used is marked when it lay unused for an eighth of what it may.
_TOUCH: Final = 8


class Seen(NamedTuple):
    """A value that was found, with its envelope before it."""

    data: bytes
    envelope: Envelope
    start: int
    level: int


@final
class Ladder:
    """Tiers, first to last."""

    def __init__(self, tiers: Sequence[AnyTier], room: int) -> None:
        self.levels = [Level(tier, room) for tier in tiers]
        self.watches = Watches()
        self.sketch = Sketch(_SKETCH)
        first = tiers[0]
        self._glance = Glance(first, self.sketch) if isinstance(first, Memory) else None
        self._admission = [Admission(self.sketch) for _ in tiers]
        self._working = threading.RLock()
        self._starting = threading.Lock()
        self._worker: threading.Thread | None = None
        _LADDERS.add(self)

    def glance(self, name: bytes, epoch: int, now: int) -> bytes | None:
        """A value of the first tier, without its envelope, if that is quick to tell; the key is counted as asked for."""
        if self._glance is None:
            self.sketch.add(name)
            return None
        return self._glance.look(name, epoch, now)

    def find(self, name: bytes, namespace: Namespace, now: int) -> tuple[Seen | None, Seen | None]:
        """A value that may be given, and else one that may stand in for it, or none of them. The key has been counted as asked for."""
        seen, stale = self._judge(0, self.levels[0].look(name), namespace, now)
        if seen is not None:
            self._touch(seen, name, now)
            return seen, None
        if len(self.levels) == 1:
            return None, stale
        with self._watch(name) as watch:
            for at, level in enumerate(self.levels[1:], 1):
                seen, older = self._judge(at, level.look(name), namespace, now)
                stale = stale or older
                if seen is not None:
                    if self.sketch.count(name) >= SIGHTS:
                        self._promote(seen, watch, now)
                    return seen, None
        return None, stale

    def find_many(
        self, names: Sequence[bytes], namespace: Namespace, now: int
    ) -> list[tuple[Seen | None, Seen | None]]:
        """The same of many keys, with one question to each tier."""
        sights = {name: self.sketch.add(name) for name in names}
        found: dict[bytes, tuple[Seen | None, Seen | None]] = {}
        missing = list(sights)
        with ExitStack() as stack:
            watches: dict[bytes, Watch] = {}
            for at, level in enumerate(self.levels):
                if at == 1:
                    watches = {name: stack.enter_context(self._watch(name)) for name in missing}
                for name, data in zip(missing, level.look_many(missing), strict=True):
                    seen, older = self._judge(at, data, namespace, now)
                    found[name] = seen, None if seen else found.get(name, (None, None))[1] or older
                    if seen is not None and at == 0:
                        self._touch(seen, name, now)
                    elif seen is not None and sights[name] >= SIGHTS:
                        self._promote(seen, watches[name], now)
                missing = [name for name in missing if found[name][0] is None]
        return [found[name] for name in names]

    def peek(self, name: bytes, namespace: Namespace, now: int) -> Seen | None:
        """A value that may be given; this is no use of it."""
        return self._peek(name, namespace, now, range(len(self.levels)))

    def peek_nearby(self, name: bytes, namespace: Namespace, now: int) -> Seen | None:
        """The same, without a call to anything outside of the process."""
        return self._peek(name, namespace, now, (at for at, level in enumerate(self.levels) if level.is_near))

    def _peek(self, name: bytes, namespace: Namespace, now: int, places: Iterable[int]) -> Seen | None:
        for at in places:
            data = self.levels[at].peek(name)
            parsed = None if data is None else unpack(data)
            if data is not None and parsed is not None and namespace.allows(parsed[0]) and parsed[0].is_fresh(now):
                return Seen(data, *parsed, at)
        return None

    def _judge(self, at: int, data: bytes | None, namespace: Namespace, now: int) -> tuple[Seen | None, Seen | None]:
        """What a tier gave, if it may be given, and else if it may stand in."""
        if data is None:
            return None, None
        parsed = unpack(data)
        if parsed is not None and namespace.allows(parsed[0]):
            seen = Seen(data, *parsed, at)
            if seen.envelope.is_fresh(now):
                return seen, None
            self.levels[at].count(stale=1)
            return None, seen if seen.envelope.is_kept(now) else None
        self.levels[at].count(stale=1)
        return None, None

    def write(self, name: bytes, data: bytes, mine: Watch | None = None) -> bool:
        """Put a value in place of what any tier has, unless what it was made of is outdated; tells whether a tier keeps it."""
        with self._writing(name, mine):
            kept = self._put_first(name, data, mine)
            if kept is None:
                return False
            if kept:
                self._delete_below(name, 1)
                return True
            return self._put_below(name, data)

    def delete(self, name: bytes, mine: Watch | None = None) -> bool:
        """Delete a key from all tiers, unless it was written since it was looked at."""
        first = self.levels[0]
        with self._writing(name, mine):
            with first.lock:
                if mine is not None and mine.crossed:
                    return False
                first.tier.delete(name)
            self._delete_below(name, 1)
            return True

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

    def copy_down(self) -> None:
        """Give what the first tier has to the next one, too, and do all that waits."""
        if len(self.levels) > 1 and not self.levels[0].lasts:
            for name in self.levels[0].names():
                self._bring_down(name, stays=True)
                self.work(1)
        self.work()

    def lower(self, name: bytes) -> bool:
        """Let a value of the first tier come down."""
        return self._bring_down(name, stays=False)

    def lift(self, name: bytes) -> bool:
        """Copy a value of a lower tier to the first one."""
        with self._watch(name) as watch:
            data = next((data for level in self.levels[1:] if (data := level.peek(name)) is not None), None)
            return data is not None and self._copy_up(data, watch)

    def remove(self, name: bytes, data: bytes) -> bool:
        """Delete a key whose value is this one."""
        with self._watch(name) as watch:
            there = next((there for level in self.levels if (there := level.peek(name)) is not None), None)
            return there == data and self.delete(name, watch)

    def _bring_down(self, name: bytes, *, stays: bool) -> bool:
        first = self.levels[0]
        with self._watch(name) as watch:
            data = first.tier.get(name)
            with self._writing(name, watch), first.lock:
                if data is None or watch.crossed:
                    return False
                if not stays:
                    first.tier.delete(name)
                self._queue(1, [(name, data)])
                return True

    @contextmanager
    def _writing(self, name: bytes, mine: Watch | None) -> Generator[None]:
        self.watches.begin_write(name, mine)
        try:
            yield
        finally:
            self.watches.end_write(name)

    @contextmanager
    def _watch(self, name: bytes) -> Generator[Watch]:
        watch = self.watches.begin(name)
        try:
            yield watch
        finally:
            self.watches.end(watch)

    def _promote(self, seen: Seen, watch: Watch, now: int) -> None:
        """Copy a value that was used to the first tier, unless it is outdated."""
        data = _touched(seen, now) if seen.envelope.idle else seen.data
        if self._copy_up(data, watch):
            self.levels[seen.level].count(promoted=1)

    def _copy_up(self, data: bytes, watch: Watch) -> bool:
        with self._writing(watch.name, watch):
            return self._put_first(watch.name, data, watch) is True

    def _touch(self, seen: Seen, name: bytes, now: int) -> None:
        """Mark a value as used that must not lie unused for long."""
        if not seen.envelope.idle or now < seen.envelope.touched + seen.envelope.idle // _TOUCH:
            return
        with self._watch(name) as watch:
            if self.levels[0].tier.get(name) == seen.data:
                self.write(name, _touched(seen, now), watch)

    def _put_first(self, name: bytes, data: bytes, mine: Watch | None) -> bool | None:
        """Put into the first tier; None, and nothing is changed, if what the value was made of is outdated."""
        first = self.levels[0]
        with first.lock:
            if mine is not None and mine.crossed:
                return None
            kept, evicted = first.tier.put_evicting(name, data)
            if len(self.levels) > 1:
                self._queue(1, evicted)
        if evicted:
            self._work_soon()
        return kept

    def _put_below(self, name: bytes, data: bytes) -> bool:
        """Put what the first tier does not take into one that does. It may be larger than any queue: so long, the key waits as deleted."""
        with self._working:
            for at, level in enumerate(self.levels[1:], 1):
                with level.lock:
                    level.push(name, None)
                with level.moved(name) as (_, waits):
                    if waits is None:
                        return False
                    if self._put(at, name, data):
                        level.settle(name, waits)
                        self._delete_below(name, at + 1)
                        return True
                    self._delete(at, name, waits)
        return False

    def _delete_below(self, name: bytes, at: int) -> None:
        pushed = False
        for level in self.levels[at:]:
            with level.lock:
                if level.may_have(name):
                    level.push(name, None)
                    pushed = True
        if pushed:
            self._work_soon()

    def _queue(self, at: int, entries: Iterable[tuple[Key, bytes]]) -> None:
        level = self.levels[at]
        with level.lock:
            for name, data in entries:
                # A record that waits would come down after a newer one.
                if not is_record(as_name(name)):
                    level.push(as_name(name), data)

    def _work_soon(self) -> None:
        if any(len(level.waiting) > _LONG for level in self.levels):
            self.work(_LONG // 64)
        with self._starting:
            if self._worker is None and any(level.waiting for level in self.levels):
                self._worker = threading.Thread(target=self._work_all, name="tiercel-cache", daemon=True)
                self._worker.start()

    def _work_all(self) -> None:
        while True:
            self.work()
            with self._starting:
                if not any(level.waiting for level in self.levels):
                    self._worker = None
                    return

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
        with level.moved() as (name, waits):
            if waits is None:
                return
            if waits.data is None:
                self._delete(at, name, waits)
            elif level.is_near and not waits.replaces and name in level.tier:
                level.settle(name, waits)
            elif self._admission[at].admits(name, waits.data) and self._put(at, name, waits.data):
                level.count(demoted=1)
                level.settle(name, waits)
            else:
                level.count(declined=1)
                self._delete(at, name, waits)

    def _delete(self, at: int, name: bytes, waits: Waiting) -> None:
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

    def renew(self) -> None:
        """Go on in a forked process, where threads that held a lock are not."""
        self._working, self._starting, self._worker = threading.RLock(), threading.Lock(), None
        self.watches = Watches()
        for level in self.levels:
            level.renew()


_LADDERS: Final[WeakSet[Ladder]] = WeakSet()


def _renew_all() -> None:
    for ladder in list(_LADDERS):
        ladder.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


def _touched(seen: Seen, now: int) -> bytes:
    return pack(seen.envelope._replace(touched=now), seen.data[seen.start :])
