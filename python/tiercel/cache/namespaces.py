"""Namespaces, and what of them was invalidated.

A namespace has an epoch, which every value carries: a new epoch makes all of its values invalid at once. A tag has the moment when it was
invalidated: values that are older, and have the tag, are invalid. Each tier that outlives the process has a record of both, and has it on
its disk before an invalidation is acknowledged. A tier may lose the record as it may lose any value: then the namespace begins a new epoch,
and nothing old is given.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tiercel.cache.envelope import Envelope
from tiercel.cache.keys import prefix_of, record_name
from tiercel.cache.level import Level

if TYPE_CHECKING:
    from tiercel.cache.prefetch import Prefetcher

__all__ = ["Namespace", "Ticks"]

# Tags whose invalidation is remembered one by one; the older half of more is remembered as one moment for all tags.
_TAGS: Final = 1024


class Ticks:
    """Moments in nanoseconds, each later than the one before."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.now = clock
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """The next moment."""
        with self._lock:
            self._last = max(self._last + 1, self.now())
            return self._last

    def renew(self) -> None:
        """Go on in a forked process."""
        self._lock = threading.Lock()

    def leave_behind(self, moment: int) -> None:
        """Give only later moments from now on: the clock may have been set back."""
        with self._lock:
            self._last = max(self._last, moment)


class _State(NamedTuple):
    """What is valid, at some moment."""

    epoch: int
    floor: int
    """Values with tags are invalid that are not younger than this."""
    tags: dict[str, int]
    """When tags were invalidated."""

    def allows_tags(self, tags: Iterable[str], written: int) -> bool:
        return written > self.floor and all(written > self.tags.get(tag, 0) for tag in tags)


class Namespace:
    """What is valid in a namespace."""

    def __init__(self, name: str, levels: Sequence[Level], ticks: Ticks) -> None:
        self.name = name
        self.prefix = prefix_of(name)
        self._levels = levels
        self._ticks = ticks
        self._lock = threading.Lock()
        self._record = record_name(name)
        self.prefetcher: Prefetcher | None = None
        # Replaced as a whole, so that nobody reads parts of two.
        self._state = self._read()
        ticks.leave_behind(max(self._state.epoch, self._state.floor, *self._state.tags.values()))
        self.keep()

    @property
    def epoch(self) -> int:
        """What every valid value carries."""
        return self._state.epoch

    def renew(self) -> None:
        """Go on in a forked process."""
        self._lock = threading.Lock()

    def allows(self, envelope: Envelope) -> bool:
        """Whether nothing that a value belongs to was invalidated since it was written."""
        state = self._state
        if envelope.epoch != state.epoch:
            return False
        return not envelope.tags or state.allows_tags(envelope.tags, envelope.written)

    def allows_load(self, epoch: int, begun: int, tags: Iterable[str]) -> bool:
        """The same of what is being loaded; tags are those of the load and of whoever wants its value."""
        state = self._state
        return epoch == state.epoch and state.allows_tags(tags, begun)

    def invalidate(self) -> bool:
        """Begin a new epoch; tells whether every tier has it on its disk."""
        with self._lock:
            self._state = _State(self._ticks.next(), 0, {})
        return self.keep(anew=True)

    def invalidate_tags(self, tags: Sequence[str]) -> bool:
        """Make what has one of the tags invalid; tells whether every tier has it on its disk."""
        with self._lock:
            moment = self._ticks.next()
            epoch, floor, known = self._state
            known = {**known, **dict.fromkeys(tags, moment)}
            if len(known) > _TAGS:
                oldest_first = sorted(known.items(), key=lambda item: item[1])
                floor = max(floor, oldest_first[-_TAGS // 2][1])
                known = dict(oldest_first[-_TAGS // 2 :])
            self._state = _State(epoch, floor, known)
        return self.keep(anew=True)

    def keep(self, *, anew: bool = False) -> bool:
        """Give the record to the tiers that do not have it, or to all; tells whether they have it on their disks."""
        kept = True
        for level in self._levels:
            if level.lasts and (anew or self._record not in level.tier):
                # What is read here is as new as the newest invalidation, whichever of two is written last.
                with level.lock:
                    kept &= level.tier.put(self._record, json.dumps(self._state._asdict()).encode())
                kept &= level.tier.flush()
        return kept

    def _read(self) -> _State:
        records = [level.tier.get(self._record) for level in self._levels if level.lasts]
        found = [state for record in records if record is not None and (state := _parsed(record)) is not None]
        if not found:
            return _State(self._ticks.next(), 0, {})
        epoch = max(state.epoch for state in found)
        floor, tags = 0, dict[str, int]()
        for state in found:
            # What an older record says of tags is of values of an older epoch.
            if state.epoch == epoch:
                floor = max(floor, state.floor)
                for tag, moment in state.tags.items():
                    tags[tag] = max(moment, tags.get(tag, 0))
        return _State(epoch, floor, tags)


def _parsed(record: bytes) -> _State | None:
    try:
        state = cast("dict[str, Any]", json.loads(record))
        tags = {str(tag): int(moment) for tag, moment in state["tags"].items()}
        return _State(int(state["epoch"]), int(state["floor"]), tags)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
