"""Values of metadata and filters: conversion from numpy, pandas and the standard library to JSON.

| value | becomes |
|---|---|
| `None`, a bool, a number, a string, a list, a tuple, a mapping with strings as keys | the same in JSON |
| an enum member | its value |
| `date`, `datetime`, `pandas.Timestamp`, `numpy.datetime64` | a date; in metadata, its string in ISO 8601 |
| `Decimal` | an integer if it is one, else the nearest float |
| `UUID` | its string |
| a number or bool of numpy, including bfloat16 and the like | the number or bool |
| an array, a `pandas.Series` | a list |

The time zone of a `datetime` must be whole seconds from UTC. Missing values (NaN, NaT, `pandas.NA`,
masked elements of an array) and infinities are errors: pass `None` for a missing value. Any other
type is an error, too.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from operator import methodcaller
from typing import Any, Final, NoReturn, cast, final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from tiercel.arrays import FAILURES, is_small
from tiercel.checks import MAX_DEPTH, MAX_METADATA, Metadata, column, unicode_text
from tiercel.errors import InvalidInputError

__all__ = ["Plain", "given_metadata", "json_object", "record_metadata"]

_EXPECTED: Final = (
    "a value of JSON (None, bool, number, str, list, dict), a date, a datetime, a Decimal, a UUID or an enum member"
)
# The types of most values. Checking these for other types would take longer than everything else.
_PLAIN: Final = frozenset((str, float, bool, type(None), date))
# Floats reach a little farther; `Plain` checks the integers in between.
_LARGEST: Final = 2**1023
# The range of integers that filters compare exactly.
_LEAST, _MOST_EXACT = -(2**63), 2**64 - 1
# The most values that fit: each takes at least two characters. Parts that values share are written
# every time, so the JSON may be far longer than the value in memory.
_MOST: Final = MAX_METADATA // 2
_TOO_LONG: Final = f"expected at most {MAX_METADATA} characters of JSON"
# Created once: with other than its default settings, `json.dumps` creates an encoder per call.
_AS_JSON: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=methodcaller("isoformat")
)


def record_metadata(metadata: Iterable[Metadata | None] | None, names: Sequence[str]) -> list[str | None] | None:
    """Convert metadata to JSON, one for each id; `None` stays `None`."""
    return None if metadata is None else given_metadata(metadata, names)


def given_metadata(
    metadata: Iterable[Metadata | None], names: Sequence[str], argument: str = "metadata"
) -> list[str | None]:
    """Convert metadata to JSON, one for each id."""
    listed = column(metadata, argument, len(names))
    found: list[str | None] = []
    for at, each in enumerate(listed):
        try:
            found.append(None if each is None else json_object(each, f"{argument}[{at}]"))
        except InvalidInputError as error:
            raise InvalidInputError(f"{error} (record {names[at][:80]!r})") from None
    return found


def json_object(value: Any, place: str) -> str:
    """Convert a dict to JSON."""
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{place}: expected a dict, got {type(value).__name__}")
    given = cast("object", value)
    tree = given if _is_plain(given, place) else _converted(given, place)
    try:
        text = _AS_JSON.encode(tree)
        text.encode()
    except ValueError:
        # NaN or a lone surrogate. The slow conversion says where.
        text = _AS_JSON.encode(_converted(given, place))
    if len(text) > MAX_METADATA:
        raise InvalidInputError(f"{place}: {_TOO_LONG}, got {len(text)}")
    return text


def _converted(value: object, place: str) -> Any:
    walk = Plain(deepest=MAX_DEPTH - 1, most=_MOST, too_many=f"{place}: {_TOO_LONG}, got more")
    return walk.of(value, place)


def _is_plain(value: object, place: str) -> bool:
    """Whether the JSON encoder takes a value as it is.

    NaN and lone surrogates are left for the encoder to find.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for each in level:
            kind = type(each)
            if kind in _PLAIN:
                continue
            if kind is int:
                if abs(cast("int", each)) > _LARGEST:
                    return False
            elif kind is dict:
                entries = cast("dict[object, object]", each)
                if not all(type(key) is str for key in entries):
                    return False
                inner.extend(entries.values())
            elif kind is list or kind is tuple:
                inner.extend(cast("Sequence[object]", each))
            elif kind is not datetime or not _has_whole_offset(cast("datetime", each)):
                return False
            if len(inner) > _MOST:
                raise InvalidInputError(f"{place}: {_TOO_LONG}, got more")
        if not inner:
            return True
        level = inner
    return not any(isinstance(each, dict | list | tuple) for each in level)


