"""Namespaces, and what of them was invalidated.

A namespace has an epoch, which every value carries: a new epoch makes all of its values invalid at once. It has a turn, too, which each
invalidation of tags raises: values of an earlier turn that have the tag are invalid. Both are counted, not read from a clock, since clocks are
set back and differ. Each tier that outlives the process has a record of them from the first value or invalidation on, and has it on its disk
before an invalidation is acknowledged. A tier may lose the record as it may lose any value: then the namespace begins a new epoch, and nothing
old is given.

A process knows a namespace as long as somebody uses it. What it knew lies in the first tier then, if that is in memory, under the name of the record, counts
against its size like a value, and may be driven out like one.
"""

import threading
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from tiercel.cache.envelope import Envelope
from tiercel.cache.keys import prefix_of, record_name
from tiercel.cache.ladder import Ladder
from tiercel.cache.level import Level
from tiercel.cache.notes import Notes
from tiercel.cache.records import Knowledge, Told, read_memo, read_record, write_memo, write_record

if TYPE_CHECKING:
    from tiercel.cache.prefetch import Prefetcher

__all__ = ["Epochs", "Namespace"]


class Epochs:
    """Numbers of epochs, each larger than all before: moments in nanoseconds, so that other processes have others."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._now = clock
        self._lock = threading.Lock()
        self._last = 0
        self.changes = 0
        """How often anything was invalidated."""

    def next(self) -> int:
        """The next one."""
        with self._lock:
            self._last = max(self._last + 1, self._now())
            return self._last

    def changed(self) -> None:
        """Something is being invalidated."""
        with self._lock:
            self.changes += 1

    def renew(self) -> None:
        """Go on in a forked process."""
        self._lock = threading.Lock()

    def leave_behind(self, epoch: int) -> None:
        """Give only larger ones from now on: the clock may have been set back."""
        with self._lock:
            self._last = max(self._last, epoch)


class Namespace:
    """What is valid in a namespace."""

    def __init__(
        self, name: str, ladder: Ladder, epochs: Epochs, notes: Notes, held: MutableMapping[str, "Namespace"]
    ) -> None:
        self.name = name
        self.prefix = prefix_of(name)
        self._ladder = ladder
        self._notes = notes
        self._held = held
        self._prefetcher: Prefetcher | None = None
        self._lasting = [level for level in ladder.levels if level.lasts]
        self._epochs = epochs
        self._record = record_name(name)
        self._lock = threading.Lock()
        # Apart from the other one: a tier outside of the process may take its time.
        self._keeping = threading.Lock()
        self._asked_of = 0
        memo = read_memo(ladder.memo(self._record))
        # Replaced as a whole, so that nobody reads parts of two.
        self._known = Knowledge(epochs.next(), is_first=True) if memo is None else memo.knowledge
        self._begun = memo is not None and memo.begun
        if memo is None and self._learn(self._read()):
            self._remember(begun=False)

    @property
    def prefetcher(self) -> "Prefetcher | None":
        """What loads ahead in it."""
        return self._prefetcher

    @prefetcher.setter
    def prefetcher(self, prefetcher: "Prefetcher") -> None:
        self._held[self.name] = self
        self._prefetcher = prefetcher

    @property
    def epoch(self) -> int:
        """What every valid value carries."""
        return self._known.epoch

    @property
    def stamp(self) -> tuple[int, int]:
        """Epoch and turn, which a value carries that begins to be made now."""
        known = self._known
        return known.epoch, known.turn

    def renew(self) -> None:
        """Go on in a forked process."""
        self._lock, self._keeping = threading.Lock(), threading.Lock()

    def allows(self, envelope: Envelope) -> bool:
        """Whether nothing that a value belongs to was invalidated since it began to be made."""
        if envelope.epoch != self._known.epoch and not self._begun and envelope.epoch != self._asked_of:
            # Another process may have begun the namespace since it was named here.
            self._asked_of = envelope.epoch
            if self._learn(self._read()):
                self._remember(begun=False)
        known = self._known
        if envelope.epoch != known.epoch:
            return False
        return not envelope.tags or known.allows_tags(envelope.tags, envelope.turn)

    def allows_load(self, epoch: int, turn: int, tags: Iterable[str]) -> bool:
        """The same of what is being loaded; tags are those of the load and of whoever wants its value."""
        known = self._known
        return epoch == known.epoch and known.allows_tags(tags, turn)

    def begin(self) -> None:
        """Give the tiers a record, if they have none, before a value lies there.

        It need not be on a disk: what a crash takes away of a tier is what was written last, so it takes the values of a record along.
        """
        if self._begun:
            return
        with self._keeping:
            found = self._read()
            self._learn(found)
            self._write(found)
            if any(not level.is_near for level in self._lasting) and all(told.knowledge is None for _, told in found):
                # Another process may have begun at the same time: what was written last is what both go on with.
                found = self._read()
                self._learn(found)
                self._write(found)
            self._remember(begun=True)

    def invalidate(self) -> bool:
        """Begin a new epoch; tells whether every tier has it on its disk."""
        return self._change(lambda _: Knowledge(self._epochs.next(), is_first=False))

    def invalidate_tags(self, tags: Sequence[str]) -> bool:
        """Make what has one of the tags invalid; tells whether every tier has it on its disk."""
        return self._change(lambda known: known.without(tags))

    def keep(self) -> bool:
        """Give the record to the tiers that have another one or none; tells whether all have it."""
        with self._keeping:
            found = self._read()
            learnt = self._learn(found)
            if not self._begun and not learnt:
                # It is named only.
                return True
            kept = self._write(found)
            self._remember(begun=self._begun)
            self._hold(unless=kept)
            return kept

    def _change(self, change: Callable[[Knowledge], Knowledge]) -> bool:
        with self._lock:
            before = self._known
            self._known = change(before)
        self._epochs.changed()
        with self._keeping:
            self._begun = True
            found = self._read()
            self._learn(found)
            if any(told.knowledge is not None and before.is_behind(told.knowledge) for _, told in found):
                # What other processes have made meanwhile is meant as well.
                with self._lock:
                    self._known = change(self._known)
            self._remember(begun=True)
            kept = self._write(found)
            for level, _ in found:
                kept &= level.tier.flush()
            # A tier that has not heard of it must not be asked what is valid.
            self._hold(unless=kept)
            return kept

    def _remember(self, *, begun: bool) -> None:
        """Have what is known where it is found when nobody uses the namespace for a while."""
        self._ladder.keep_memo(self._record, write_memo(self._known, begun=begun))
        self._begun = begun

    def _hold(self, *, unless: bool) -> None:
        if not unless:
            self._held[self.name] = self
        elif self._prefetcher is None:
            self._held.pop(self.name, None)

    def _read(self) -> list[tuple[Level, Told]]:
        """The tiers that answer, and their records. One that is damaged is as if it were not there."""
        asked = [(level, read_record(level, self._record)) for level in self._lasting]
        found = [(level, told) for level, told in asked if told is not None]
        for level, told in found:
            if told.damaged:
                self._notes.damaged_record(self.name, level)
        return found

    def _learn(self, found: Iterable[tuple[Level, Told]]) -> bool:
        """Take in what the tiers tell; whether they tell anything."""
        records = [told.knowledge for _, told in found if told.knowledge is not None]
        if not records:
            return False
        told = reduce(Knowledge.joined, records)
        self._epochs.leave_behind(max(record.epoch for record in records))
        with self._lock:
            # Nothing depends on an epoch that no value carries yet.
            gives_way = not self._begun and self._known.is_first
            self._known = told if gives_way else self._known.joined(told)
        return True

    def _write(self, found: Sequence[tuple[Level, Told]]) -> bool:
        # Where nobody answered nothing is written: what lies there may be newer.
        kept = len(found) == len(self._lasting)
        for level, told in found:
            known = self._known
            kept &= told.knowledge == known or write_record(level, self._record, known)
        return kept
