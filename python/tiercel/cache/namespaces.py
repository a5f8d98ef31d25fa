"""Namespaces and their invalidation.

A namespace has an epoch, which all of its values carry: a new epoch invalidates them all at once. It also has a turn,
which grows with each invalidation of tags: values with the tag and an earlier turn are invalid. Both are counters, not
clock readings, because clocks differ and can be set back. Every persistent tier has a record of epoch and turn from the
first value or invalidation on, and has it on disk before an invalidation is acknowledged. A tier may lose the record
like any value: then the namespace begins a new epoch, and no old value is returned.

A process keeps a namespace in memory while it is in use. Afterwards its state stays in the first tier, if that is in
memory, under the name of the record; it counts against the size of the tier and may be evicted like a value.
"""

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from tiercel.cache.counters import Counters
from tiercel.cache.envelope import Envelope
from tiercel.cache.keys import prefix_of, record_name
from tiercel.cache.queued_tier import QueuedTier
from tiercel.cache.records import NamespaceState, RecordRead, read_memo, read_record, write_memo, write_record
from tiercel.cache.tier_stack import TierStack
from tiercel.forks import fork_lock

if TYPE_CHECKING:
    from tiercel.cache.prefetch import Prefetcher

__all__ = ["Epochs", "Namespace"]


class Epochs:
    """Issues epochs, each larger than all before. They start from the clock, so that processes get different ones."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._now = clock
        self._lock = fork_lock()
        self._last = 0
        self.changes = 0
        """The number of invalidations so far."""

    def next(self) -> int:
        """Return the next epoch."""
        with self._lock:
            self._last = max(self._last + 1, self._now())
            return self._last

    def changed(self) -> None:
        """Count an invalidation."""
        with self._lock:
            self.changes += 1

    def leave_behind(self, epoch: int) -> None:
        """Only issue larger epochs from now on, even if the clock was set back."""
        with self._lock:
            self._last = max(self._last, epoch)


class Namespace:
    """Decides which values of a namespace are valid."""

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
        self._lock = fork_lock()
        # Separate from `_lock`, because a remote tier may be slow.
        self._keeping = fork_lock()
        self._asked_of = 0
        memo = read_memo(stack.memo(self._record))
        # Replaced as a whole, so that no reader sees parts of two states.
        self._known = NamespaceState(epochs.next(), is_first=True) if memo is None else memo.state
        self._has_record = memo is not None and memo.begun
        if memo is None and self._learn(self._read()):
            self._remember(begun=False)

    @property
    def prefetcher(self) -> "Prefetcher | None":
        """The prefetcher of the namespace."""
        return self._prefetcher

    @prefetcher.setter
    def prefetcher(self, prefetcher: "Prefetcher") -> None:
        self._held[self.name] = self
        self._prefetcher = prefetcher

    @property
    def epoch(self) -> int:
        """The epoch that every valid value carries."""
        return self._known.epoch

    @property
    def version(self) -> tuple[int, int]:
        """Epoch and turn, for a value whose load or write begins now."""
        known = self._known
        return known.epoch, known.turn

    def is_valid(self, envelope: Envelope) -> bool:
        """Whether neither the namespace nor a tag was invalidated since the load or write of a value began."""
        if envelope.epoch != self._known.epoch and not self._has_record and envelope.epoch != self._asked_of:
            # Another process may have created the record since this namespace was created here.
            self._asked_of = envelope.epoch
            if self._learn(self._read()):
                self._remember(begun=False)
        known = self._known
        if envelope.epoch != known.epoch:
            return False
        return not envelope.tags or known.are_tags_valid(envelope.tags, envelope.turn)

    def is_load_valid(self, epoch: int, turn: int, tags: Iterable[str]) -> bool:
        """Do the same for a load. `tags` are those of the load and of the caller."""
        known = self._known
        return epoch == known.epoch and known.are_tags_valid(tags, turn)

    def ensure_record(self) -> None:
        """Write the record to tiers without one, before the first value arrives there.

        The record need not be synced: a crash loses the newest writes of a tier, so one that loses
        the record also loses the values, which came later.
        """
        if self._has_record:
            return
        with self._keeping:
            found = self._read()
            self._learn(found)
            self._write(found)
            if any(not tier.is_local for tier in self._lasting) and all(read.state is None for _, read in found):
                # Another process may have written a record at the same time: both continue with the later one.
                found = self._read()
                self._learn(found)
                self._write(found)
            self._remember(begun=True)

    def invalidate(self) -> bool:
        """Begin a new epoch. Return whether every tier has it on disk."""
        return self._change(lambda _: NamespaceState(self._epochs.next(), is_first=False))

    def invalidate_tags(self, tags: Sequence[str]) -> bool:
        """Invalidate the values with any of the tags. Return whether every tier has that on disk."""
        return self._change(lambda known: known.without(tags))

    def keep_record(self) -> bool:
        """Write the record to tiers that lack it. Return whether all have it."""
        with self._keeping:
            found = self._read()
            learnt = self._learn(found)
            if not self._has_record and not learnt:
                # The namespace has no values yet.
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
                # Also invalidate the values that other processes have written meanwhile.
                with self._lock:
                    self._known = change(self._known)
            self._remember(begun=True)
            kept = self._write(found)
            for tier, _ in found:
                kept &= tier.backend.flush()
            # Keep the state here: a tier that missed the invalidation does not know what is valid.
            self._hold(unless=kept)
            return kept

    def _remember(self, *, begun: bool) -> None:
        """Save the state to the first tier, for when nobody references the namespace for a while."""
        self._stack.keep_memo(self._record, write_memo(self._known, begun=begun))
        self._has_record = begun

    def _hold(self, *, unless: bool) -> None:
        if not unless:
            self._held[self.name] = self
        elif self._prefetcher is None:
            self._held.pop(self.name, None)

    def _read(self) -> list[tuple[QueuedTier, RecordRead]]:
        """Read the records of the tiers that answer. A damaged record counts as absent."""
        asked = [(tier, read_record(tier, self._record)) for tier in self._lasting]
        found = [(tier, read) for tier, read in asked if read is not None]
        for tier, read in found:
            if read.damaged:
                self._counters.damaged_record(self.name, tier)
        return found

    def _learn(self, found: Iterable[tuple[QueuedTier, RecordRead]]) -> bool:
        """Merge the records of the tiers into the state. Return whether there were any."""
        records = [read.state for _, read in found if read.state is not None]
        if not records:
            return False
        read = reduce(NamespaceState.joined, records)
        self._epochs.leave_behind(max(record.epoch for record in records))
        with self._lock:
            # An epoch that no value carries yet may be replaced.
            gives_way = not self._has_record and self._known.is_first
            self._known = read if gives_way else self._known.joined(read)
        return True

    def _write(self, found: Sequence[tuple[QueuedTier, RecordRead]]) -> bool:
        # Nothing is written to a tier that did not answer: its record may be newer.
        kept = len(found) == len(self._lasting)
        for tier, read in found:
            known = self._known
            kept &= read.state == known or write_record(tier, self._record, known)
        return kept
