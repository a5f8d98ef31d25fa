"""Arrays from callers: whatever numpy reads, except what it would misread."""

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidInputError

__all__ = ["FAILURES", "as_array", "as_filter", "is_small", "no_number"]

# Errors of numpy, or of a method that it calls, for a value that is not an array.
FAILURES: Final = (TypeError, ValueError, RuntimeError, BufferError)


def as_array(value: Any, name: str) -> NDArray[Any]:
    """Convert a value to an array with numpy; `name` is its name in messages.

    The caller checks dtype and shape.

    bfloat16, int4 and the like become float32. An array of objects that are arrays or numbers, such
    as a column of a data frame, becomes one of numbers, unless bools are mixed with the numbers:
    they are hardly meant as 0 and 1. Ints stay exact if none is negative.

    Raises
    ------
    InvalidInputError
        numpy cannot read the value, or it is a masked array with masked values.
    """
    _refuse_masked(value, name)
    # An object with nothing but `__dlpack__` would become an array of one object.
    only_dlpack = hasattr(value, "__dlpack__") and not hasattr(value, "__array__")
    try:
        array: NDArray[Any] = np.from_dlpack(value) if only_dlpack else np.asarray(value)
        rows = value
        if _has_numbers(array):
            rows = array.tolist()
            _refuse_masked(rows, name)
            array = np.asarray(rows)
        if array.ndim == 1 and array.dtype.kind == "f" and _are_ids(rows):
            # numpy made them floats because some exceed 2**63 and others do not.
            array = np.asarray(rows, np.uint64)
    except FAILURES as error:
        raise InvalidInputError(f"{name}: expected a numeric array, got {type(value).__name__}: {error}") from error
    return array.astype(np.float32) if is_small(array.dtype) else array


def as_filter(value: Any) -> NDArray[Any]:
    """Convert a filter of an index to an array, as the index does: bools are a mask, ints are ids.

    The caller checks dtype and shape.

    Raises
    ------
    InvalidInputError
        As in `as_array`; or bools are mixed with ids, where numpy would make ids of them.
    """
    array = as_array(value, "filter")
    is_list = isinstance(value, list | tuple)
    # An array of numbers, or of bools, holds nothing else.
    may_mix = array.dtype.kind == "O" or (is_list and array.dtype.kind != "b")
    if array.ndim == 1 and may_mix:
        for row, each in enumerate(cast("Sequence[object]", value if is_list else array)):
            if isinstance(each, bool | np.bool_):
                raise InvalidInputError(f"filter: expected integers, got bool at row {row}")
    return array


def _has_numbers(array: NDArray[Any]) -> bool:
    """Whether this is an array of objects that are numbers, or of arrays of numbers."""
    if array.dtype.kind != "O" or array.size == 0:
        return False
    return isinstance(array.flat[0], list | tuple | np.ndarray) or (array.ndim in (1, 2) and no_number(array) is None)


def _are_ids(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(
        isinstance(each, int | np.integer) and each >= 0 for each in cast("Sequence[object]", values)
    )


def no_number(array: NDArray[Any]) -> str | None:
    """Describe the first value of an array of objects that is not a number of at most 64 bits, and
    its place. `None` if there is none.

    A bool is a number only among bools, as in a mask.
    """
    if array.dtype.kind != "O" or array.ndim not in (1, 2):
        return None
    numbers = int | float | np.number
    is_mask = all(isinstance(value, bool) for value in array.flat)
    for place, value in np.ndenumerate(array):
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            got = "an int of more than 64 bits"
        elif not isinstance(value, numbers) or (isinstance(value, bool) and not is_mask):
            got = "None" if value is None else f"a value of type {type(value).__name__}"
        else:
            continue
        return f"{got} at {'row {}, column {}'.format(*place) if array.ndim == 2 else f'column {place[0]}'}"
    return None


def is_small(dtype: np.dtype[Any]) -> bool:
    """Whether another package registered this real type with numpy, as ml_dtypes does for bfloat16
    and int4. float32 holds its values.
    """
    return dtype.kind not in "biufc" and dtype.type is not np.void and np.can_cast(dtype, np.float32)


def _refuse_masked(value: Any, name: str) -> None:
    """Refuse masked values, also in a list of arrays: numpy would read the value under the mask."""
    if not isinstance(value, list | tuple):
        row = _first_masked(value)
    else:
        rows = cast("Sequence[Any]", value)
        # numpy turns masked values in a list of numbers, which may be long, into NaN.
        is_of_arrays = len(rows) > 0 and not isinstance(rows[0], float | int)
        row = (
            next((at for at, each in enumerate(rows) if _first_masked(each) is not None), None)
            if is_of_arrays
            else None
        )
    if row is not None:
        raise InvalidInputError(f"{name}: expected values without a mask, got a masked one at row {row}")


def _first_masked(value: Any) -> int | None:
    """The first row with a masked value."""
    if not isinstance(value, np.ma.MaskedArray):
        return None
    mask: NDArray[np.bool_] = np.atleast_1d(np.ma.getmaskarray(cast("Any", value)))
    return int(np.argwhere(mask)[0][0]) if mask.any() else None