@final
class Plain:
    """Converts values to the types of JSON.

    Parameters
    ----------
    deepest
        Levels allowed below the first.
    most
        Values allowed in all. Shared parts count every time, because the JSON repeats them.
    too_many
        The message if there are more.
    for_filter
        Convert for a filter: a date becomes `{"$date": "2024-05-01"}` instead of its string, and
        integers must be from -2**63 to 2**64 - 1, because larger ones are not compared exactly.
    """

    def __init__(self, *, deepest: int, most: int, too_many: str, for_filter: bool = False) -> None:
        self._deepest, self._most, self._too_many, self._for_filter = deepest, most, too_many, for_filter
        self._size = 0

    def of(self, value: object, place: str, depth: int = 0) -> Any:
        """Convert a value, which messages call `place`."""
        self._size += 1
        if self._size > self._most:
            raise InvalidInputError(self._too_many)
        # Common types first: checking for the others is slow.
        kind = type(value)
        if kind is str:
            return unicode_text(value, place)
        if kind is int or kind is float:
            return self._number(cast("float", value), place)
        if value is None or kind is bool:
            return value
        if kind is dict or kind is list:
            return self._of_many(value, place, depth)
        return self._of_other(value, place, depth)

    def _of_other(self, value: object, place: str, depth: int) -> Any:
        """Convert a value whose type is not itself one of JSON's."""
        if isinstance(value, Enum):
            return self.of(cast("object", value.value), place, depth)
        if isinstance(value, str):
            return _text(value, place)
        if isinstance(value, int | float):
            return self._number(value, place)
        if isinstance(value, date):
            # The NaT of pandas is also a datetime, the only one that differs from itself.
            return self._date(_iso(value, place)) if value == value else _missing("NaT", place)  # noqa: PLR0124
        if isinstance(value, Decimal | UUID):
            return self._number(_decimal(value, place), place) if isinstance(value, Decimal) else str(value)
        if isinstance(value, np.generic):
            return self._scalar(cast("Any", value), place)
        if isinstance(value, list | tuple | Mapping) or hasattr(value, "__array__"):
            return self._of_many(cast("Any", value), place, depth)
        return _refuse(value, place)

    def _of_many(self, value: Any, place: str, depth: int) -> Any:
        if depth > self._deepest:
            raise InvalidInputError(f"{place[:60]}...: expected at most {MAX_DEPTH} levels of nesting")
        depth += 1
        if isinstance(value, dict | Mapping):
            entries = cast("Mapping[object, object]", value)
            return {_key(key, place): self.of(entry, f"{place}[{key!r}]", depth) for key, entry in entries.items()}
        if isinstance(value, list | tuple):
            listed: Iterable[object] = cast("Sequence[object]", value)
        else:
            array = _array(value, place)
            if array.ndim == 0:
                return _missing("a masked value", place) if array is np.ma.masked else self.of(array[()], place, depth)
            listed = array
        return [self.of(each, f"{place}[{at}]", depth) for at, each in enumerate(listed)]

    def _scalar(self, value: Any, place: str) -> Any:
        """Convert a scalar of numpy that is not also a number or string of Python."""
        if isinstance(value, np.datetime64):
            return self._date(_moment(cast("np.datetime64[Any]", value), place))
        kind = value.dtype.kind
        if kind in "biu":
            return value.item()
        if kind == "f":
            return _number(float(value), place)
        if is_small(value.dtype):
            return _number(value.item(), place)
        return _refuse(value, place)

    def _date(self, text: str) -> Any:
        return {"$date": text} if self._for_filter else text

    def _number(self, value: float, place: str) -> float:
        number = _number(value, place)
        if self._for_filter and isinstance(number, int) and not _LEAST <= number <= _MOST_EXACT:
            raise InvalidInputError(
                f"{place}: expected an integer from -2**63 to 2**64 - 1, got {number}; larger ones are compared as floats, so pass a float"
            )
        return number


