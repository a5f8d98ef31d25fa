"""Copies of large values that let other Python threads run.

CPython holds the GIL during a copy. It releases the GIL between two copies, and while it joins
`bytes`. Large values are therefore copied in pieces, and the pieces are joined.
"""

from typing import Any, Final

import numpy as np

from tiercel.errors import InvalidInputError

__all__ = ["LONE_SURROGATE", "array_bytes", "joined", "json_utf8", "tail", "utf8"]

LONE_SURROGATE: Final = "value: expected Unicode text, got a lone surrogate in one of its texts"
# CPython copies a piece in well under a millisecond.
_PIECE: Final = 1 << 20


def joined(*parts: bytes) -> bytes:
    """Concatenate the parts. `+` would hold the GIL."""
    return b"".join(parts)


def tail(data: bytes, start: int) -> bytes:
    """Copy the bytes from `start` on."""
    if len(data) - start <= _PIECE:
        return data[start:]
    return _copied(memoryview(data)[start:])


def array_bytes(array: "np.ndarray[Any, Any] | np.generic[Any]") -> bytes:
    """Copy the values of an array in C order."""
    if array.nbytes <= _PIECE:
        return array.tobytes()
    return _copied(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def utf8(text: str, start: int = 0) -> bytes:
    """Encode text as UTF-8. Raise `InvalidInputError` for a lone surrogate.

    `start` is the position of the text within the value, for the error message.
    """
    if len(text) > _PIECE:
        return b"".join([utf8(text[at : at + _PIECE], start + at) for at in range(0, len(text), _PIECE)])
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        place = start + error.start
        raise InvalidInputError(f"value: expected Unicode text, got a lone surrogate at character {place}") from None


def json_utf8(text: str) -> bytes:
    """Encode JSON as UTF-8. An error names no character: the caller knows only the value."""
    try:
        return utf8(text)
    except InvalidInputError:
        raise InvalidInputError(LONE_SURROGATE) from None


def _copied(view: memoryview) -> bytes:
    return b"".join([bytes(view[at : at + _PIECE]) for at in range(0, len(view), _PIECE)])
