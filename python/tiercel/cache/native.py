"""Which values JSON and msgpack decode to equal values of the same types, and how large such values are."""

from collections.abc import Iterable
from typing import Final, NamedTuple, cast

__all__ = ["JSON", "MSGPACK", "Kinds", "weight"]


class Kinds(NamedTuple):
    """The types that a format preserves."""

    values: frozenset[type]
    keys: frozenset[type]


JSON: Final = Kinds(frozenset({type(None), bool, int, float, str}), frozenset({str}))
MSGPACK: Final = Kinds(JSON.values | {bytes}, JSON.values | {bytes})


def weight(value: object, kinds: Kinds, levels: int) -> int:
    """Count the values within a value, including itself.

    Return 0 if the format would change a type.

    Every 32 characters of a text count as one more value. At most `levels` lists and dicts may be
    nested. Subclasses, such as members of an IntEnum, would decode to their base class.
    """
    kind = type(value)
    inner: Iterable[object]
    if kind is list:
        inner = cast("list[object]", value)
        total = 1 + len(inner)
    elif kind is dict:
        entries = cast("dict[object, object]", value)
        if not all(type(key) in kinds.keys for key in entries):
            return 0
        inner = entries.values()
        total = 1 + len(inner)
    else:
        inner = (value,)
        total = 1
    # Most of the contents are plain, and one call for each would take longer than all the rest.
    for each in inner:
        kind = type(each)
        if kind is str:
            total += len(cast("str", each)) >> 5
        elif kind not in kinds.values:
            more = weight(each, kinds, levels - 1) if levels > 1 and (kind is list or kind is dict) else 0
            if not more:
                return 0
            total += more
    return total
