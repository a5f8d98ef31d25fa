"""What has to be known of a numpy array to make it again from its values."""

import json
import math
import re
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidInputError

__all__ = ["array_from", "array_head"]

# Numbers, truth values, times and texts of a fixed width, as `dtype.str` has them. Objects are pointers and mean nothing elsewhere.
_PLAIN: Final = re.compile(r"[<>|][biufcmMSUV][1-9]\d*(\[\w+\])?")


def array_head(array: "NDArray[Any] | np.generic[Any]") -> bytes:
    """The dtype and the shape of an array as JSON, the same for the same; `InvalidInputError` for a dtype that JSON cannot tell."""
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
    """A writable array in memory of its own; raises some `Exception` unless `values` are of just its size."""
    described, shape = json.loads(head)
    dtype = _dtype(described)
    if math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"expected values for shape {shape} of {dtype}, got {len(values)} bytes")
    return np.ndarray(shape, dtype, values).copy()


def _dtype(described: Any) -> np.dtype[Any]:
    """The dtype of a text, or of a list of fields: name, dtype and perhaps shape."""
    if isinstance(described, list):
        fields = cast("list[Any]", described)
        return np.dtype([(name, _dtype(kind), *map(tuple, shape)) for name, kind, *shape in fields])
    if not _PLAIN.fullmatch(described):
        raise ValueError(f"expected a plain dtype, got {described!r}")
    return np.dtype(described)
