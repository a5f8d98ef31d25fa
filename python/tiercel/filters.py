"""Conditions on metadata: which records a search, a count or a deletion is about.

>>> from tiercel.filters import F
>>> recent = (F("year") >= 2020) & (F("lang") == "en")
>>> recent
(F('year') >= 2020) & (F('lang') == 'en')
>>> recent.to_dict()
{'$and': [{'year': {'$gte': 2020}}, {'lang': {'$eq': 'en'}}]}

The dictionary form is Mongo's and can be given in place of the expression. `{"year": {"gte": 2020}}` lacks a `$` and is refused: a value that
looks so is written `{"year": {"$eq": {"gte": 2020}}}`.

Types never mix: `1`, `"1"`, `True` and `None` are four values. Numbers compare as numbers, so `1 == 1.0`; strings by code point.
Integers of metadata that have more than 64 bits compare as the nearest float, so a filter cannot ask for one of them.
A `date` or `datetime` compares with those strings of the metadata that are dates in ISO 8601, as points in time: `2024-05-01`, or that with a
time behind `T` or a space (`10:20`, `10:20:30`, `10:20:30.5`) and an offset (`Z`, `+02`, `+0200`, `+02:00`). A date without a
time is its midnight, a time without an offset is UTC. Ordered comparisons hold within one type alone.

`!=` and `~` are the plain opposite, for every record: `F("lang") != "en"` holds where there is no `lang`, too. So a filter and its
opposite part the records in two; add `& F("lang").exists()` to ask for both.

In a field whose type in the schema is `date`, a string is a date, too. Values of numpy, pandas and the standard library are converted as in
metadata, see `tiercel.plain`.

A filter has at most 64 levels, 64 fields, 10,000 conditions, and 100,000 conditions and values in all; equal conditions under one operator
count once. `in_` takes many values as one condition, just under 100,000.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, cast, final

from tiercel.checks import items, unicode_text
from tiercel.errors import InvalidInputError
from tiercel.plain import Plain

__all__ = ["F", "Filter", "as_json"]

_MAX_DEPTH: Final = 64
_MAX_SIZE: Final = 100_000
# Lists count here, too, so these are at most twice as many as the core counts, which has the last word.
_MAX_NODES: Final = 2 * _MAX_SIZE
_TOO_LARGE: Final = (
    f"filter: expected at most {_MAX_SIZE} conditions and values in all; split a long $in over several calls"
)
_COMPARISONS: Final = {"$eq": "==", "$ne": "!=", "$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
_GROUPS: Final = frozenset(("$and", "$or", "$nor"))
_METHODS: Final = {"$in": "in_", "$exists": "exists", "$contains": "contains", "$startswith": "startswith"}
# What stands in a field's dictionary, for whom forgot the sign.
_SIGNLESS: Final = frozenset(name[1:] for name in (*_COMPARISONS, *_METHODS, "$nin", "$not"))


@final
class Filter:
    """A condition on metadata, made from `F`; join filters with `&`, `|` and `~`. It never changes.

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
        """The same condition as a dictionary that `json.dumps` accepts, in the manner of Mongo.

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
        # As text, since Python holds 1 and True for equal.
        return _dumped(self._form) == _dumped(other._form) if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(_dumped(self._form))

    def __reduce__(self) -> tuple[Any, ...]:
        return _filter, (self._form, self._depth, self._size)

    def __repr__(self) -> str:
        return _shown(self._form)


@final
class F:
    """A field of the metadata, to be compared; keys of objects within objects are joined by dots.

    Parameters
    ----------
    name
        `"year"`, or `"author.name"` for the `name` in an object `author`.

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
                f"name: expected the name of a field, not empty and without a leading $, got {name!r}"
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

    # Fields that are equal would have to be found by ==, which makes a filter.
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def in_(self, values: Iterable[object]) -> Filter:
        """Hold where the field has one of these values.

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
            # The same set makes the same filter.
            operands.sort(key=_dumped)
        return self._is("$in", operands)

    def exists(self) -> Filter:
        """Hold where the field is there, be it null.

        Examples
        --------
        >>> from tiercel.filters import F
        >>> ~F("lang").exists()
        ~F('lang').exists()
        """
        return self._is("$exists", True)

    def contains(self, value: object) -> Filter:
        """Hold where the field is a list with this element.

        Examples
        --------
        >>> from tiercel.filters import F
        >>> F("tags").contains("rust")
        F('tags').contains('rust')
        """
        return self._compared("$contains", value)

    def startswith(self, beginning: str) -> Filter:
        """Hold where the field is a string that begins so.

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
    """The filter as JSON, from an expression or from the dictionary form.

    A dictionary may hold all that metadata may, see `tiercel.plain`. Whether it is a filter is found out when it is used.

    Raises
    ------
    InvalidInputError
        A value is not JSON, or an operator lacks its `$`; the message names its place.

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
    """Refuse operators that lack their `$`: they would be a value, which no record has, and find nothing."""
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
    """A filter of so many levels, conditions and values. Parts may be shared, so its form can be written much longer than it is kept."""
    if depth > _MAX_DEPTH:
        raise InvalidInputError(f"filter: expected at most {_MAX_DEPTH} levels within each other")
    if size > _MAX_SIZE:
        raise InvalidInputError(_TOO_LARGE)
    made = object.__new__(Filter)
    made._form = form  # pyright: ignore[reportPrivateUsage]
    made._depth = depth  # pyright: ignore[reportPrivateUsage]
    made._size = size  # pyright: ignore[reportPrivateUsage]
    return made


def _without_brackets(operand: object) -> TypeError:
    """What & | ~ say of what is no filter: they bind more tightly than any comparison."""
    return TypeError(
        f"& | ~ join filters, got {operand!r}: write each comparison in brackets, as in"
        ' (F("year") > 2000) & (F("draft") == True)'
    )


def _joined(operator: str, one: Filter, other: object) -> Filter:
    """Both under one operator; parts of the same operator side by side rather than within each other."""
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
            # What stands on both sides is one, or joining a filter with itself over and over would double it each time.
            known = {id(part) for part in parts}
            size -= sum(_size_of(part) for part in joined if id(part) in known)
            joined = [part for part in joined if id(part) not in known]
        parts += joined
        depth = max(depth, levels if operator in form else levels + 1)
        size += part._size - (operator in form)  # pyright: ignore[reportPrivateUsage]
    return _filter({operator: parts}, depth, size)


def _size_of(form: dict[str, Any]) -> int:
    """Conditions and values in a form, as the core counts them."""
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
    return json.dumps(form, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _operand(value: object, place: str, walk: Plain | None = None) -> Any:
    """A value that a field is compared with. A dictionary is a value as a whole, so nothing in it may look like an operator."""
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
    """The expression that makes this form: one entry an object, as filters here are made."""
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
        return f"{'datetime' if 'T' in text else 'date'}.fromisoformat({text!r})"
    return repr(operand)
