"""Python values as JSON with type tags, so that a tuple is decoded to a tuple.

>>> import json
>>> from tiercel.cache.typed import Typed
>>> typed = Typed()
>>> typed.tree({1: (2, {3})})
{'$': [':', [1, {'$': ['(', 2, {'$': ['{', 3]}]}]]}
>>> json.loads(json.dumps(typed.tree({1: (2, {3})})), object_hook=typed.value)
{1: (2, {3})}

A value that JSON preserves is written as it is. Any other is an object with the single key `$`: a
list of a tag and its contents. Decoding creates values of the types below and of the classes that
the reader names. It imports nothing, and it calls no method of a class, neither `__init__` nor
`__setstate__`.
"""

import base64
import dataclasses
import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo

import numpy as np

from tiercel.cache.arrays import array_from, array_head
from tiercel.checks import MAX_DEPTH, items
from tiercel.errors import InvalidInputError

__all__ = ["SCALARS", "Typed"]

# Texts and bytes of numpy would lose trailing zeros.
SCALARS: Final = (np.number, np.bool_, np.datetime64, np.timedelta64)
_MARK: Final = "$"
_PLAIN: Final = frozenset({type(None), bool, int, float, str})
# Zone names of the time zone database, but no paths.
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}")
_Tree = Any
_TUPLE: Any = cast("Any", tuple).__new__


class _Known(NamedTuple):
    """A class whose instances are preserved."""

    tag: str
    name: str
    fields: tuple[str, ...]


class Typed:
    """Converts values to JSON with type tags and back.

    Parameters
    ----------
    types
        Dataclasses, enums and named tuples to preserve as well.

    Raises
    ------
    InvalidInputError
        One of `types` is no such class, does not compare by its fields, or has the name of another.
    """

    __slots__ = ("_known", "_named")

    def __init__(self, types: Iterable[type] = ()) -> None:
        listed = items(types)
        if listed is None:
            raise InvalidInputError(f"types: expected a list of classes, got {type(types).__name__}")
        self._known: Final = {kind: _known(kind, f"types[{at}]") for at, kind in enumerate(listed)}
        self._named: Final = {known.name: kind for kind, known in self._known.items()}
        if len(self._named) < len(self._known):
            raise InvalidInputError(
                "types: expected classes with different names, got two with the same module and name"
            )

    def tree(self, value: object) -> _Tree:
        """Convert a value to lists, dicts and plain values.

        Raise `InvalidInputError` for a type that would not be preserved.
        """
        return self._tree(value, MAX_DEPTH)

    def _tree(self, value: Any, levels: int) -> _Tree:
        kind = cast("type[Any]", type(value))
        if kind in _PLAIN:
            return value
        if (write := _WRITERS.get(kind)) is not None:
            return {_MARK: write(value)}
        if isinstance(value, SCALARS):
            return {_MARK: ["n", *_array_parts(cast("np.generic[Any]", value))]}
        if not levels:
            raise InvalidInputError(f"value: expected at most {MAX_DEPTH} nested levels, got more")
        if kind is list:
            return [self._tree(each, levels - 1) for each in value]
        if kind is dict:
            return self._entries(value, levels - 1)
        if (tag := _GROUPS.get(kind)) is not None:
            return {_MARK: [tag, *(self._tree(each, levels - 1) for each in value)]}
        if (known := self._known.get(kind)) is not None:
            return {_MARK: [known.tag, known.name, *self._member(value, known, levels - 1)]}
        raise InvalidInputError(_refusal(value))

    def _entries(self, value: dict[Any, Any], levels: int) -> _Tree:
        if all(type(key) is str and key != _MARK for key in value):
            return {key: self._tree(each, levels) for key, each in value.items()}
        pairs = ([self._tree(key, levels), self._tree(each, levels)] for key, each in value.items())
        return {_MARK: [":", *pairs]}

    def _member(self, value: Any, known: _Known, levels: int) -> list[_Tree]:
        if known.tag == "E":
            # A combination of flags is not a named member.
            if value.name not in cast("type[Enum]", type(value)).__members__:
                raise InvalidInputError(f"value: expected a member of {known.name} with a name, got {value!r}")
            return [value.name]
        if known.tag == "N":
            return [list(known.fields), *(self._tree(each, levels) for each in value)]
        try:
            parts = [getattr(value, name) for name in known.fields]
        except AttributeError as error:
            raise InvalidInputError(f"value: expected a {known.name} with all of its fields: {error}") from None
        return [list(known.fields), *(self._tree(each, levels) for each in parts)]

    def value(self, found: dict[str, Any]) -> Any:
        """Convert a JSON object back. Raise an `Exception` for one that `tree` does not create."""
        if _MARK not in found:
            return found
        if len(found) > 1:
            raise ValueError("expected a tag and no other key")
        tag, *parts = found[_MARK]
        if (read := _READERS.get(tag)) is not None:
            return read(parts)
        name, *parts = parts
        kind = self._named[name]
        known = self._known[kind]
        if known.tag != tag:
            raise ValueError(f"expected the tag {known.tag} of {name}, got {tag}")
        if tag == "E":
            return cast("type[Enum]", kind).__members__[parts[0]]
        fields, *values = parts
        if tuple(fields) != known.fields or len(values) != len(known.fields):
            raise ValueError(f"expected the fields of {name}, got {fields}")
        if tag == "N":
            return _TUPLE(kind, values)
        made = object.__new__(kind)
        for field, value in zip(known.fields, values, strict=True):
            object.__setattr__(made, field, value)
        return made


