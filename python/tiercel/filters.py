"""Filters: conditions on metadata that select the records of a search, a count or a deletion.

>>> from tiercel.filters import F
>>> recent = (F("year") >= 2020) & (F("lang") == "en")
>>> recent
(F('year') >= 2020) & (F('lang') == 'en')
>>> recent.to_dict()
{'$and': [{'year': {'$gte': 2020}}, {'lang': {'$eq': 'en'}}]}

You can pass Mongo's dictionary form instead of the expression. `{"year": {"gte": 2020}}` is refused
because its operator lacks the `$`. To compare the field with that dictionary, write
`{"year": {"$eq": {"gte": 2020}}}`.

Types never mix: `1`, `"1"`, `True` and `None` are four values. Numbers compare as numbers, so
`1 == 1.0`; strings compare by code point. Integers of more than 64 bits in metadata compare as the
nearest float, so a filter cannot find exactly one of them. A `date` or `datetime` compares, as a
point in time, with strings in metadata that are dates in ISO 8601: `2024-05-01`, optionally
followed by `T` or a space, a time (`10:20`, `10:20:30`, `10:20:30.5`) and an offset (`Z`, `+02`,
`+0200`, `+02:00`). A date without a time means midnight, a time without an offset means UTC. `<`,
`<=`, `>` and `>=` match only values of the same type.

`!=` and `~` match every record that the condition does not match: `F("lang") != "en"` also finds
records without a `lang`. Add `& F("lang").exists()` to leave those out.

In a field whose type in the schema is `date`, strings in the filter are dates, too. Values of
numpy, pandas and the standard library are converted as in metadata, see `tiercel.plain`.

A filter has at most 64 levels, 64 fields, 10,000 conditions, and 100,000 conditions and values in
all; equal conditions under one operator count once. `in_` is one condition, for just under
100,000 values at most.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, cast, final

from tiercel.checks import items, shown, unicode_text
from tiercel.errors import InvalidInputError
from tiercel.plain import Plain

__all__ = ["F", "Filter", "as_json"]

_MAX_DEPTH: Final = 64
_MAX_SIZE: Final = 100_000
# `Plain` also counts lists, so at most twice what the core counts. The core makes the final check.
_MAX_NODES: Final = 2 * _MAX_SIZE
_TOO_LARGE: Final = (
    f"filter: expected at most {_MAX_SIZE} conditions and values in all; split a long $in over several calls"
)
_COMPARISONS: Final = {"$eq": "==", "$ne": "!=", "$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
_GROUPS: Final = frozenset(("$and", "$or", "$nor"))
_METHODS: Final = {"$in": "in_", "$exists": "exists", "$contains": "contains", "$startswith": "startswith"}
# Operators of a field without their `$`, to recognize a forgotten one.
_SIGNLESS: Final = frozenset(name[1:] for name in (*_COMPARISONS, *_METHODS, "$nin", "$not"))


@final
class Filter:
    """A condition on metadata, created from `F`.

    Filters are immutable; join them with `&`, `|` and `~`.

    Examples
    --------
    >>> from tiercel.filters import F
    >>> ~(F("tags").contains("draft") | (F("year") < 2020))
    ~(F('tags').contains('draft') | (F('year') < 2020))
    """

    __slots__ = ("_depth", "_form", "_size")

    _form: dict[str, Any]
    _depth: int
    _size: int

    def __init__(self) -> None:
        raise TypeError('Filter: made from F, as in F("lang") == "en"')

    def to_dict(self) -> dict[str, Any]:
        """Return Mongo's dictionary form of the filter, which `json.dumps` accepts.

        Examples
        --------
        >>> from datetime import date
        >>> from tiercel.filters import F
        >>> (~(F("published") > date(2024, 5, 1))).to_dict()
        {'$not': {'published': {'$gt': {'$date': '2024-05-01'}}}}
        """
        return copy.deepcopy(self._form)

    def __and__(self, other: "Filter") -> "Filter":
        return _joined("$and", self, other)

    def __or__(self, other: "Filter") -> "Filter":
        return _joined("$or", self, other)

    def __rand__(self, other: object) -> NoReturn:
        raise _without_brackets(other)

    __ror__ = __rand__

    def __invert__(self) -> "Filter":
        return _filter({"$not": self._form}, self._depth + 1, self._size + 1)

    def __bool__(self) -> bool:
        raise TypeError(
            "a filter has no truth value: join filters with & | ~ instead of and, or, not,"
            " and write a < b < c as (a < b) & (b < c)"
        )

    def __eq__(self, other: object) -> bool:
        # As text, because 1 == True in Python.
        return _dumped(self._form) == _dumped(other._form) if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(_dumped(self._form))

    def __reduce__(self) -> tuple[Any, ...]:
        return _filter, (self._form, self._depth, self._size)

    def __repr__(self) -> str:
        return _shown(self._form)


@final
class F:
    """A metadata field to compare with values. Dots lead into nested objects.

    Parameters
    ----------
    name
        `"year"`, or `"author.name"` for the `name` in the object `author`.

    Examples
    --------
    >>> from tiercel.filters import F
    >>> F("lang") == "en"
    F('lang') == 'en'
    >>> F("author.name").startswith("Mc")
    F('author.name').startswith('Mc')
    """

    __slots__ = ("_name",)

    _name: str

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name or name.startswith("$"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(
                f"name: expected the name of a field, not empty and without a leading $, got {shown(name)}"
            )
        self._name = unicode_text(name, "name")

    def __eq__(self, value: object) -> Filter:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compared("$eq", value)

    def __ne__(self, value: object) -> Filter:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compared("$ne", value)

    def __lt__(self, value: object) -> Filter:
        return self._ordered("$lt", value)

    def __le__(self, value: object) -> Filter:
        return self._ordered("$lte", value)

    def __gt__(self, value: object) -> Filter:
        return self._ordered("$gt", value)

    def __ge__(self, value: object) -> Filter:
        return self._ordered("$gte", value)

    # Hashing relies on ==, which creates a filter here.
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def in_(self, values: Iterable[object]) -> Filter:
        """Match records whose field is one of these values.

        Examples
        --------
        >>> from tiercel.filters import F
        >>> F("lang").in_(["en", "de"])
        F('lang').in_(['en', 'de'])
        """
        kind = _kind(values)
        listed = items(values)
        if listed is None:
            raise InvalidInputError(f"{self._place('$in')}: expected an iterable of values, got {kind}")
        walk = _walk()
        operands = [_operand(value, self._place("$in"), walk) for value in listed]
        if isinstance(values, (set, frozenset)):
            # Equal sets make equal filters.
            operands.sort(key=_dumped)
        return self._is("$in", operands)

    def exists(self) -> Filter:
        """Match records that have the field, even if it is null.

        Examples
        --------
        >>> from tiercel.filters import F
        >>> ~F("lang").exists()
        ~F('lang').exists()
        """
        return self._is("$exists", True)

    def contains(self, value: object) -> Filter:
        """Match records whose field is a list that contains this value.

        Examples
        --------
        >>> from tiercel.filters import F
        >>> F("tags").contains("rust")
        F('tags').contains('rust')
        """
        return self._compared("$contains", value)

    def startswith(self, beginning: str) -> Filter:
        """Match records whose field is a string with this beginning.

        Examples
        --------
        >>> from tiercel.filters import F
        >>> F("path").startswith("docs/")
        F('path').startswith('docs/')
        """
        if not isinstance(beginning, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"{self._place('$startswith')}: expected a string, got {_kind(beginning)}")
        return self._is("$startswith", unicode_text(beginning, self._place("$startswith")))

    def __and__(self, other: object) -> NoReturn:
        raise _without_brackets(self)

    __or__ = __rand__ = __ror__ = __and__

    def __contains__(self, value: object) -> NoReturn:
        raise TypeError(f"in is either true or false, and a filter is neither: write {self!r}.contains({shown(value)})")

    def __invert__(self) -> NoReturn:
        raise _without_brackets(self)

    def __bool__(self) -> NoReturn:
        raise _without_brackets(self)

    def __repr__(self) -> str:
        return f"F({self._name!r})"

    def _compared(self, operator: str, value: object) -> Filter:
        return self._is(operator, _operand(value, self._place(operator)))

    def _ordered(self, operator: str, value: object) -> Filter:
        operand = _operand(value, self._place(operator))
        is_scalar = isinstance(operand, (int, float, str)) and not isinstance(operand, bool)
        if not is_scalar and not _is_date(operand):
            raise InvalidInputError(
                f"{self._place(operator)}: expected a number, a string or a date, got {_kind(value)}"
            )
        return self._is(operator, operand)

    def _is(self, operator: str, operand: object) -> Filter:
        form = {self._name: {operator: operand}}
        return _filter(form, 1, _size_of(form))

    def _place(self, operator: str) -> str:
        sign = _COMPARISONS.get(operator)
        return f"F({self._name!r}) {sign}" if sign else f"F({self._name!r}).{_METHODS[operator]}"


def as_json(filter: Filter | Mapping[str, Any]) -> str:
    """Convert a filter to JSON with sorted keys, from an expression or its dictionary form.

    A dictionary may contain any value that metadata may, see `tiercel.plain`. Apart from a missing
    `$`, errors in its structure are found only when the filter is used.

    Raises
    ------
    InvalidInputError
        A value cannot be converted to JSON, or an operator lacks its `$`; the message names the
        place.

    Examples
    --------
    >>> from tiercel.filters import F, as_json
    >>> as_json({"year": {"$gte": 2020}}) == as_json(F("year") >= 2020)
    True
    """
    if isinstance(filter, Filter):
        return _dumped(filter._form)  # pyright: ignore[reportPrivateUsage]
    if not isinstance(filter, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"filter: expected a Filter or a dictionary, got {_kind(filter)}")
    form = _walk().of(filter, "filter")
    _refuse_signless(form, "filter")
    return _dumped(form)


def _refuse_signless(form: dict[str, Any], place: str) -> None:
    """Refuse operators that lack their `$`: taken as a value, they would match no record."""
    for name, inner in form.items():
        at = f"{place}[{name!r}]"
        entries = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
        listed = cast("list[Any]", inner) if isinstance(inner, list) else []
        is_group = bool(listed) and all(isinstance(each, dict) for each in listed)
        if name in _GROUPS:
            for number, each in enumerate(listed):
                if isinstance(each, dict):
                    _refuse_signless(cast("dict[str, Any]", each), f"{at}[{number}]")
        elif name == "$not":
            _refuse_signless(entries, at)
        elif (is_group and f"${name}" in _GROUPS) or (name == "not" and entries and not any(map(_has_sign, entries))):
            raise InvalidInputError(
                f"{at}: expected '${name}', or {{'$eq': ...}} for a field of this name, got {name!r}"
            )
        elif entries and entries.keys() <= _SIGNLESS:
            wanted, got = (", ".join(repr(sign + key) for key in entries) for sign in ("$", ""))
            raise InvalidInputError(f"{at}: expected {wanted}, or {{'$eq': {{...}}}} for a value, got {got}")


def _has_sign(name: str) -> bool:
    return name.startswith("$")


def _filter(form: dict[str, Any], depth: int, size: int) -> Filter:
    """Create a filter if its depth and size are within the limits.

    `size` counts shared parts every time: the JSON repeats them, and may be far longer than the
    form in memory.
    """
    if depth > _MAX_DEPTH:
        raise InvalidInputError(f"filter: expected at most {_MAX_DEPTH} levels of nesting")
    if size > _MAX_SIZE:
        raise InvalidInputError(_TOO_LARGE)
    made = object.__new__(Filter)
    made._form = form  # pyright: ignore[reportPrivateUsage]
    made._depth = depth  # pyright: ignore[reportPrivateUsage]
    made._size = size  # pyright: ignore[reportPrivateUsage]
    return made


def _without_brackets(operand: object) -> TypeError:
    """Create the error for operands of & | ~ that are no filters: these bind before comparisons."""
    return TypeError(
        f"& | ~ join filters, got {shown(operand)}: write each comparison in parentheses, as in"
        ' (F("year") > 2000) & (F("draft") == True)'
    )


def _joined(operator: str, one: Filter, other: object) -> Filter:
    """Join two filters by an operator, flattening operands that already use it."""
    if not isinstance(other, Filter):
        return NotImplemented
    if one._form is other._form:  # pyright: ignore[reportPrivateUsage]
        return one
    parts: list[dict[str, Any]] = []
    depth, size = 0, 1
    for part in (one, other):
        form, levels = part._form, part._depth  # pyright: ignore[reportPrivateUsage]
        joined = form.get(operator, [form])
        if len(joined) > 1:
            # Drop what both sides have: joining a filter with itself would double it each time.
            known = {id(part) for part in parts}
            size -= sum(_size_of(part) for part in joined if id(part) in known)
            joined = [part for part in joined if id(part) not in known]
        parts += joined
        depth = max(depth, levels if operator in form else levels + 1)
        size += part._size - (operator in form)  # pyright: ignore[reportPrivateUsage]
    return _filter({operator: parts}, depth, size)


def _size_of(form: dict[str, Any]) -> int:
    """Count the conditions and values in a form as the core does."""
    ((name, inner),) = form.items()
    if name in {"$and", "$or"}:
        return 1 + sum(_size_of(part) for part in inner)
    if name == "$not":
        return 1 + _size_of(inner)
    ((operator, operand),) = inner.items()
    if operator in {"$exists", "$startswith"}:
        return 2
    return 2 + (sum(map(_values_in, operand)) if operator == "$in" else _values_in(operand))


def _values_in(operand: Any) -> int:
    if _is_date(operand) or not isinstance(operand, (list, dict)):
        return 1
    inside = cast("dict[str, Any]", operand).values() if isinstance(operand, dict) else cast("list[Any]", operand)
    return 1 + sum(map(_values_in, inside))


def _dumped(form: object) -> str:
    # The order of keys has no meaning, neither among conditions nor in a value.
    return json.dumps(form, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _operand(value: object, place: str, walk: Plain | None = None) -> Any:
    """Convert a value to compare with.

    A dictionary is compared as a whole: none of its keys may look like an operator.
    """
    plain = (walk or _walk()).of(value, place)
    if isinstance(value, Mapping) and any(key.startswith("$") for key in cast("dict[str, Any]", plain)):
        raise InvalidInputError(f"{place}: expected keys without a leading $, got operators")
    return plain


def _walk() -> Plain:
    return Plain(deepest=_MAX_DEPTH, most=_MAX_NODES, too_many=_TOO_LARGE, for_filter=True)


def _is_date(operand: object) -> bool:
    return isinstance(operand, dict) and "$date" in operand


def _kind(value: object) -> str:
    return type(value).__name__


def _shown(form: dict[str, Any]) -> str:
    """Return the expression that makes this form.

    Each object in the form of a `Filter` has one entry.
    """
    ((name, inner),) = form.items()
    if name == "$not":
        return f"~{_in_parentheses(inner)}"
    if name in {"$and", "$or"}:
        return {"$and": " & ", "$or": " | "}[name].join(_in_parentheses(part) for part in inner)
    ((operator, operand),) = inner.items()
    field = f"F({name!r})"
    if operator == "$exists":
        return f"{field}.exists()"
    if operator in _COMPARISONS:
        return f"{field} {_COMPARISONS[operator]} {_shown_operand(operand)}"
    return f"{field}.{_METHODS[operator]}({_shown_operand(operand)})"


def _in_parentheses(form: dict[str, Any]) -> str:
    ((name, inner),) = form.items()
    # A call and ~ bind more tightly than any operator.
    loose = name in {"$and", "$or"} or (name != "$not" and not _COMPARISONS.keys().isdisjoint(inner))
    return f"({_shown(form)})" if loose else _shown(form)


def _shown_operand(operand: Any) -> str:
    if isinstance(operand, list):
        return f"[{', '.join(_shown_operand(value) for value in cast('list[Any]', operand))}]"
    if _is_date(operand):
        text = cast("dict[str, str]", operand)["$date"]
        if len(fraction := text.partition(".")[2]) > 6 and fraction[6].isdigit():
            # Only numpy and pandas have nanoseconds, and only pandas has them with an offset.
            return f"{'np.datetime64' if fraction.isdigit() else 'pandas.Timestamp'}({text!r})"
        return f"{'datetime' if 'T' in text else 'date'}.fromisoformat({text!r})"
    return repr(operand)
