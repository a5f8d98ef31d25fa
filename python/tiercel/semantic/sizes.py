"""The size of a value in memory."""

import sys
from typing import Any, cast

import numpy as np

__all__ = ["size_of"]


def size_of(value: object) -> int:
    """Return the bytes of a value, with the contents of lists, dictionaries and the like.

    Shared parts count once.

    Examples
    --------
    >>> from tiercel.semantic.sizes import size_of
    >>> text = "x" * 1000
    >>> 1000 < size_of({"text": text, "copies": [text, text]}) < 2000
    True
    """
    size, seen, left = 0, set[int](), [value]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        size += sys.getsizeof(each)
        if isinstance(each, np.ndarray):
            array = cast("np.ndarray[Any, Any]", each)
            # An array's own memory is already counted.
            size += 0 if array.base is None else array.nbytes
        elif isinstance(each, dict):
            for pair in cast("dict[object, object]", each).items():
                left += pair
        elif isinstance(each, list | tuple | set | frozenset):
            left += cast("list[object]", each)
    return size
