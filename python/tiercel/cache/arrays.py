"""Encodes the dtype and shape of numpy arrays as JSON, and rebuilds arrays from them."""

import json
import math
import re
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidInputError

__all__ = ["array_from", "array_head"]

# Numbers, booleans, times and fixed-width texts, in the form of `dtype.str`. Object arrays hold pointers.
_PLAIN: Final = re.compile(r"[<>|][biufcmMSUV][1-9]\d*(\[\w+\])?")


def array_head(array: "NDArray[Any] | np.generic[Any]") -> bytes:
    """Encode dtype and shape as JSON. Equal ones have equal encodings.

    Raise `InvalidInputError` for a dtype that JSON cannot hold.
    """
    dtype = array.dtype
    try:
        described = dtype.str if dtype.names is None else dtype.descr
        head = json.dumps([described, array.shape], separators=(",", ":")).encode()
        same = not dtype.hasobject and _dtype(json.loads(head)[0]) == dtype
    except (TypeError, ValueError):
        same, head = False, b""
    if not same:
        raise InvalidInputError(f"expected an array of numbers, times or texts, without padding, got dtype {dtype}")
    return head


def array_from(head: bytes, values: memoryview) -> NDArray[Any]:
    """Build a writable array with its own memory. Raise an `Exception` unless `values` has exactly its size."""
    described, shape = json.loads(head)
    dtype = _dtype(described)
    if math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"expected values for shape {shape} of {dtype}, got {len(values)} bytes")
    return np.ndarray(shape, dtype, values).copy()


def _dtype(described: Any) -> np.dtype[Any]:
    """Decode a dtype: a string, or a list of fields with name, dtype and perhaps shape."""
    if isinstance(described, list):
        fields = cast("list[Any]", described)
        return np.dtype([(name, _dtype(kind), *map(tuple, shape)) for name, kind, *shape in fields])
    if not _PLAIN.fullmatch(described):
        raise ValueError(f"expected a plain dtype, got {described!r}")
    return np.dtype(described)
