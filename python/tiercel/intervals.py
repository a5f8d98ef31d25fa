"""Confidence intervals of shares."""

import math
from typing import Final

__all__ = ["wilson_interval"]

# The standard deviations around the mean of a normal distribution that have 95% of it.
_Z: Final = 1.96


def wilson_interval(seen: int, total: int) -> tuple[float, float]:
    """Return the interval that contains a share with 95% confidence, from `seen` of `total`.

    The score interval of E. B. Wilson (Probable inference, the law of succession, and statistical
    inference, Journal of the American Statistical Association 22, 1927, 209-212), with
    p = seen / total, n = total and z = 1.96:
    (p + z^2/2n ± z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n). At least 16 of 16 are needed for
    a lower end of 0.8.

    Examples
    --------
    >>> from tiercel.intervals import wilson_interval
    >>> [round(bound, 3) for bound in wilson_interval(1, 200)]
    [0.001, 0.028]
    """
    if not total:
        return 0.0, 1.0
    share, square = seen / total, _Z * _Z / total
    middle = share + square / 2
    half = math.sqrt(share * (1 - share) * square + square * square / 4)
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))
