"""Values of metadata and of filters: what comes from numpy, pandas and the standard library becomes what JSON has.

| value | what it becomes |
|---|---|
| `None`, a bool, a number, a string, a list, a tuple, a mapping with strings as keys | itself, in the type of JSON |
| a member of an enumeration | its value |
| `date`, `datetime`, `pandas.Timestamp`, `numpy.datetime64` | a date: in metadata its string in ISO 8601, with a zone that is whole seconds from UTC |
| `Decimal` | an integer if it is one, else the nearest float |
| `UUID` | its string |
| a number or bool of numpy, bfloat16 and the like among them | the number |
| an array, a `pandas.Series` | a list |

A missing value (NaN, NaT, `pandas.NA`, what an array masks) is an error, like an infinity: `None` stands for it. So is anything else.
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

from tiercel.arrays import is_small
from tiercel.checks import MAX_DEPTH, MAX_METADATA, Metadata, column, unicode_text
from tiercel.errors import InvalidInputError

__all__ = ["Plain", "given_metadata", "json_object", "record_metadata"]

_EXPECTED: Final = (
    "a value of JSON (None, bool, number, str, list, dict), a date, a datetime, a Decimal, a UUID or an enum member"
)
# Most values, for which asking what else they might be takes longer than all the rest.
_PLAIN: Final = frozenset((str, float, bool, type(None), date))
# The range of a float reaches a little farther, which the long way finds out.
_LARGEST: Final = 2**1023
# Integers that filters compare exactly.
_LEAST, _MOST_EXACT = -(2**63), 2**64 - 1
# Each takes two characters. Parts that are shared may be written much longer than they are.
_MOST: Final = MAX_METADATA // 2
_TOO_LONG: Final = f"expected at most {MAX_METADATA} characters of JSON"
# Made once: `json.dumps` makes one a call for any but its own settings.
_AS_JSON: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=methodcaller("isoformat")
)


def record_metadata(metadata: Iterable[Metadata | None] | None, names: Sequence[str]) -> list[str | None] | None:
    """Metadata as JSON, one for each id or none at all."""
    return None if metadata is None else given_metadata(metadata, names)


def given_metadata(
    metadata: Iterable[Metadata | None], names: Sequence[str], argument: str = "metadata"
) -> list[str | None]:
    """Metadata as JSON, one for each id."""
    listed = column(metadata, argument, len(names))
    found: list[str | None] = []
    for at, each in enumerate(listed):
        try:
            found.append(None if each is None else json_object(each, f"{argument}[{at}]"))
        except InvalidInputError as error:
            raise InvalidInputError(f"{error} (record {names[at][:80]!r})") from None
    return found


def json_object(value: Any, place: str) -> str:
    """A dict as JSON."""
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{place}: expected a dict, got {type(value).__name__}")
    given = cast("object", value)
    tree = given if _is_plain(given, place) else _converted(given, place)
    try:
        text = _AS_JSON.encode(tree)
        text.encode()
    except ValueError:
        # NaN, or half a character: this says where.
        text = _AS_JSON.encode(_converted(given, place))
    if len(text) > MAX_METADATA:
        raise InvalidInputError(f"{place}: {_TOO_LONG}, got {len(text)}")
    return text


def _converted(value: object, place: str) -> Any:
    walk = Plain(deepest=MAX_DEPTH - 1, most=_MOST, too_many=f"{place}: {_TOO_LONG}, got more")
    return walk.of(value, place)


def _is_plain(value: object, place: str) -> bool:
    """Whether a value can be written as JSON as it is, dates too, but for NaN and half characters, which the writing finds."""
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
    """Makes values what JSON has.

    Parameters
    ----------
    deepest
        Levels that may lie within the first.
    most
        Values in all: they may share parts, and be written much longer than they are.
    too_many
        What is said of more.
    for_filter
        Whether it is for a filter: then a date becomes `{"$date": "2024-05-01"}` in place of its string, and an integer must be one that is compared
        exactly, of at most 64 bits.
    """

    def __init__(self, *, deepest: int, most: int, too_many: str, for_filter: bool = False) -> None:
        self._deepest, self._most, self._too_many, self._for_filter = deepest, most, too_many, for_filter
        self._size = 0

    def of(self, value: object, place: str, depth: int = 0) -> Any:
        """The value as JSON has it; `place` is what messages call it."""
        self._size += 1
        if self._size > self._most:
            raise InvalidInputError(self._too_many)
        # What nearly all values are, before what takes long to ask for.
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
        """A value that is none of JSON's own types."""
        if isinstance(value, Enum):
            return self.of(cast("object", value.value), place, depth)
        if isinstance(value, str):
            return _text(value, place)
        if isinstance(value, int | float):
            return self._number(value, place)
        if isinstance(value, date):
            # Only NaT of pandas, which is a datetime, too, differs from itself.
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
            raise InvalidInputError(f"{place[:60]}...: expected at most {MAX_DEPTH} levels within each other")
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
        """A value of numpy that is none of Python's own."""
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
                f"{place}: expected an integer from -2**63 to 2**64 - 1, got {number}; larger ones are compared as floats, so give a float"
            )
        return number


def _number(value: float, place: str) -> float:
    # Without subclasses, so that numpy's are written as numbers.
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
    # An exponent may ask for more digits than there is memory.
    return int(value) if value == value.to_integral_value() and value.adjusted() < 300 else _number(float(value), place)


def _has_whole_offset(value: datetime) -> bool:
    """Whether the zone is whole seconds from UTC, as those of ISO 8601 are, and filters take."""
    offset = None if value.tzinfo is None else value.utcoffset()
    return offset is None or not offset.microseconds


def _iso(value: date, place: str) -> str:
    if isinstance(value, datetime) and not _has_whole_offset(value):
        raise InvalidInputError(
            f"{place}: expected a time zone that is whole seconds from UTC, got {value.isoformat()}; give value.astimezone(UTC)"
        )
    return value.isoformat()


def _moment(value: "np.datetime64[Any]", place: str) -> str:
    if np.isnat(value):
        return _missing("NaT", place)
    is_day = np.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D")
    moment: object = value.astype("datetime64[D]" if is_day else "datetime64[us]").item()
    if not isinstance(moment, date):
        raise InvalidInputError(f"{place}: expected a year from 1 to 9999, got {value}")
    # A datetime has no nanoseconds.
    is_whole = is_day or value == value.astype("datetime64[us]")
    return moment.isoformat() if is_whole else str(np.datetime_as_string(value))


def _array(value: Any, place: str) -> NDArray[Any]:
    """The array that a value is or says it is; one with a mask keeps it, so that what is masked is met as that."""
    if isinstance(value, np.ma.MaskedArray):
        return cast("NDArray[Any]", value)
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
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
