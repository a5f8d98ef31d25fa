"""How far approximate answers may reach: a threshold that was given, or one that follows from what was compared with the truth."""

import math
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Final, final

__all__ = ["ThresholdControl", "wilson"]

# Labels that are kept of a namespace: old ones tell of data and questions that may have changed.
LABELS: Final = 1000
# The farthest labels, which are looked at by themselves, too.
EDGE: Final = 50


def wilson(wrong: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The interval that a share lies in, 95% of the time, when `wrong` of `count` were seen (Wilson 1927).

    Examples
    --------
    >>> from tiercel.semantic.audit import wilson
    >>> [round(bound, 3) for bound in wilson(1, 200)]
    [0.001, 0.028]
    """
    if count == 0:
        return 0.0, 1.0
    share, square = wrong / count, z * z
    middle = share + square / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, (middle - half) / (1 + square / count)), min(1.0, (middle + half) / (1 + square / count))


@final
class ThresholdControl:
    """The threshold of a namespace.

    With `max_error` it is the largest distance for which the labels at most so far say, at the upper end of their interval, that no more
    than this share is wrong, and never more than `ceiling`. Below zero, nothing may be given: at the beginning, and with a `max_error` of
    0.02 until there are 189 labels, all of them right.
    """

    __slots__ = ("_audit", "_ceiling", "_labels", "_max_error", "_random", "threshold")

    threshold: float
    """Queries no farther apart than this may share an answer."""

    def __init__(self, ceiling: float, max_error: float | None, audit: float, random: Random) -> None:
        self._ceiling, self._max_error, self._audit, self._random = ceiling, max_error, audit, random
        self._labels: deque[tuple[float, bool]] = deque(maxlen=LABELS)
        self.threshold = ceiling if max_error is None else -1.0

    def allows(self, distance: float) -> bool:
        """Whether an answer from this far may be given."""
        return distance <= self.threshold

    def learns(self, distance: float) -> bool:
        """Whether a label from this far could move the threshold."""
        return self._max_error is not None and distance <= self._ceiling

    def audits(self) -> bool:
        """Whether the next answer is to be compared with the truth: a share of them is, at random."""
        return self._random.random() < self._audit

    def note(self, distance: float, *, wrong: bool) -> None:
        """Take in whether an answer from this far was wrong, or would have been."""
        self._labels.append((distance, wrong))
        if self._max_error is not None:
            self.threshold = farthest_right(list(self._labels), self._max_error)


def farthest_right(labels: Sequence[tuple[float, bool]], max_error: float) -> float:
    """The largest distance of a label up to which no more than `max_error` are wrong, at the upper end of the interval; -1 if none.

    Nor may more than this share be wrong of the farthest of these: many that are near would speak for a few that are far.
    """
    in_order = sorted(labels)
    wrong = [0, *accumulate(is_wrong for _, is_wrong in in_order)]
    farther = math.inf
    for count in range(len(in_order), 0, -1):
        distance = in_order[count - 1][0]
        edge = min(count, EDGE)
        # Labels of one distance count together.
        if (
            distance < farther
            and wrong[count] - wrong[count - edge] <= max_error * edge
            and wilson(wrong[count], count)[1] <= max_error
        ):
            return distance
        farther = distance
    return -1.0
