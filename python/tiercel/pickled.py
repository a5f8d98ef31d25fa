"""Pickling results that have slots, with every protocol."""

import copyreg
from typing import Any, cast

__all__ = ["of_slots"]


def of_slots(value: object) -> tuple[Any, ...]:
    """Return the result of `__reduce__` for a class with slots.

    Protocols from 2 on do the same by default; 0 and 1 refuse slots.
    """
    kind: Any = type(value)
    # `pickle` has an opcode for this function, so it adds no bytes.
    make = cast("Any", copyreg).__newobj__
    return make, (kind,), (None, {name: getattr(value, name) for name in kind.__slots__})
