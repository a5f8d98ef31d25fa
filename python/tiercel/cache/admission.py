"""Admission: whether a value is worth its space in a lower tier.

The worth of a value is cost x frequency / bytes: the seconds that its load took, the estimated frequency of recent
requests, and its size (GreedyDual-Size-Frequency; Cherkasova, 1998). Once a tier evicts, a new
value must be worth at least a share of the average worth of what it evicted recently.
"""

from typing import Final

from tiercel._core import Sketch
from tiercel.cache.envelope import unpack

__all__ = ["Admission", "worth"]

# The share, and the weight of the newest eviction in the moving average.
_SHARE: Final = 0.5
_MEMORY: Final = 1 / 64
# The most seconds that count, so that a value with a huge cost cannot fill a tier.
_SLOW: Final = 86_400.0
# The fewest seconds that count, even for a value without a cost.
_QUICK: Final = 1e-3


def worth(sketch: Sketch, name: bytes, data: bytes) -> float:
    """Return cost x frequency / bytes."""
    parsed = unpack(data)
    cost = _QUICK if parsed is None else min(max(_QUICK, parsed[0].cost), _SLOW)
    return cost * max(1, sketch.count(name)) / (len(name) + len(data))


class Admission:
    """The admission policy of a tier."""

    def __init__(self, sketch: Sketch) -> None:
        self._sketch = sketch
        self._left = 0.0

    def admits(self, name: bytes, data: bytes) -> bool:
        """Whether a value is worth its space."""
        return worth(self._sketch, name, data) >= _SHARE * self._left

    def evicted(self, name: bytes, data: bytes) -> None:
        """Record an eviction."""
        self._left += (worth(self._sketch, name, data) - self._left) * _MEMORY
