"""Checks of arguments to a collection.

An `InvalidInputError` names the argument and the place of the mistake.
"""

import math
import operator
import re
from collections.abc import Iterable, Mapping, MappingView, Reversible, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
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
    """Check an int, of Python or numpy, from `low` to `high`; return it."""
    # numpy integers have __index__. So has bool, a mistake here; that of an array may raise.
    try:
        found = None if isinstance(value, bool) else operator.index(cast("SupportsIndex", value))
    except TypeError:
        found = None
    if found is None or not low <= found <= high:
        raise InvalidInputError(f"{name}: expected an int from {low} to {high}, got {shown(value)}")
    return found


def number(value: object, name: str, low: float, high: float) -> float:
    """Check a real number from `low` to `high`; return it as a float."""
    # To numpy, a span of time is an integer.
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.timedelta64)
    try:
        found = float(cast("float", value)) if real else math.nan
    except OverflowError:
        # An int beyond the floats.
        found = math.nan
    if not low <= found <= high:
        given = cast("object", value)
        got = f"{shown(given)}{span_cure(given)}"
        raise InvalidInputError(f"{name}: expected a number from {low} to {high}, got {got}")
    return found


def span_cure(value: object) -> str:
    """Say what to pass instead of a span of time; return an empty string for anything else."""
    return "; pass seconds, as a number" if isinstance(value, timedelta | np.timedelta64) else ""


def shown(value: object) -> str:
    """Show a value in a message. Python refuses to print an int of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an int of {value.bit_length()} bits"
    try:
        return repr(value)
    except ValueError:
        # Such an int is somewhere within.
        return f"a value of type {type(value).__name__}"


def choice(value: object, name: str, known: Sequence[str]) -> str:
    """Check a string that must be one of a few; return it."""
    # Comparing an array with a string gives an array.
    if not isinstance(value, str) or value not in known:
        raise InvalidInputError(f"{name}: expected {' or '.join(map(repr, known))}, got {shown(value)}")
    return value


def items(values: object) -> list[Any] | None:
    """List the items of an iterable.

    Return `None` for text, for a mapping or a data frame, which would yield its keys, and for a
    value that cannot be iterated over, such as an array without dimensions.
    """
    # Common types first: the other checks take longer than a small write.
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
    """Whether this is a data frame or a table, which yields its columns. A column is not one."""
    return hasattr(type(values), "columns") and hasattr(values, "shape")


def frame_cure(values: object, name: str) -> str:
    """Say what to pass instead of a data frame; return an empty string for anything else."""
    if not is_frame(values):
        return ""
    if name not in {"metadata", "merge"}:
        return '; pass one of its columns, such as frame["id"]'
    methods = ("to_dicts", "to_pylist")
    call = next((f"{method}()" for method in methods if hasattr(values, method)), 'to_dict("records")')
    return f"; pass frame.{call}"


def refuse_unordered(values: object, name: str) -> None:
    """Refuse a set where the order pairs values with each other. Keys of a dict have an order."""
    if isinstance(values, AbstractSet) and not isinstance(values, Reversible | MappingView):
        kind = type(cast("object", values)).__name__
        cure = f"; pass sorted({name})" if name in {"ids", "keys"} else ""
        raise InvalidInputError(f"{name}: expected a list, got a {kind}, which has no order{cure}")


def many(values: Any) -> Any:
    """Return values that come one for each id; `None` for a single value for all ids."""
    return values if hasattr(values, "__iter__") and not isinstance(values, Match) else None


def column(values: Iterable[Any], name: str, count: int) -> list[Any]:
    """Check an argument with one value for each id; return the values."""
    refuse_unordered(values, name)
    listed = items(values)
    if listed is None:
        raise InvalidInputError(
            f"{name}: expected a list, one for each id, got {type(values).__name__}{frame_cure(values, name)}"
        )
    if len(listed) != count:
        raise InvalidInputError(f"{name}: expected {count}, one for each id, got {len(listed)}")
    return listed


def unicode_text(value: object, place: str) -> str:
    """Check a string that UTF-8 can encode; return it."""
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
    """Check ids of records, one or many; return a list.

    An id is a string of 1 to 512 bytes. If an argument in `beside` is not `None`, it has a value
    for each id, so the ids must have an order.
    """
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
    """Refuse an id that occurs twice."""
    if len(set(names)) == len(names):
        return
    first: dict[str, int] = {}
    for at, name in enumerate(names):
        if first.setdefault(name, at) != at:
            raise InvalidInputError(f"ids: expected different ids, got {name!r} at {first[name]} and {at}")


def record_id(id: object, place: str) -> str:
    """Check the id of a record; return it."""
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
    """Refuse an integer or a UUID, which other systems use as ids, and say what to pass instead."""
    if isinstance(id, int | np.integer | UUID) and not isinstance(id, bool):
        kind = type(cast("object", id)).__name__
        raise InvalidInputError(f"{place}: expected a str, got {kind}; pass str(id)")


def refuse_unknown(
    call: str, unknown: Mapping[str, object], known: Sequence[str], elsewhere: Mapping[str, str] | None = None
) -> None:
    """Raise Python's `TypeError` for an unknown argument, and suggest the one that was meant.

    `elsewhere` maps names in other libraries to ours.
    """
    for name in unknown:
        from difflib import get_close_matches

        translated = (elsewhere or {}).get(name)
        near = [translated] if translated else get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{call} got an unexpected keyword argument {name!r}{meant}")


def gap_name(value: object) -> str | None:
    """Return the name of a missing value; `None` for any other value."""
    kind = type(value).__name__
    if value is None or kind == "NAType":
        return "None" if value is None else "pandas.NA"
    if kind == "NaTType" or (isinstance(value, np.datetime64 | np.timedelta64) and np.isnat(cast("Any", value))):
        return "NaT"
    return "nan" if isinstance(value, float | np.floating) and math.isnan(cast("float", value)) else None


def beside(ids: object, value: Any) -> Any:
    """Wrap the value that comes with a single id in a list: one value for each id."""
    return [value] if isinstance(ids, str) and value is not None else value


def column_of_vectors(vectors: Any) -> Any:
    """Convert a data frame's column of vectors, which may have gaps, to a list; keep others."""
    dtype = getattr(vectors, "dtype", None)
    # Check the kind first: `str` of a numeric dtype is slow.
    is_objects = getattr(dtype, "kind", "") == "O" and str(dtype) == "object"
    return list(vectors) if is_objects and vectors.ndim == 1 else vectors


