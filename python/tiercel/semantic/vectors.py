"""Checks of the query vectors of caches."""

import math
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.arrays import as_array
from tiercel.errors import DimensionMismatchError, InvalidInputError

__all__ = ["Metric", "has_direction", "norm", "one_vector"]

Metric: TypeAlias = Literal["cosine", "dot", "l2"]

LONGEST: Final = float(np.finfo(np.float32).max)
SHORTEST: Final = 1 / LONGEST


def one_vector(value: ArrayLike, name: str, dim: int, metric: Metric) -> NDArray[np.float32]:
    """Convert a vector of length `dim` to a float32 copy.

    It must be finite, and under cosine it must have a direction.
    """
    if isinstance(value, str):
        raise InvalidInputError(f"{name}: expected a numeric array of shape ({dim},), got a str; embed it first")
    given = as_array(value, name)
    if given.dtype.kind not in "fiu":
        raise InvalidInputError(f"{name}: expected a numeric array of shape ({dim},), got dtype {given.dtype}")
    if given.ndim != 1:
        raise InvalidInputError(f"{name}: expected a 1-D array of shape ({dim},), got {given.ndim}-D")
    if len(given) != dim:
        raise DimensionMismatchError(f"{name}: expected vectors of length {dim}, got {len(given)}")
    with np.errstate(all="ignore"):
        vector = given.astype(np.float32)
        # A sum is finite only if every value is.
        is_finite = np.isfinite(vector.sum(dtype=np.float64))
    if not is_finite:
        column = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise InvalidInputError(f"{name}: expected finite values of float32, got {given[column]} at column {column}")
    if metric == "cosine" and not has_direction(vector):
        raise InvalidInputError(
            f"{name}: expected a vector with a direction under cosine, got one of norm {norm(vector)}"
        )
    return vector


def norm(vector: NDArray[np.float32]) -> float:
    """Return the norm of a vector in double precision."""
    wide = vector.astype(np.float64)
    return math.sqrt(wide @ wide)


def has_direction(vector: NDArray[np.float32]) -> bool:
    """Whether a vector can be normalized in single precision, as an index does under cosine."""
    return SHORTEST < norm(vector) < LONGEST
