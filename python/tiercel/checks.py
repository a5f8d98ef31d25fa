"""Checks of what is handed to a collection: every mistake is an `InvalidInputError` that names the argument and the place."""

import math
import operator
from collections.abc import Iterable, Mapping, MappingView, Reversible, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, SupportsIndex, TypeAlias, cast
from uuid import UUID

import numpy as np

from tiercel.errors import InvalidInputError
from tiercel.found import Match

Metadata: TypeAlias = Mapping[str, Any]

MAX_ID: Final = 512
MAX_TEXT: Final = 64 << 20
MAX_METADATA: Final = 16 << 20
MAX_DEPTH: Final = 64
MAX_LIMIT: Final = 2**63 - 1
INCLUDES: Final = ("text", "metadata", "vector")
SEARCH_INCLUDES: Final = (*INCLUDES, "highlights")


def whole(value: object, name: str, low: int, high: int) -> int:
    """An int, numpy's among them, from `low` to `high`."""
    # numpy integers have __index__, too; arrays have one that fails, bool has one and is not meant.
    try:
        found = None if isinstance(value, bool) else operator.index(cast("SupportsIndex", value))
    except TypeError:
        found = None
    if found is None or not low <= found <= high:
        raise InvalidInputError(f"{name}: expected an int from {low} to {high}, got {value!r}")
    return found


def number(value: object, name: str, low: float, high: float) -> float:
    """A number from `low` to `high`."""
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    found = float(cast("float", value)) if real else math.nan
    if not low <= found <= high:
        raise InvalidInputError(f"{name}: expected a number from {low} to {high}, got {value!r}")
    return found


def items(values: object) -> list[Any] | None:
    """What is in a list or the like; `None` for text, what would give its keys, as a mapping and a data frame, and what cannot be gone
    through, as an array without dimensions.
    """
    # What is given nearly always, before what takes longer to ask for than a small write does.
    kind = type(values)
    if kind is list or kind is tuple:
        return list(cast("Iterable[Any]", values))
    if isinstance(values, str | bytes | Mapping) or is_frame(values):
        return None
    try:
        iterator = iter(cast("Iterable[Any]", values))
    except TypeError:
        return None
    return list(iterator)


def is_frame(values: object) -> bool:
    """Whether this is a data frame or a table, whose items are its columns. A column of one is a list like any other."""
    return hasattr(type(values), "columns") and hasattr(values, "shape")


def frame_cure(values: object, name: str) -> str:
    """What to give in the place of a data frame."""
    if not is_frame(values):
        return ""
    if name not in {"metadata", "merge"}:
        return '; give one of its columns, as frame["id"]'
    methods = ("to_dicts", "to_pylist")
    call = next((f"{method}()" for method in methods if hasattr(values, method)), 'to_dict("records")')
    return f"; give frame.{call}"


def refuse_unordered(values: object, name: str) -> None:
    """Complain about a set where the order says what belongs together. Keys of a dict have the order of the dict."""
    if isinstance(values, AbstractSet) and not isinstance(values, Reversible | MappingView):
        kind = type(cast("object", values)).__name__
        cure = f"; give sorted({name})" if name in {"ids", "keys"} else ""
        raise InvalidInputError(f"{name}: expected a list, got a {kind}, which has no order{cure}")


def many(values: Any) -> Any:
    """Values with one for each id; `None` for one that is for all of them."""
    return values if hasattr(values, "__iter__") and not isinstance(values, Match) else None


def column(values: Iterable[Any], name: str, count: int | None) -> list[Any]:
    """The values of an argument that has one for each id."""
    refuse_unordered(values, name)
    listed = items(values)
    if listed is None:
        raise InvalidInputError(
            f"{name}: expected a list, one for each id, got {type(values).__name__}{frame_cure(values, name)}"
        )
    if count is not None and len(listed) != count:
        raise InvalidInputError(f"{name}: expected {count}, one for each id, got {len(listed)}")
    return listed


