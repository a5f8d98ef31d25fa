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

from tiercel.cache.counters import Counters
from tiercel.cache.envelope import Envelope
from tiercel.cache.keys import prefix_of, record_name
from tiercel.cache.queued_tier import QueuedTier
from tiercel.cache.records import NamespaceState, RecordRead, read_memo, read_record, write_memo, write_record
from tiercel.cache.tier_stack import TierStack

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

    def after_fork(self) -> None:
        """Go on in a forked process."""
        self._lock = threading.Lock()

    def leave_behind(self, epoch: int) -> None:
        """Give only larger ones from now on: the clock may have been set back."""
        with self._lock:
            self._last = max(self._last, epoch)


class Namespace:
    """What is valid in a namespace."""

    def __init__(
        self, name: str, stack: TierStack, epochs: Epochs, counters: Counters, held: MutableMapping[str, "Namespace"]
    ) -> None:
        self.name = name
        self.prefix = prefix_of(name)
        self._stack = stack
        self._counters = counters
        self._held = held
        self._prefetcher: Prefetcher | None = None
        self._lasting = [tier for tier in stack.tiers if tier.is_persistent]
        self._epochs = epochs
        self._record = record_name(name)
        self._lock = threading.Lock()
        # Apart from the other one: a tier outside of the process may take its time.
        self._keeping = threading.Lock()
        self._asked_of = 0
        memo = read_memo(stack.memo(self._record))
        # Replaced as a whole, so that nobody reads parts of two.
        self._known = NamespaceState(epochs.next(), is_first=True) if memo is None else memo.state
        self._has_record = memo is not None and memo.begun
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
    def version(self) -> tuple[int, int]:
        """Epoch and turn, which a value carries that begins to be made now."""
        known = self._known
        return known.epoch, known.turn

    def after_fork(self) -> None:
        """Go on in a forked process."""
        self._lock, self._keeping = threading.Lock(), threading.Lock()

    def is_valid(self, envelope: Envelope) -> bool:
        """Whether nothing that a value belongs to was invalidated since it began to be made."""
        if envelope.epoch != self._known.epoch and not self._has_record and envelope.epoch != self._asked_of:
            # Another process may have begun the namespace since it was named here.
            self._asked_of = envelope.epoch
            if self._learn(self._read()):
                self._remember(begun=False)
        known = self._known
        if envelope.epoch != known.epoch:
            return False
        return not envelope.tags or known.are_tags_valid(envelope.tags, envelope.turn)

    def is_load_valid(self, epoch: int, turn: int, tags: Iterable[str]) -> bool:
        """The same of what is being loaded; tags are those of the load and of whoever wants its value."""
        known = self._known
        return epoch == known.epoch and known.are_tags_valid(tags, turn)

    def ensure_record(self) -> None:
        """Give the tiers a record, if they have none, before a value lies there.

        It need not be on a disk: what a crash takes away of a tier is what was written last, so it takes the values of a record along.
        """
        if self._has_record:
            return
        with self._keeping:
            found = self._read()
            self._learn(found)
            self._write(found)
            if any(not tier.is_local for tier in self._lasting) and all(read.state is None for _, read in found):
                # Another process may have begun at the same time: what was written last is what both go on with.
                found = self._read()
                self._learn(found)
                self._write(found)
            self._remember(begun=True)

    def invalidate(self) -> bool:
        """Begin a new epoch; tells whether every tier has it on its disk."""
        return self._change(lambda _: NamespaceState(self._epochs.next(), is_first=False))

    def invalidate_tags(self, tags: Sequence[str]) -> bool:
        """Make what has one of the tags invalid; tells whether every tier has it on its disk."""
        return self._change(lambda known: known.without(tags))

    def keep_record(self) -> bool:
        """Give the record to the tiers that have another one or none; tells whether all have it."""
        with self._keeping:
            found = self._read()
            learnt = self._learn(found)
            if not self._has_record and not learnt:
                # It is named only.
                return True
            kept = self._write(found)
            self._remember(begun=self._has_record)
            self._hold(unless=kept)
            return kept

    def _change(self, change: Callable[[NamespaceState], NamespaceState]) -> bool:
        with self._lock:
            before = self._known
            self._known = change(before)
        self._epochs.changed()
        with self._keeping:
            self._has_record = True
            found = self._read()
            self._learn(found)
            if any(read.state is not None and before.is_behind(read.state) for _, read in found):
                # What other processes have made meanwhile is meant as well.
                with self._lock:
                    self._known = change(self._known)
            self._remember(begun=True)
            kept = self._write(found)
            for tier, _ in found:
                kept &= tier.backend.flush()
            # A tier that has not heard of it must not be asked what is valid.
            self._hold(unless=kept)
            return kept

    def _remember(self, *, begun: bool) -> None:
        """Have what is known where it is found when nobody uses the namespace for a while."""
        self._stack.keep_memo(self._record, write_memo(self._known, begun=begun))
        self._has_record = begun

    def _hold(self, *, unless: bool) -> None:
        if not unless:
            self._held[self.name] = self
        elif self._prefetcher is None:
            self._held.pop(self.name, None)

    def _read(self) -> list[tuple[QueuedTier, RecordRead]]:
        """The tiers that answer, and their records. One that is damaged is as if it were not there."""
        asked = [(tier, read_record(tier, self._record)) for tier in self._lasting]
        found = [(tier, read) for tier, read in asked if read is not None]
        for tier, read in found:
            if read.damaged:
                self._counters.damaged_record(self.name, tier)
        return found

    def _learn(self, found: Iterable[tuple[QueuedTier, RecordRead]]) -> bool:
        """Take in what the tiers tell; whether they tell anything."""
        records = [read.state for _, read in found if read.state is not None]
        if not records:
            return False
        read = reduce(NamespaceState.joined, records)
        self._epochs.leave_behind(max(record.epoch for record in records))
        with self._lock:
            # Nothing depends on an epoch that no value carries yet.
            gives_way = not self._has_record and self._known.is_first
            self._known = read if gives_way else self._known.joined(read)
        return True

    def _write(self, found: Sequence[tuple[QueuedTier, RecordRead]]) -> bool:
        # Where nobody answered nothing is written: what lies there may be newer.
        kept = len(found) == len(self._lasting)
        for tier, read in found:
            known = self._known
            kept &= read.state == known or write_record(tier, self._record, known)
        return kept