def _number(value: float, place: str) -> float:
    # Subclasses become the plain type, so that numbers of numpy are written as numbers.
    number = int(value) if isinstance(value, int) else float(value)
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite:
        got = "a larger integer" if isinstance(number, int) else repr(number)
        hint = "; a missing value is None" if number != number else ""  # noqa: PLR0124
        raise InvalidInputError(f"{place}: expected a finite number in the range of a float, got {got}{hint}")
    return number


def _decimal(value: Decimal, place: str) -> float:
    if not value.is_finite():
        return _number(math.nan if value.is_nan() else math.inf, place)
    # A large exponent may need more digits than fit in memory.
    return int(value) if value == value.to_integral_value() and value.adjusted() < 300 else _number(float(value), place)


def _has_whole_offset(value: datetime) -> bool:
    """Whether the time zone is whole seconds from UTC; filters read no other."""
    offset = None if value.tzinfo is None else value.utcoffset()
    return offset is None or not offset.microseconds


def _iso(value: date, place: str) -> str:
    if isinstance(value, datetime) and not _has_whole_offset(value):
        raise InvalidInputError(
            f"{place}: expected a time zone that is whole seconds from UTC, got {value.isoformat()}; pass value.astimezone(UTC)"
        )
    return value.isoformat()


def _moment(value: "np.datetime64[Any]", place: str) -> str:
    if np.isnat(value):
        return _missing("NaT", place)
    unit = np.datetime_data(value.dtype)[0]
    near = value.astype("datetime64[D]" if unit in ("Y", "M", "W", "D") else "datetime64[us]")
    moment: object = near.item()
    is_whole = near.astype(value.dtype) == value
    # A datetime has no nanoseconds. In other units, numpy has wrapped around a moment too far away.
    if not isinstance(moment, date) or not (is_whole or unit in ("ns", "ps", "fs", "as")):
        raise InvalidInputError(f"{place}: expected a year from 1 to 9999, got {value}")
    return moment.isoformat() if is_whole else str(np.datetime_as_string(value))


def _array(value: Any, place: str) -> NDArray[Any]:
    """Convert a value to an array.

    A masked array keeps its mask, so that masked elements are refused.
    """
    if isinstance(value, np.ma.MaskedArray):
        return cast("NDArray[Any]", value)
    try:
        return np.asarray(value)
    except FAILURES as error:
        raise InvalidInputError(f"{place}: expected {_EXPECTED}, got {type(value).__name__}: {error}") from error


def _text(value: str, place: str) -> str:
    return str.__str__(unicode_text(value, place))


def _key(key: object, place: str) -> str:
    if not isinstance(key, str):
        raise InvalidInputError(f"{place}: expected strings as keys, got {type(key).__name__}")
    return _text(key, place)


def _missing(got: str, place: str) -> NoReturn:
    raise InvalidInputError(f"{place}: expected a value, got {got}; a missing value is None")


def _refuse(value: object, place: str) -> NoReturn:
    if type(value).__name__ == "NAType":
        _missing("pandas.NA", place)
    raise InvalidInputError(f"{place}: expected {_EXPECTED}, got {type(value).__name__}")