def unicode_text(value: object, place: str) -> str:
    """A string that UTF-8 can hold."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{place}: expected a str, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{place}: expected Unicode text, got a lone surrogate at character {error.start}"
        ) from None
    return value


def record_ids(ids: str | Iterable[str], *beside: object) -> list[str]:
    """Ids of records, one or many: strings of 1 to 512 bytes. With anything beside them that has one value for each, they must have an order."""
    if isinstance(ids, str):
        return [record_id(ids, "ids")]
    if any(each is not None for each in beside):
        refuse_unordered(ids, "ids")
    names = items(ids)
    if names is None:
        refuse_foreign_id(ids, "ids")
        raise InvalidInputError(
            f"ids: expected a str or a list of them, got {type(ids).__name__}{frame_cure(ids, 'ids')}"
        )
    return [record_id(name, f"ids[{at}]") for at, name in enumerate(names)]


def refuse_repeated(names: Sequence[str]) -> None:
    """Complain about an id that stands twice."""
    if len(set(names)) == len(names):
        return
    first: dict[str, int] = {}
    for at, name in enumerate(names):
        if first.setdefault(name, at) != at:
            raise InvalidInputError(f"ids: expected different ids, got {name!r} at {first[name]} and {at}")


def record_id(id: object, place: str) -> str:
    """The id of a record."""
    if not isinstance(id, str):
        refuse_foreign_id(id, place)
        if (gap := gap_name(id)) is not None:
            raise InvalidInputError(
                f"{place}: expected a str, got {gap}: a value is missing, and every record has an id"
            )
    text = unicode_text(id, place)
    size = len(text.encode())
    if not 1 <= size <= MAX_ID:
        raise InvalidInputError(f"{place}: expected 1 to {MAX_ID} bytes of UTF-8, got {size}")
    return text


def refuse_foreign_id(id: object, place: str) -> None:
    """Complain about what is an id elsewhere, an integer or a UUID, and say what to give instead."""
    if isinstance(id, int | np.integer | UUID) and not isinstance(id, bool):
        kind = type(cast("object", id)).__name__
        raise InvalidInputError(f"{place}: expected a str, got {kind}; give str(id)")


def refuse_unknown(
    call: str, unknown: Mapping[str, object], known: Sequence[str], elsewhere: Mapping[str, str] | None = None
) -> None:
    """Raise the `TypeError` of Python for an argument that a call does not have, with the name of the one that is meant.

    `elsewhere` has our names by those that other libraries use.
    """
    for name in unknown:
        from difflib import get_close_matches

        translated = (elsewhere or {}).get(name)
        near = [translated] if translated else get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{call} got an unexpected keyword argument {name!r}{meant}")


def gap_name(value: object) -> str | None:
    """What a missing value is called; `None` for a value that is there."""
    kind = type(value).__name__
    if value is None or kind == "NAType":
        return "None" if value is None else "pandas.NA"
    if kind == "NaTType" or (isinstance(value, np.datetime64 | np.timedelta64) and np.isnat(cast("Any", value))):
        return "NaT"
    return "nan" if isinstance(value, float | np.floating) and math.isnan(cast("float", value)) else None


def beside(ids: object, value: Any) -> Any:
    """What is given beside ids, one for each: beside a single id, the value itself stands for a list of it."""
    return [value] if isinstance(ids, str) and value is not None else value


def column_of_vectors(vectors: Any) -> Any:
    """Vectors, one a record: a column of a data frame becomes the list that it is, in which `None` may stand."""
    dtype = getattr(vectors, "dtype", None)
    # To write a type of numbers as text takes long.
    is_objects = getattr(dtype, "kind", "") == "O" and str(dtype) == "object"
    return list(vectors) if is_objects and vectors.ndim == 1 else vectors


def refuse_texts(vectors: Any) -> None:
    """Complain about texts in the place of vectors, and say where they go."""
    first: object = vectors
    if isinstance(vectors, list | tuple) or getattr(vectors, "ndim", 0) == 1:
        first = next((each for each in cast("Iterable[object]", vectors) if each is not None), None)
    if isinstance(first, str):
        raise InvalidInputError("vectors: expected a numeric array, got texts; give them as texts=")


def given_vectors(vectors: Any, names: Sequence[str]) -> tuple[Any, list[bool] | None]:
    """What the core is to read, and which ids have a vector if not all or none."""
    if vectors is None or not isinstance(vectors, list | tuple):
        return vectors, None
    rows = cast("Sequence[Any]", vectors)
    if len(rows) == len(names):
        for at, row in enumerate(rows):
            # The gap of a data frame. What has a length is no such thing, and asked for that in no time.
            if row is not None and not hasattr(row, "__len__") and (gap := gap_name(row)) is not None:
                raise InvalidInputError(f"vectors[{at}]: expected a vector, got {gap}; {_none_is_missing(names[at])}")
    if all(row is not None for row in rows):
        return rows, None
    column(rows, "vectors", len(names))
    there = [row for row in rows if row is not None]
    return there or None, [row is not None for row in rows]


def record_texts(texts: Iterable[str | None] | None, names: Sequence[str]) -> list[str | None] | None:
    """Texts, one for each id or none at all."""
    if texts is None:
        return None
    listed = column(texts, "texts", len(names))
    for at, text in enumerate(listed):
        if text is None:
            continue
        if not isinstance(text, str) and (gap := gap_name(text)) is not None:
            raise InvalidInputError(f"texts[{at}]: expected a str, got {gap}; {_none_is_missing(names[at])}")
        size = len(unicode_text(text, f"texts[{at}]"))
        if size > MAX_TEXT:
            raise InvalidInputError(f"texts[{at}]: expected at most {MAX_TEXT} characters, got {size}")
    return listed


def _none_is_missing(id: str) -> str:
    return f"a missing value is None (record {id[:80]!r})"


def field_names(fields: str | Iterable[str], name: str) -> list[str]:
    """Names of fields of metadata, one or many."""
    listed = [fields] if isinstance(fields, str) else items(fields)
    if listed is None:
        raise InvalidInputError(f"{name}: expected a list of names of fields, got {type(fields).__name__}")
    for at, field in enumerate(listed):
        if not unicode_text(field, f"{name}[{at}]"):
            raise InvalidInputError(f"{name}[{at}]: expected the name of a field, got {field!r}")
    return listed


def expected_sequences(if_sequence: int | Iterable[int] | None, count: int) -> list[int] | None:
    """The sequence that each record must have, if anything is said of it."""
    if if_sequence is None:
        return None
    given = cast("object", if_sequence)
    # A match is a tuple of its fields.
    listed = None if isinstance(given, Match) else items(given)
    if listed is None:
        return [_sequence(given, "if_sequence")] * count
    refuse_unordered(given, "if_sequence")
    column(listed, "if_sequence", count)
    return [_sequence(each, f"if_sequence[{at}]") for at, each in enumerate(listed)]


def _sequence(value: object, place: str) -> int:
    if isinstance(value, Match):
        raise InvalidInputError(f"{place}: expected an int, got a Match; give match.sequence")
    return whole(value, place, 0, MAX_LIMIT)


def sort_order(order_by: object) -> tuple[str, bool]:
    """The field to order by, and whether largest first."""
    text = unicode_text(order_by, "order_by")
    field = text.removeprefix("-")
    if not field:
        raise InvalidInputError(f"order_by: expected the name of a field, got {text!r}")
    return field, text.startswith("-")


def included(include: Iterable[str], known: Sequence[str] = INCLUDES) -> tuple[bool, bool, bool, bool]:
    """Whether text, metadata, vectors and highlights are wanted."""
    names = [include] if isinstance(include, str) else items(include)
    if names is None:
        raise InvalidInputError(f"include: expected a list, got {type(include).__name__}")
    for name in names:
        if not isinstance(cast("object", name), str) or name not in known:
            expected = ", ".join(map(repr, known))
            raise InvalidInputError(f"include: expected any of {expected}, got {name!r}")
    return "text" in names, "metadata" in names, "vector" in names, "highlights" in names


def query_texts(texts: Iterable[str]) -> list[str]:
    """Texts to search for."""
    refuse_unordered(texts, "texts")
    listed = items(texts)
    if listed is None:
        raise InvalidInputError(f"texts: expected a list, got {type(texts).__name__}{frame_cure(texts, 'texts')}")
    return [unicode_text(text, f"texts[{at}]") for at, text in enumerate(listed)]
