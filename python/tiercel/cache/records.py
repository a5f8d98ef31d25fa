"""What is known of a namespace, and how a tier that outlives the process keeps it: its record.

Processes that share a tier read its record before they write it, and join what both know. In whatever order they do so, all come to know the
same, and no invalidation is lost.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Self, cast

from tiercel.cache.queued_tier import QueuedTier

__all__ = ["Memo", "NamespaceState", "RecordRead", "read_memo", "read_record", "write_memo", "write_record"]

# Epochs and turns have 64 bits in an envelope. A record says no more than this, so that there is always room to count on.
_MOST: Final = 2**64 - 2**32

# Tags whose invalidation is remembered one by one; the older half of more is remembered as one turn for all tags.
_TAGS: Final = 1024


class NamespaceState(NamedTuple):
    """What is valid in a namespace."""

    epoch: int
    """What every valid value carries."""
    is_first: bool
    """Whether it was begun since no tier read of one, and nothing was invalidated since."""
    turn: int = 0
    """How often tags were invalidated; what is made from now on carries it."""
    floor: int = 0
    """Values with tags are invalid whose turn is below this."""
    tags: Mapping[str, int] = {}
    """The turns below which values with these tags are invalid."""

    def are_tags_valid(self, tags: Iterable[str], turn: int) -> bool:
        """Whether no tag of a value was invalidated since its turn."""
        return turn >= self.floor and all(turn >= self.tags.get(tag, 0) for tag in tags)

    def without(self, tags: Iterable[str]) -> Self:
        """What is known when these tags are invalidated."""
        turn = self.turn + 1
        return self._replace(is_first=False, turn=turn, tags={**self.tags, **dict.fromkeys(tags, turn)}).shortened()

    def joined(self, other: Self) -> Self:
        """What both know.

        The later epoch holds; but one that was begun for want of a record gives way to any other, and of two such the earlier one holds: who had
        begun the later one did not know of it.
        """
        if self.epoch != other.epoch:
            return max(self, other, key=lambda each: (not each.is_first, -each.epoch if each.is_first else each.epoch))
        tags = {tag: max(self.tags.get(tag, 0), other.tags.get(tag, 0)) for tag in {**self.tags, **other.tags}}
        is_first, turn = self.is_first and other.is_first, max(self.turn, other.turn)
        return self._replace(is_first=is_first, turn=turn, floor=max(self.floor, other.floor), tags=tags).shortened()

    def is_behind(self, other: Self) -> bool:
        """Whether the other one may have seen values made that this one knows nothing of."""
        joined = self.joined(other)
        return (joined.epoch, joined.turn) != (self.epoch, self.turn)

    def shortened(self) -> Self:
        """The same with as many tags as are remembered one by one."""
        if len(self.tags) <= _TAGS:
            return self
        oldest_first = sorted(self.tags.items(), key=lambda item: item[1])
        floor = max(self.floor, oldest_first[-_TAGS // 2 - 1][1])
        return self._replace(floor=floor, tags=dict(oldest_first[-_TAGS // 2 :]))


class RecordRead(NamedTuple):
    """What a tier says of the record of a namespace."""

    state: NamespaceState | None
    """None if it has none that can be read."""
    damaged: bool = False
    """Whether it has something else in its place."""


def read_record(tier: QueuedTier, name: bytes) -> RecordRead | None:
    """What a tier has under the name of a record; None if it does not answer, which does not mean that there is none."""
    # Tiers in the process always answer.
    patiently = getattr(tier.backend, "get_patiently", None)
    answers, record = (True, tier.backend.get(name)) if patiently is None else patiently(name)
    if not answers:
        return None
    state = None if record is None else _parsed(record)
    return RecordRead(state, damaged=record is not None and state is None)


def write_record(tier: QueuedTier, name: bytes, state: NamespaceState) -> bool:
    """Give a record to a tier; tells whether it has it."""
    return tier.backend.put(name, json.dumps(state._asdict()).encode())


class Memo(NamedTuple):
    """What a process knew of a namespace when it last used it."""

    state: NamespaceState
    begun: bool
    """Whether the tiers that outlive the process were given a record."""


def write_memo(state: NamespaceState, *, begun: bool) -> bytes:
    """What a tier in memory keeps of a namespace."""
    return json.dumps({**state._asdict(), "begun": begun}).encode()


def read_memo(memo: bytes | None) -> Memo | None:
    """What `write_memo` wrote."""
    state = None if memo is None else _parsed(memo)
    if memo is None or state is None:
        return None
    return Memo(state, begun=json.loads(memo)["begun"])


def _parsed(record: bytes) -> NamespaceState | None:
    """What a record says. A tier may hold anything, so nothing is taken for what it is not."""
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
