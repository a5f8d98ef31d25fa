"""Encodings of vectors: unchanged, or with 8 bits per value.

```text
checksum, 4 bytes   of the key and of what follows, so that the vector of another text is refused
sq8                 scale, float32; dim codes, one byte each
f32                 dim values, float32
```
"""

import zlib
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from tiercel.checks import choice

__all__ = ["SEAL", "VectorCodec", "VectorDtype", "largest_error", "opened", "sealed"]

VectorDtype: TypeAlias = Literal["sq8", "f32"]

# The largest code; the smallest is its negative.
_CODES: Final = 127
# The range of a scale: a normal number whose product with the largest code does not overflow.
_TINY: Final = np.finfo(np.float32).tiny
_WIDEST: Final = np.finfo(np.float32).max / np.float32(_CODES)
# Bytes of a checksum.
SEAL: Final = 4


class VectorCodec:
    """Encodes vectors of one length as bytes, and decodes them.

    With "sq8" a value becomes the nearest of 255 multiples of a scale, from -127 to 127, where 127
    times the scale is the largest absolute value of the vector. The error of a value is at most
    half the scale, plus rounding of float32. The scale is at least the smallest normal number, even
    for a vector of zeros. With "f32" there is no error.
    """

    def __init__(self, dim: int, dtype: VectorDtype) -> None:
        choice(dtype, "dtype", get_args(VectorDtype))
        self._coded: Final = dtype == "sq8"
        layout = [("scale", "<f4"), ("codes", "i1", (dim,))] if self._coded else [("values", "<f4", (dim,))]
        self._layout: np.dtype[Any] = np.dtype(layout)

    @property
    def size(self) -> int:
        """Bytes of an encoded vector."""
        return self._layout.itemsize

    def encode(self, vectors: NDArray[np.float32]) -> list[bytes]:
        """Encode finite vectors of shape `(n, dim)`."""
        rows = np.empty(len(vectors), self._layout)
        if self._coded:
            # Rounded down, because 127 times a scale that was rounded up may be infinite. Below the
            # smallest normal number, the steps between floats are too coarse for a scale.
            exact = np.abs(vectors).max(axis=1) / np.float32(_CODES)
            rows["scale"] = np.maximum(np.nextafter(exact, np.float32(0)), _TINY)
            rows["codes"] = np.rint(vectors / rows["scale"][:, None])
        else:
            rows["values"] = vectors
        return [row.tobytes() for row in rows]

    def sound(self, values: Sequence[bytes]) -> list[bool]:
        """Return for each of the values, of `size` bytes, whether `encode` could have made it."""
        rows = np.frombuffer(b"".join(values), self._layout)
        if not self._coded:
            return cast("list[bool]", np.isfinite(rows["values"]).all(axis=1).tolist())
        scale, largest = rows["scale"], np.abs(rows["codes"], dtype=np.int16).max(axis=1)
        # The largest value has the code 127, unless it is too small for that.
        has_codes = (largest == _CODES) | ((largest < _CODES) & (scale == _TINY))
        return cast("list[bool]", (has_codes & (scale >= _TINY) & (scale <= _WIDEST)).tolist())

    def decode(self, values: Sequence[bytes]) -> NDArray[np.float32]:
        """Decode valid values to an array of shape `(n, dim)` with its own memory."""
        rows = np.frombuffer(b"".join(values), self._layout)
        if not self._coded:
            return rows["values"].astype(np.float32)
        return rows["codes"] * rows["scale"][:, None].astype(np.float32)


def sealed(key: bytes, vector: bytes) -> bytes:
    """Prepend a checksum of the key and the vector."""
    return zlib.crc32(vector, zlib.crc32(key)).to_bytes(SEAL, "little") + vector


def opened(key: bytes, value: object, size: int) -> bytes | None:
    """Check and remove the checksum.

    Return `None` if the rest is not `size` intact bytes of this key.
    """
    if not isinstance(value, bytes) or len(value) != SEAL + size:
        return None
    vector = value[SEAL:]
    return vector if value[:SEAL] == zlib.crc32(vector, zlib.crc32(key)).to_bytes(SEAL, "little") else None


def largest_error(vectors: NDArray[np.float32], decoded: NDArray[np.float32]) -> float:
    """Return the largest error of a vector, as a share of its length."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    errors = np.linalg.norm(vectors.astype(np.float64) - decoded, axis=1)
    return float(np.max(errors / np.where(lengths > 0, lengths, 1), initial=0))
