"""Copies of large values that let other threads of Python run.

CPython holds the GIL for the whole of one copy. It lets go of it between two copies, and while it joins `bytes`. So whatever is large is
copied a piece at a time, and the pieces are joined.
"""

from typing import Any, Final

import numpy as np

from tiercel.errors import InvalidInputError

__all__ = ["array_bytes", "joined", "tail", "utf8"]

# Copying so much takes CPython well under a millisecond.
_PIECE: Final = 1 << 20


def joined(*parts: bytes) -> bytes:
    """The parts in one. `+` would hold the GIL."""
    return b"".join(parts)


def tail(data: bytes, start: int) -> bytes:
    """The bytes from `start` on."""
    if len(data) - start <= _PIECE:
        return data[start:]
    return _copied(memoryview(data)[start:])


def array_bytes(array: "np.ndarray[Any, Any] | np.generic[Any]") -> bytes:
    """The values of an array in C order, as they lie in memory."""
    if array.nbytes <= _PIECE:
        return array.tobytes()
    return _copied(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def utf8(text: str, start: int = 0) -> bytes:
    """A text in UTF-8, or the part of one from `start` on; `InvalidInputError` for text that UTF-8 cannot hold."""
    if len(text) > _PIECE:
        return b"".join([utf8(text[at : at + _PIECE], start + at) for at in range(0, len(text), _PIECE)])
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        place = start + error.start
        raise InvalidInputError(f"value: expected Unicode text, got a lone surrogate at character {place}") from None


def _copied(view: memoryview) -> bytes:
    return b"".join([bytes(view[at : at + _PIECE]) for at in range(0, len(view), _PIECE)])
