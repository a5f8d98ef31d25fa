"""Options of cache entries: when they expire, and their tags."""

import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

from tiercel.cache.envelope import FOREVER, SECOND
from tiercel.cache.keys import LONGEST
from tiercel.checks import items, number, shown, span_cure, unicode_text
from tiercel.errors import InvalidInputError

__all__ = ["LONG", "EntryOptions", "checked_name", "checked_seconds", "checked_tags"]

LONG: Final = 200 * 366 * 86400.0
"""The longest time, two hundred years: a later moment may not fit in nanoseconds."""


class EntryOptions(NamedTuple):
    """Options of an entry, with times in seconds."""

    ttl: float | None
    """The time after which a value expires; None for never."""
    idle_ttl: float | None
    """The time without a read after which a value expires."""
    jitter: float
    """The largest share of `ttl` that is taken off at random."""
    stale: float
    """How long an expired value is still returned at once, while it is reloaded in the background."""
    fail_safe: float
    """How long an expired value is returned if the reload fails."""
    tags: tuple[str, ...] = ()

    def until(self, now: int, chance: float) -> tuple[int, int, int]:
        """Return the expiry, the grace period and the idle time, in nanoseconds."""
        idle = 0 if self.idle_ttl is None else max(1, int(self.idle_ttl * SECOND))
        grace = int(max(self.stale, self.fail_safe) * SECOND)
        fresh = FOREVER if self.ttl is None else now + int(self.ttl * (1 - self.jitter * chance) * SECOND)
        return fresh, grace, idle


def checked_seconds(value: Any, name: str) -> float | None:
    """Check a number of seconds above 0, or None for no limit."""
    if value is None:
        return None
    seconds = math.nan
    # One message for all mistakes.
    with suppress(InvalidInputError):
        seconds = number(value, name, 0, math.inf)
    if seconds == math.inf:
        return None
    if not 0 < seconds <= LONG:
        got = f"{shown(value)}{span_cure(value)}"
        raise InvalidInputError(f"{name}: expected more than 0 and at most {LONG:.0f} seconds, or None, got {got}")
    return seconds


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Check the names of tags, and drop duplicates."""
    if isinstance(tags, tuple) and not tags:
        return ()
    listed = items(tags)
    if listed is None:
        raise InvalidInputError(f"tags: expected a list of str, got {type(tags).__name__}")
    for at, tag in enumerate(listed):
        checked_name(tag, f"tags[{at}]")
    if sum(len(tag.encode()) + 2 for tag in listed) > 2**16 - 1:
        raise InvalidInputError("tags: expected at most 65,535 bytes together")
    return tuple(dict.fromkeys(cast("list[str]", listed)))


def checked_name(value: object, place: str) -> str:
    """Check the name of a namespace or a tag."""
    size = len(unicode_text(value, place).encode())
    if size > LONGEST:
        raise InvalidInputError(f"{place}: expected at most {LONGEST} bytes of UTF-8, got {size}")
    return cast("str", value)
