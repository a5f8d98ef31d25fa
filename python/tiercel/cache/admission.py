"""What is worth a place in a lower tier.

The worth of a value is cost x frequency / bytes: the seconds that it took to load, how often it was asked for lately, and the room that it takes
(GreedyDual-Size-Frequency; Cherkasova, 1998). Once a tier drives values out, a newcomer must be worth a share of what left it lately.
"""

from typing import Final

from tiercel._core import Sketch
from tiercel.cache.envelope import unpack

__all__ = ["Admission", "worth"]

# Of what left, in a mean that forgets.
_SHARE: Final = 0.5
_MEMORY: Final = 1 / 64
# Seconds that a value counts for at most, so that no tier is filled by what one value says of itself.
_SLOW: Final = 86_400.0
# Seconds that a value counts for which is quicker than that, or was put without a cost.
_QUICK: Final = 1e-3


def worth(sketch: Sketch, name: bytes, data: bytes) -> float:
    """Cost x frequency / bytes."""
    parsed = unpack(data)
    cost = _QUICK if parsed is None else min(max(_QUICK, parsed[0].cost), _SLOW)
    return cost * max(1, sketch.count(name)) / (len(name) + len(data))


class Admission:
    """The gate of a tier."""

    def __init__(self, sketch: Sketch) -> None:
        self._sketch = sketch
        self._left = 0.0

    def admits(self, name: bytes, data: bytes) -> bool:
        """Whether a value is worth its place."""
        return worth(self._sketch, name, data) >= _SHARE * self._left

    def evicted(self, name: bytes, data: bytes) -> None:
        """Something had to leave."""
        self._left += (worth(self._sketch, name, data) - self._left) * _MEMORY
