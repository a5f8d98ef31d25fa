"""When a list of nearest vectors also answers another query: the mathematics.

An exact search found the K nearest vectors of a query q. Every other vector is *outside* this list,
and at least as far from q as the last one listed, at a distance r. Another query q' is at a
distance δ from q. A vector outside is therefore at least r - δ away from q'. A listed vector that
is nearer than that is truly among the nearest, and k such vectors are the answer of an exact
search. This requires a metric with the triangle inequality:

- `l2`: the Euclidean distance. Outside, |q' - x| ≥ r - δ.
- `cosine`: the angle. Outside, angle(q', x) ≥ φ - θ, where φ is the angle between q and the last
  one listed and θ the angle between the queries. The chord of unit vectors would also do, but it
  is never longer than the angle and proves less.
- `dot`: no such metric exists, but a largest norm M does. With unit queries, <q, x> ≤ s outside and
  |x| ≤ M. The x with the largest <q', x> lies in the plane of both queries, at the angle
  φ = arccos(s / M) from q. Hence <q', x> ≤ M cos(φ - θ), and at most M. No better bound follows
  from M, s and θ alone. With M = 1 it is the bound of the cosine.

The distances come from kernels in single precision, so every bound includes a *slack* for the error
of a kernel's sum. `tests/support/reference.py` holds the kernels to (dim / 8 + 8) units of
rounding, 2**-24, of the sum of the absolute terms; the slack is twice that. Terms too small for
single precision vanish, by at most 2**-149 per term; the slack is again twice that.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiercel.semantic.vectors import Metric, norm

__all__ = ["OutsideBound", "limit", "outside_bound", "separation"]

# A sum of products near the largest float32 may overflow on the way.
LARGEST: Final = 1e38
# An upper bound of the relative error of double precision here.
EXACT: Final = 1e-12


@dataclass(frozen=True, slots=True)
class OutsideBound:
    """A bound on every vector outside a list.

    `reach` is the distance at which another query can still be answered: the Euclidean distance
    (l2) or the angle of the nearest vector outside. It is infinite if nothing is outside.
    """

    reach: float
    product: float = 0.0
    """The largest product with a unit query (under cosine, of unit vectors)."""
    longest: float = 1.0
    """The largest norm (under cosine, of unit vectors)."""


def rounding(dim: int) -> float:
    """Return the error bound of a sum over `dim` terms, as a share of the sum of the absolute terms."""
    return (dim / 4 + 16) * 2.0**-24


def vanishing(dim: int) -> float:
    """Return the additional error bound of a sum over `dim` terms, because of terms that vanish."""
    return dim * 2.0**-148


def slack(metric: Metric, dim: int, length: float, norms: tuple[float, float]) -> float:
    """Return the error bound of a distance under cosine or dot, from the query's norm and those of the vectors."""
    if metric == "dot":
        return rounding(dim) * length * norms[1] + vanishing(dim)
    # 1 - cos is also rounded. Kernels do not normalize rows, so terms vanish relative to the
    # shortest row.
    return 2 * rounding(dim) + vanishing(dim) / norms[0]


def outside_bound(
    metric: Metric, query: NDArray[np.float32], farthest: float | None, norms: tuple[float, float]
) -> OutsideBound | None:
    """Bound all vectors outside a list.

    `farthest` is the distance of its last vector, or `None` if the list has all vectors. Return
    `None` if there is no bound, for example because a distance overflowed.
    """
    if farthest is None:
        return OutsideBound(math.inf)
    if not math.isfinite(farthest):
        return None
    dim = len(query)
    if metric == "l2":
        least = max(0.0, farthest - vanishing(dim)) / (1 + rounding(dim))
        return OutsideBound(math.sqrt(least) * (1 - EXACT))
    length = 1.0 if metric == "cosine" else norm(query)
    if length * norms[1] > LARGEST or (metric == "dot" and length == 0.0):
        return None
    off = slack(metric, dim, length, norms)
    product, longest = (1 - farthest + off, 1.0) if metric == "cosine" else ((off - farthest) / length, norms[1])
    reach = math.acos(min(1.0, max(-1.0, product / longest))) if longest > 0.0 else 0.0
    return OutsideBound(reach, product, longest)


def separation(metric: Metric, one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return an upper bound of the distance between two queries: Euclidean, or the chord between their directions."""
    first, second = one.astype(np.float64), other.astype(np.float64)
    if metric != "l2":
        first /= math.sqrt(first @ first)
        second /= math.sqrt(second @ second)
    first -= second
    # The rounding error of the directions is no larger than this.
    return math.sqrt(first @ first) * (1 + EXACT) + (0.0 if metric == "l2" else 1e-15)


def limit(
    metric: Metric, query: NDArray[np.float32], known: OutsideBound, *, away: float, norms: tuple[float, float]
) -> float:
    """Return the distance below which a listed vector is nearer to a query than all vectors outside.

    Parameters
    ----------
    query
        The query.
    known
        The bound on the vectors outside the list of another query, which is `away` from it by `separation`.
    norms
        The smallest and the largest norm of all vectors.
    """
    if known.reach == math.inf:
        return math.inf
    dim = len(query)
    if metric == "l2":
        least = known.reach - away
        return least * least * (1 - rounding(dim)) - vanishing(dim) if least > 0.0 else -math.inf
    length = 1.0 if metric == "cosine" else norm(query)
    if length * norms[1] > LARGEST:
        return -math.inf
    product = turned(known.product, known.longest, away) + EXACT * known.longest
    off = slack(metric, dim, length, norms)
    return 1 - product - off if metric == "cosine" else -product * length - off


def turned(product: float, longest: float, away: float) -> float:
    """Return the largest <q', x> for |x| at most `longest` and <q, x> at most `product`.

    The queries have unit length, and the chord between them is `away`.
    """
    cosine = 1 - away * away / 2
    if product >= longest * cosine:
        return longest
    sine = away * math.sqrt(max(0.0, 1 - away * away / 4))
    return product * cosine + math.sqrt(max(0.0, longest * longest - product * product)) * sine
