"""Checks of what is handed to a collection: every mistake is an `InvalidInputError` that names the argument and the place."""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeAlias, cast

import numpy as np

from tiercel.errors import InvalidInputError

Metadata: TypeAlias = Mapping[str, Any]

MAX_ID: Final = 512
MAX_TEXT: Final = 64 << 20
MAX_METADATA: Final = 16 << 20
MAX_DEPTH: Final = 64
INCLUDES: Final = ("text", "metadata", "vector")
SEARCH_INCLUDES: Final = (*INCLUDES, "highlights")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def whole(value: object, name: str, low: int, high: int) -> int:
    """An int, numpy's among them, from `low` to `high`."""
    # numpy integers have __index__, too; bool does and is not meant.
    index: Callable[[], int] | None = getattr(value, "__index__", None)
    found = index() if index is not None and not isinstance(value, bool) else None
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


def column(values: Iterable[Any], name: str, count: int | None) -> list[Any]:
    """The values of an argument that has one for each id."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"{name}: expected a list, one an id, got {type(cast('object', values)).__name__}")
    listed = list(values)
    if count is not None and len(listed) != count:
        raise InvalidInputError(f"{name}: expected {count}, one an id, got {len(listed)}")
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


def record_ids(ids: Iterable[str]) -> list[str]:
    """Ids of records: strings of 1 to 512 bytes."""
    names = column(ids, "ids", None)
    for at, name in enumerate(names):
        size = len(unicode_text(name, f"ids[{at}]").encode())
        if not 1 <= size <= MAX_ID:
            raise InvalidInputError(f"ids[{at}]: expected 1 to {MAX_ID} bytes of UTF-8, got {size}")
    return names


def given_vectors(vectors: Any, count: int) -> tuple[Any, list[bool] | None]:
    """What the core is to read, and which ids have a vector if not all or none."""
    if vectors is None or not isinstance(vectors, list | tuple):
        return vectors, None
    rows = cast("Sequence[Any]", vectors)
    if all(row is not None for row in rows):
        return rows, None
    column(rows, "vectors", count)
    there = [row for row in rows if row is not None]
    return there or None, [row is not None for row in rows]


def record_texts(texts: Iterable[str | None] | None, count: int) -> list[str | None] | None:
    """Texts, one an id or none at all."""
    if texts is None:
        return None
    listed = column(texts, "texts", count)
    for at, text in enumerate(listed):
        if text is not None and len(unicode_text(text, f"texts[{at}]")) > MAX_TEXT:
            raise InvalidInputError(f"texts[{at}]: expected at most {MAX_TEXT} characters, got {len(text)}")
    return listed


def record_metadata(metadata: Iterable[Metadata | None] | None, count: int) -> list[str | None] | None:
    """Metadata as JSON, one an id or none at all."""
    if metadata is None:
        return None
    listed = column(metadata, "metadata", count)
    return [None if each is None else json_object(each, f"metadata[{at}]") for at, each in enumerate(listed)]


def json_object(value: object, place: str) -> str:
    """Metadata as JSON."""
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{place}: expected a dict, got {type(value).__name__}")
    try:
        text = json.dumps(
            dict(cast("Metadata", value)), ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_date
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{place}: expected what JSON can hold: {error}") from None
    unicode_text(text, place)
    if len(text) > MAX_METADATA:
        raise InvalidInputError(f"{place}: expected at most {MAX_METADATA} characters of JSON, got {len(text)}")
    if text.count("{") + text.count("[") > MAX_DEPTH and levels_of(cast("Metadata", value)) > MAX_DEPTH:
        raise InvalidInputError(f"{place}: expected at most {MAX_DEPTH} levels within each other")
    return text


def _date(value: object) -> str:
    """What JSON has no form for: dates are written as filters read them."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def levels_of(value: object) -> int:
    """How deep objects and lists lie within each other."""
    levels, depth = [value], 0
    while levels:
        depth += 1
        inner: list[object] = []
        for each in levels:
            if isinstance(each, Mapping):
                inner.extend(cast("Metadata", each).values())
            elif isinstance(each, list | tuple):
                inner.extend(cast("Sequence[object]", each))
        levels = inner
    return depth


def included(include: Iterable[str], known: Sequence[str] = INCLUDES) -> tuple[bool, bool, bool, bool]:
    """Whether text, metadata, vectors and highlights are wanted."""
    names = (include,) if isinstance(include, str) else tuple(include)
    for name in names:
        if name not in known:
            expected = ", ".join(map(repr, known))
            raise InvalidInputError(f"include: expected any of {expected}, got {name!r}")
    return "text" in names, "metadata" in names, "vector" in names, "highlights" in names


def query_texts(texts: Iterable[str]) -> list[str]:
    """Texts to search for."""
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"texts: expected a list, got {type(cast('object', texts)).__name__}")
    return [unicode_text(text, f"texts[{at}]") for at, text in enumerate(texts)]