def _known(given: Any, place: str) -> _Known:
    if not isinstance(given, type):
        raise InvalidInputError(f"{place}: expected a class, got {given!r:.100}")
    kind: Any = given
    name = f"{kind.__module__}:{kind.__qualname__}"
    if issubclass(given, Enum):
        return _Known("E", name, ())
    if issubclass(given, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
        return _Known("N", name, kind._fields)
    # A subclass of a dataclass may have more than its fields, and a subclass of a builtin type does.
    if "__dataclass_fields__" not in vars(kind) or kind.__new__ is not object.__new__:
        raise InvalidInputError(f"{place}: expected a dataclass, an enum or a named tuple, got {kind.__qualname__}")
    if kind.__eq__ is object.__eq__:
        raise InvalidInputError(f"{place}: expected a dataclass that compares by its fields, got {name}")
    return _Known("D", name, tuple(field.name for field in dataclasses.fields(kind)))


def _zone(zone: dt.tzinfo | None) -> list[Any]:
    if zone is None:
        return []
    # A zone that was read from a file has no key.
    if type(zone) is ZoneInfo and _ZONE.fullmatch(zone.key or ""):
        return [zone.key]
    if type(zone) is not dt.timezone:
        raise InvalidInputError(f"value: expected a time in UTC, an offset or a named zone, got one in {zone!r:.100}")
    offset = zone.utcoffset(None)
    bare = dt.timezone(offset)
    # The name is written only if it differs from that of the offset.
    return [*_duration(offset)[1:], *([] if zone.tzname(None) == bare.tzname(None) else [zone.tzname(None)])]


def _in_zone(parts: list[Any]) -> dt.tzinfo | None:
    if not parts:
        return None
    if len(parts) > 1:
        return dt.timezone(dt.timedelta(*parts[:3]), *parts[3:])
    if not _ZONE.fullmatch(parts[0]):
        raise ValueError(f"expected the name of a zone, got {parts[0]!r}")
    return ZoneInfo(parts[0])


def _duration(value: dt.timedelta) -> list[Any]:
    return ["d", value.days, value.seconds, value.microseconds]


def _moment(tag: str, value: dt.datetime | dt.time) -> list[Any]:
    return [tag, value.replace(tzinfo=None).isoformat(), value.fold, *_zone(value.tzinfo)]


def _at(read: Callable[[str], Any], text: str, fold: int, *zone: Any) -> Any:
    return read(text).replace(fold=fold, tzinfo=_in_zone(list(zone)))


def _one(parts: list[Any]) -> Any:
    (part,) = parts
    return part


def _array_parts(value: "np.ndarray[Any, Any] | np.generic[Any]") -> list[str]:
    try:
        head = array_head(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"value: {error}") from None
    return [head.decode(), base64.b64encode(value.tobytes()).decode()]


def _array(head: str, values: str) -> Any:
    return array_from(head.encode(), memoryview(base64.b64decode(values, validate=True)))


_WRITERS: Final[dict[type, Callable[[Any], list[Any]]]] = {
    bytes: lambda value: ["b", base64.b64encode(value).decode()],
    dt.date: lambda value: ["y", value.isoformat()],
    dt.time: lambda value: _moment("o", value),
    dt.datetime: lambda value: _moment("t", value),
    dt.timedelta: _duration,
    uuid.UUID: lambda value: ["u", value.hex],
    Decimal: lambda value: ["x", str(value)],
    np.ndarray: lambda value: ["a", *_array_parts(value)],
}
_GROUPS: Final[dict[type, str]] = {tuple: "(", set: "{", frozenset: "<"}
_READERS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "b": lambda parts: base64.b64decode(_one(parts), validate=True),
    "y": lambda parts: dt.date.fromisoformat(_one(parts)),
    "o": lambda parts: _at(dt.time.fromisoformat, *parts),
    "t": lambda parts: _at(dt.datetime.fromisoformat, *parts),
    "d": lambda parts: dt.timedelta(*parts),
    "u": lambda parts: uuid.UUID(hex=_one(parts)),
    "x": lambda parts: Decimal(_one(parts)),
    "a": lambda parts: _array(*parts),
    "n": lambda parts: _array(*parts)[()],
    "(": tuple,
    "{": set,
    "<": frozenset,
    ":": dict,
}
# Subclasses of these would decode to their base class.
_BASES: Final = (int, float, str, list, dict, tuple, set, frozenset)


def _refusal(value: Any) -> str:
    kind = cast("type[Any]", type(value))
    if isinstance(value, bytearray | memoryview):
        instead = "make it bytes"
    elif isinstance(value, Enum) or dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        instead = f"name the class in types=[{kind.__name__}]"
    else:
        nearest = next((base.__name__ for base in _BASES if isinstance(value, base)), None)
        instead = "cache its parts" if nearest is None else f"make it a plain {nearest}"
    return f"value: expected a type that the codec can restore, got {kind.__name__}; {instead}, or choose another codec"
