"""What an index finds, and numbers as JSON has them."""

import math

__all__ = ["finite"]


def finite(value: float | None) -> float | None:
    """A number that JSON has, or `None`: a distance or a score may be too large for float32, or not there."""
    return value if value is not None and math.isfinite(value) else None
