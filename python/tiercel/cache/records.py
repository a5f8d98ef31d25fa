"""The state of a namespace, and its record in a persistent tier.

Processes that share a tier read its record before they write it, and merge both states. The order
of merging does not matter, so all processes end up with the same state and no invalidation is lost.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Self, cast

from tiercel.cache.queued_tier import QueuedTier

__all__ = ["Memo", "NamespaceState", "RecordRead", "read_memo", "read_record", "write_memo", "write_record"]

# The largest epoch or turn in a record. Envelopes have 64 bits for each, so counting can always go
# on.
_MOST: Final = 2**64 - 2**32

# Invalidated tags that are remembered individually. Beyond that, the older half is merged into one turn for all tags.
_TAGS: Final = 1024


class NamespaceState(NamedTuple):
    """The state of a namespace."""

    epoch: int
    """The epoch that every valid value carries."""
    is_first: bool
    """Whether the epoch began because no tier had a record, and nothing was invalidated since."""
    turn: int = 0
    """The number of invalidations of tags, which new values carry."""
    floor: int = 0
    """Values with any tags and a lower turn are invalid."""
    tags: Mapping[str, int] = {}
    """By tag, the turn below which values with the tag are invalid."""

    def are_tags_valid(self, tags: Iterable[str], turn: int) -> bool:
        """Whether no tag of a value was invalidated since its turn."""
        return turn >= self.floor and all(turn >= self.tags.get(tag, 0) for tag in tags)

    def without(self, tags: Iterable[str]) -> Self:
        """Return the state after these tags are invalidated."""
        turn = self.turn + 1
        return self._replace(is_first=False, turn=turn, tags={**self.tags, **dict.fromkeys(tags, turn)}).shortened()

    def joined(self, other: Self) -> Self:
        """Merge two states.

        The later epoch wins. But an epoch that began because no record was found loses to any
        other. Of two such epochs the earlier one wins, because the process that began the later one
        had not seen it.
        """
        if self.epoch != other.epoch:
            return max(self, other, key=lambda each: (not each.is_first, -each.epoch if each.is_first else each.epoch))
        tags = {tag: max(self.tags.get(tag, 0), other.tags.get(tag, 0)) for tag in {**self.tags, **other.tags}}
        is_first, turn = self.is_first and other.is_first, max(self.turn, other.turn)
        return self._replace(is_first=is_first, turn=turn, floor=max(self.floor, other.floor), tags=tags).shortened()

    def is_behind(self, other: Self) -> bool:
        """Whether the other state is newer, and may have values that this one has not seen."""
        joined = self.joined(other)
        return (joined.epoch, joined.turn) != (self.epoch, self.turn)

    def shortened(self) -> Self:
        """Return the state with a bounded number of tags."""
        if len(self.tags) <= _TAGS:
            return self
        oldest_first = sorted(self.tags.items(), key=lambda item: item[1])
        floor = max(self.floor, oldest_first[-_TAGS // 2 - 1][1])
        return self._replace(floor=floor, tags=dict(oldest_first[-_TAGS // 2 :]))


class RecordRead(NamedTuple):
    """The record of a namespace as a tier has it."""

    state: NamespaceState | None
    """None if there is no readable record."""
    damaged: bool = False
    """Whether something unreadable is in its place."""


def read_record(tier: QueuedTier, name: bytes) -> RecordRead | None:
    """Read a record from a tier.

    Return None if the tier does not answer: it may have a record or not.
    """
    # Local tiers always answer.
    patiently = getattr(tier.backend, "get_patiently", None)
    answers, record = (True, tier.backend.get(name)) if patiently is None else patiently(name)
    if not answers:
        return None
    state = None if record is None else _parsed(record)
    return RecordRead(state, damaged=record is not None and state is None)


def write_record(tier: QueuedTier, name: bytes, state: NamespaceState) -> bool:
    """Write a record to a tier. Return whether the tier has it."""
    return tier.backend.put(name, json.dumps(state._asdict()).encode())


class Memo(NamedTuple):
    """The state of a namespace when the process last used it."""

    state: NamespaceState
    begun: bool
    """Whether the persistent tiers have a record."""


def write_memo(state: NamespaceState, *, begun: bool) -> bytes:
    """Encode a memo for a tier in memory."""
    return json.dumps({**state._asdict(), "begun": begun}).encode()


def read_memo(memo: bytes | None) -> Memo | None:
    """Decode what `write_memo` wrote."""
    state = None if memo is None else _parsed(memo)
    if memo is None or state is None:
        return None
    return Memo(state, begun=json.loads(memo)["begun"])


def _parsed(record: bytes) -> NamespaceState | None:
    """Decode a record. A tier may hold anything, so everything is checked."""
    try:
        found = cast("dict[str, Any]", json.loads(record))
        tags = {tag: _counted(turn) for tag, turn in found["tags"].items()}
        epoch, turn, floor = (_counted(found[name]) for name in ("epoch", "turn", "floor"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_first = found["is_first"] if isinstance(found.get("is_first"), bool) else None
    return None if is_first is None else NamespaceState(epoch, is_first, turn, floor, tags).shortened()


def _counted(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError(f"expected an int from 0 to {_MOST}")
    return value
