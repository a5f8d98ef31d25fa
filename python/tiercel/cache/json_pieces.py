"""JSON of large values, written and read in pieces.

Python's `json` holds the GIL for a whole call: 0.1 to 0.5 µs per value. A list or dict of many
values is therefore stored as pieces, each the JSON of some of its entries, and an outline of where
they belong.

>>> from tiercel.cache.json_pieces import dump, load
>>> many = {"name": "numbers", "up to 50,000": list(range(50_000))}
>>> load(dump(many)) == many
True
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final, TypeAlias, cast

from tiercel.cache.large import json_utf8
from tiercel.cache.native import JSON, weight
from tiercel.checks import MAX_DEPTH

__all__ = ["AS_JSON", "DEEPEST", "MANY", "dump", "load"]

AS_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Shared, because `json.dumps` makes an encoder for each call with non-default settings."""
MANY: Final = 4096
"""The `weight` of a piece, which `json` reads and writes in a millisecond or two."""
DEEPEST: Final = 3 * MAX_DEPTH + 1
"""The deepest nesting of lists and objects: a dict with typed keys takes three levels of JSON."""

# What `dump` writes:
#
#   size of the outline, u32 | outline, as JSON | pieces, one after the other
#
# The outline is a list of steps, which `load` follows:
#
#   n              the next n bytes are a JSON list: entries to append to the innermost open list,
#                  or alternating names and values of an object
#   "[" or "{"     open a list or an object
#   ["name"]       the key of the list or object opened next
#   "]"            close the innermost one, which becomes an entry of the one around it
_SIZE: Final = struct.Struct("<I")
_Hook: TypeAlias = Callable[[dict[str, Any]], Any]
_Entry: TypeAlias = tuple[str | None, Any]
_Step: TypeAlias = int | str | list[str]


def dump(value: Any) -> bytes:
    """Encode a list or dict that JSON preserves.

    Raise `InvalidInputError` for text with a lone surrogate.
    """
    outline: list[_Step] = []
    pieces: list[bytes] = []
    _write(value, outline, pieces)
    head = json_utf8(AS_JSON.encode(outline))
    return b"".join((_SIZE.pack(len(head)), head, *pieces))


def _write(value: Any, outline: list[_Step], pieces: list[bytes]) -> None:
    is_dict = type(value) is dict
    entries = cast("Iterable[_Entry]", value.items() if is_dict else ((None, each) for each in value))
    outline.append("{" if is_dict else "[")
    for some in _parted(entries):
        if isinstance(some, tuple):
            key, inner = some
            if key is not None:
                outline.append([key])
            _write(inner, outline, pieces)
        else:
            piece = json_utf8(AS_JSON.encode(list(chain(*some)) if is_dict else [each for _, each in some]))
            outline.append(len(piece))
            pieces.append(piece)
    outline.append("]")


def _parted(entries: Iterable[_Entry]) -> Iterator[list[_Entry] | _Entry]:
    """Split entries into pieces.

    A list or dict too large for one piece comes alone, in its place.
    """
    some: list[_Entry] = []
    total = 0
    for entry in entries:
        each = weight(entry[1], JSON, DEEPEST)
        if some and total + each > MANY:
            yield some
            some, total = [], 0
        if each > MANY and isinstance(entry[1], list | dict):
            yield entry
        else:
            some.append(entry)
            total += each
    if some:
        yield some


def load(data: bytes, hook: _Hook | None = None) -> Any:
    """Decode what `dump` wrote. Raise an `Exception` for other bytes.

    `hook` is called for each object, as by `json.loads`.
    """
    (size,) = _SIZE.unpack_from(data)
    at = _SIZE.size + size
    root: list[Any] = []
    opened: list[tuple[str | None, Any]] = [(None, root)]
    key = None
    for step in json.loads(data[_SIZE.size : at]):
        match step:
            case int():
                _extend(opened[-1][1], json.loads(data[at : at + step].decode(), object_hook=hook))
                at += step
            case "[" | "{":
                if len(opened) > DEEPEST:
                    raise ValueError(f"expected at most {DEEPEST} nested levels, got more")
                opened.append((key, [] if step == "[" else {}))
                key = None
            case [str() as key]:
                pass
            case "]":
                name, closed = opened.pop()
                if hook is not None and isinstance(closed, dict):
                    closed = hook(cast("dict[str, Any]", closed))
                _extend(opened[-1][1], [closed] if name is None else [name, closed])
            case _:
                raise ValueError(f"expected a step, got {step!r:.100}")
    if len(opened) > 1 or at != len(data):
        raise ValueError("expected an outline of all that follows")
    (value,) = root
    return value


def _extend(whole: Any, entries: Any) -> None:
    if type(entries) is not list:
        raise ValueError(f"expected a list of entries, got {entries!r:.100}")
    entries = cast("list[Any]", entries)
    if isinstance(whole, dict):
        cast("dict[str, Any]", whole).update(zip(entries[::2], entries[1::2], strict=True))
    else:
        whole.extend(entries)
