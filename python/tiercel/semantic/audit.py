"""The distance threshold of approximate answers: fixed, or derived from answers that were compared with the truth."""

import math
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from functools import partial
from itertools import accumulate
from random import Random
from typing import Final, Generic, TypeVar, final

from tiercel.intervals import wilson_interval

__all__ = ["ThresholdControl", "Thresholds"]

_Key = TypeVar("_Key", bound=Hashable)
# The most thresholds; those used least recently go first.
MOST: Final = 1000
# The most labels per namespace. Older ones may describe data and questions that have changed.
LABELS: Final = 1000
# The farthest labels, which are also checked on their own.
EDGE: Final = 50


@final
class ThresholdControl:
    """The threshold of a namespace.

    With `max_error`, it is the largest distance up to which the share of wrong answers is at most
    `max_error`, judged by the upper end of its confidence interval, and never more than `ceiling`.
    A negative threshold allows no answer. It is negative at the beginning: with a `max_error` of
    0.02, until there are 189 labels, all of them right.
    """

    __slots__ = ("_audit", "_ceiling", "_labels", "_max_error", "_random", "threshold")

    threshold: float
    """The largest distance between queries that may share an answer."""

    def __init__(self, ceiling: float, max_error: float | None, audit: float, random: Random) -> None:
        self._ceiling, self._max_error, self._audit, self._random = ceiling, max_error, audit, random
        self._labels: deque[tuple[float, bool]] = deque(maxlen=LABELS)
        self.threshold = ceiling if max_error is None else -1.0

    def allows(self, distance: float) -> bool:
        """Whether an answer from this distance may be returned."""
        return distance <= self.threshold

    def learns(self, distance: float) -> bool:
        """Whether a label at this distance could move the threshold."""
        return self._max_error is not None and distance <= self._ceiling

    def audits(self) -> bool:
        """Decide at random whether to compare the next answer with the truth."""
        return self._random.random() < self._audit

    def note(self, distance: float, *, wrong: bool) -> None:
        """Record whether an answer from this distance was wrong, or would have been."""
        self._labels.append((distance, wrong))
        if self._max_error is not None:
            self.threshold = farthest_right(list(self._labels), self._max_error)


@final
class Thresholds(Generic[_Key]):
    """The thresholds of many namespaces, or kinds of search. The caller holds a lock."""

    __slots__ = ("_controls", "_new")

    def __init__(self, ceiling: float, max_error: float | None, audit: float, random: Random) -> None:
        self._new = partial(ThresholdControl, ceiling, max_error, audit, random)
        self._controls: OrderedDict[_Key, ThresholdControl] = OrderedDict()

    def of(self, key: _Key) -> ThresholdControl:
        """Return the threshold of a key, a new one at its first use."""
        control = self._controls.pop(key, None) or self._new()
        self._controls[key] = control
        if len(self._controls) > MOST:
            self._controls.popitem(last=False)
        return control

    def by_key(self) -> dict[_Key, float]:
        """Return the thresholds."""
        return {key: control.threshold for key, control in self._controls.items()}


def farthest_right(labels: Sequence[tuple[float, bool]], max_error: float) -> float:
    """Return the largest labelled distance up to which at most `max_error` of answers are wrong.

    The share is judged by the upper end of its confidence interval. The share among the farthest of
    these labels alone must not exceed `max_error` either, so that many near ones cannot outvote a
    few far ones. Return -1 if there is no such distance.
    """
    in_order = sorted(labels)
    wrong = [0, *accumulate(is_wrong for _, is_wrong in in_order)]
    farther = math.inf
    for count in range(len(in_order), 0, -1):
        distance = in_order[count - 1][0]
        edge = min(count, EDGE)
        # Labels of equal distance count together.
        if (
            distance < farther
            and wrong[count] - wrong[count - edge] <= max_error * edge
            and wilson_interval(wrong[count], count)[1] <= max_error
        ):
            return distance
        farther = distance
    return -1.0