def refuse_texts(vectors: Any) -> None:
    """Refuse texts in place of vectors, and say where they go."""
    first: object = vectors
    if isinstance(vectors, list | tuple) or getattr(vectors, "ndim", 0) == 1:
        first = next((each for each in cast("Iterable[object]", vectors) if each is not None), None)
    if isinstance(first, str):
        raise InvalidInputError("vectors: expected a numeric array, got texts; pass them as texts=")


def given_vectors(vectors: Any, names: Sequence[str]) -> tuple[Any, list[bool] | None]:
    """Return the vectors for the core to read and, if only some ids have one, which."""
    if vectors is None or not isinstance(vectors, list | tuple):
        return vectors, None
    rows = cast("Sequence[Any]", vectors)
    if len(rows) == len(names):
        for at, row in enumerate(rows):
            # A missing value of a data frame has no length, which is quick to check.
            if row is not None and not hasattr(row, "__len__") and (gap := gap_name(row)) is not None:
                raise InvalidInputError(f"vectors[{at}]: expected a vector, got {gap}; {_none_is_missing(names[at])}")
    if all(row is not None for row in rows):
        return rows, None
    column(rows, "vectors", len(names))
    there = [row for row in rows if row is not None]
    return there or None, [row is not None for row in rows]


def renumbered(error: Exception, before: str, rows: Sequence[int]) -> InvalidInputError | None:
    """Return an error with the row of the caller for one that counted only these `rows`.

    The number follows the pattern `before` in the message. Return `None` if there is no number, or
    if the error is not ours. The error itself stays as it is: other callers may hold it, too.
    """
    found = re.match(f"(.*{before})(\\d+)(.*)", str(error), re.DOTALL)
    if type(error) is not InvalidInputError or found is None or int(found[2]) >= len(rows):
        return None
    return InvalidInputError(f"{found[1]}{rows[int(found[2])]}{found[3]}")


def record_texts(texts: Iterable[str | None] | None, names: Sequence[str]) -> list[str | None] | None:
    """Check texts, one for each id; `None` stays `None`."""
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
    """Check names of metadata fields, one or many; return a list."""
    listed = [fields] if isinstance(fields, str) else items(fields)
    if listed is None:
        raise InvalidInputError(f"{name}: expected a list of names of fields, got {type(fields).__name__}")
    for at, field in enumerate(listed):
        if not unicode_text(field, f"{name}[{at}]"):
            raise InvalidInputError(f"{name}[{at}]: expected the name of a field, got {field!r}")
    return listed


def expected_sequences(if_sequence: int | Iterable[int] | None, count: int) -> list[int] | None:
    """Return the sequence that each record must have; `None` if any will do."""
    if if_sequence is None:
        return None
    given = cast("object", if_sequence)
    # A match is a tuple, but not a list of sequences.
    listed = None if isinstance(given, Match) else items(given)
    if listed is None:
        return [_sequence(given, "if_sequence")] * count
    refuse_unordered(given, "if_sequence")
    column(listed, "if_sequence", count)
    return [_sequence(each, f"if_sequence[{at}]") for at, each in enumerate(listed)]


def _sequence(value: object, place: str) -> int:
    if isinstance(value, Match):
        raise InvalidInputError(f"{place}: expected an int, got a Match; pass match.sequence")
    return whole(value, place, 0, MAX_LIMIT)


def sort_order(order_by: object) -> tuple[str, bool]:
    """Return the field to order by, and whether the largest comes first."""
    text = unicode_text(order_by, "order_by")
    field = text.removeprefix("-")
    if not field:
        raise InvalidInputError(f"order_by: expected the name of a field, got {text!r}")
    return field, text.startswith("-")


def included(include: Iterable[str], known: Sequence[str] = INCLUDES) -> tuple[bool, bool, bool, bool]:
    """Return whether `include` asks for text, metadata, vectors and highlights."""
    names = [include] if isinstance(include, str) else items(include)
    if names is None:
        raise InvalidInputError(f"include: expected a list, got {type(include).__name__}")
    for name in names:
        if not isinstance(cast("object", name), str) or name not in known:
            expected = ", ".join(map(repr, known))
            raise InvalidInputError(f"include: expected any of {expected}, got {shown(name)}")
    return "text" in names, "metadata" in names, "vector" in names, "highlights" in names


def query_texts(texts: Iterable[str]) -> list[str]:
    """Check texts to search for; return a list."""
    refuse_unordered(texts, "texts")
    listed = items(texts)
    if listed is None:
        raise InvalidInputError(f"texts: expected a list, got {type(texts).__name__}{frame_cure(texts, 'texts')}")
    return [unicode_text(text, f"texts[{at}]") for at, text in enumerate(listed)]
