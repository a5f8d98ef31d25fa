"""What is known of a namespace, and how a tier that outlives the process keeps it: its record.

Processes that share a tier read its record before they write it, and join what both know. In whatever order they do so, all come to know the
same, and no invalidation is lost.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Self, cast

from tiercel.cache.level import Level

__all__ = ["Knowledge", "read_record", "write_record"]

# Tags whose invalidation is remembered one by one; the older half of more is remembered as one turn for all tags.
_TAGS: Final = 1024


class Knowledge(NamedTuple):
    """What is valid in a namespace."""

    epoch: int
    """What every valid value carries."""
    is_first: bool
    """Whether it was begun since no tier told of one, and nothing was invalidated since."""
    turn: int = 0
    """How often tags were invalidated; what is made from now on carries it."""
    floor: int = 0
    """Values with tags are invalid whose turn is below this."""
    tags: Mapping[str, int] = {}
    """The turns below which values with these tags are invalid."""

    def allows_tags(self, tags: Iterable[str], turn: int) -> bool:
        """Whether no tag of a value was invalidated since its turn."""
        return turn >= self.floor and all(turn >= self.tags.get(tag, 0) for tag in tags)

    def without(self, tags: Iterable[str]) -> Self:
        """What is known when these tags are invalidated."""
        turn = self.turn + 1
        return self._replace(is_first=False, turn=turn, tags={**self.tags, **dict.fromkeys(tags, turn)})._shortened()

    def joined(self, other: Self) -> Self:
        """What both know.

        The later epoch holds; but one that was begun for want of a record gives way to any other, and of two such the earlier one holds: who had
        begun the later one did not know of it.
        """
        if self.epoch != other.epoch:
            return max(self, other, key=lambda each: (not each.is_first, -each.epoch if each.is_first else each.epoch))
        tags = {tag: max(self.tags.get(tag, 0), other.tags.get(tag, 0)) for tag in {**self.tags, **other.tags}}
        is_first, turn = self.is_first and other.is_first, max(self.turn, other.turn)
        return self._replace(is_first=is_first, turn=turn, floor=max(self.floor, other.floor), tags=tags)._shortened()

    def is_behind(self, other: Self) -> bool:
        """Whether the other one may have seen values made that this one knows nothing of."""
        joined = self.joined(other)
        return (joined.epoch, joined.turn) != (self.epoch, self.turn)

    def _shortened(self) -> Self:
        if len(self.tags) <= _TAGS:
            return self
        oldest_first = sorted(self.tags.items(), key=lambda item: item[1])
        floor = max(self.floor, oldest_first[-_TAGS // 2 - 1][1])
        return self._replace(floor=floor, tags=dict(oldest_first[-_TAGS // 2 :]))


def read_record(level: Level, name: bytes) -> tuple[bool, Knowledge | None]:
    """Whether a tier tells what it has under the name of a record, and that. No answer does not mean that there is none."""
    # Tiers in the process always answer.
    patiently = getattr(level.tier, "get_patiently", None)
    answers, record = (True, level.tier.get(name)) if patiently is None else patiently(name)
    return answers, None if record is None else _parsed(record)


def write_record(level: Level, name: bytes, knowledge: Knowledge) -> bool:
    """Give a record to a tier; tells whether it has it."""
    return level.tier.put(name, json.dumps(knowledge._asdict()).encode())


def _parsed(record: bytes) -> Knowledge | None:
    try:
        found = cast("dict[str, Any]", json.loads(record))
        tags = {str(tag): int(turn) for tag, turn in found["tags"].items()}
        turn, floor = int(found["turn"]), int(found["floor"])
        return Knowledge(int(found["epoch"]), bool(found["is_first"]), turn, floor, tags)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
