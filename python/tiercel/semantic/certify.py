"""When a list of nearest vectors answers another query, too: the mathematics.

A query q was searched exactly, and its K nearest are kept; everything else, what is *outside*, is at least as far from q as the last of
them. Another query q' is δ away from q, so nothing outside can be nearer to q' than that less δ: a listed vector that is nearer still is
truly among the nearest, and k of them are the answer of an exact search. That takes a metric, in which the triangle inequality holds:

- `l2`: the plain Euclidean distance. Outside, |q' - x| ≥ r - δ.
- `cosine`: the angle. Outside, angle(q', x) ≥ φ - θ, φ the angle of q to the last one kept and θ that between the queries. The chord of
  unit vectors, which would do as well, is never longer than the angle and proves less.
- `dot`: there is none, but vectors are no longer than some M. With unit queries, <q, x> ≤ s outside and |x| ≤ M: of such x the one with
  the largest <q', x> lies in the plane of both queries, at the angle φ = arccos(s / M) from q, so <q', x> ≤ M cos(φ - θ), and M at most.
  No bound from M, s and θ alone is better; it is that of the cosine with M = 1.

Distances come from kernels in single precision, so all of it is stated with a *slack*: what a kernel's sum may be off.
`tests/support/reference.py` holds the kernels to (dim / 8 + 8) units of rounding, 2**-24, of the sum of the sizes of its terms; twice
that is allowed here. Terms too small for single precision vanish: by 2**-149 a term, at most, and again twice that is allowed.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiercel.semantic.vectors import Metric, norm

__all__ = ["OutsideBound", "limit", "outside_bound", "separation"]

# Sums of products that may come near to the largest float32 can overflow on the way.
LARGEST: Final = 1e38
# What double precision costs here is less than this, relatively, by far.
EXACT: Final = 1e-12


@dataclass(frozen=True, slots=True)
class OutsideBound:
    """What is known of every vector outside a list.

    `reach` says how far another query may be and be answered at all: the plain distance (l2), or the angle, of the nearest of them.
    Infinite if nothing is outside.
    """

    reach: float
    product: float = 0.0
    """With a unit query, at most (cosine: with unit vectors)."""
    longest: float = 1.0
    """Their length, at most (cosine: of unit vectors)."""


def rounding(dim: int) -> float:
    """What a sum over `dim` terms may be off, as a share of the sum of their sizes."""
    return (dim / 4 + 16) * 2.0**-24


def vanishing(dim: int) -> float:
    """What a sum over `dim` terms may be off besides, because terms are too small."""
    return dim * 2.0**-148


def slack(metric: Metric, dim: int, length: float, norms: tuple[float, float]) -> float:
    """What a distance may be off under cosine or dot: `length` is that of the query, `norms` those of the vectors."""
    if metric == "dot":
        return rounding(dim) * length * norms[1] + vanishing(dim)
    # 1 - cos is rounded, too. Kernels take rows as given, so terms vanish in the unit of the shortest row.
    return 2 * rounding(dim) + vanishing(dim) / norms[0]


def outside_bound(
    metric: Metric, query: NDArray[np.float32], farthest: float | None, norms: tuple[float, float]
) -> OutsideBound | None:
    """What is known of all vectors that are not in a list: `farthest` is the distance of its last one, `None` if it has all vectors.

    `None` if nothing can be said, as of a distance that has overflowed.
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
    """How far two queries are apart, at most: the plain distance, or the chord between their directions."""
    first, second = one.astype(np.float64), other.astype(np.float64)
    if metric != "l2":
        first /= math.sqrt(first @ first)
        second /= math.sqrt(second @ second)
    first -= second
    # Directions are rounded, by no more than this.
    return math.sqrt(first @ first) * (1 + EXACT) + (0.0 if metric == "l2" else 1e-15)


def limit(
    metric: Metric, query: NDArray[np.float32], known: OutsideBound, *, away: float, norms: tuple[float, float]
) -> float:
    """The distance below which a listed vector is nearer to a query than all that is outside.

    Parameters
    ----------
    query
        The query that is asked.
    known
        What is outside the list of another query, `away` from it as `separation` says.
    norms
        The smallest and the largest norm of all vectors that the query is compared with.
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
    """The largest <q', x> over vectors no longer than `longest` with <q, x> at most `product`, for unit queries with the chord `away`."""
    cosine = 1 - away * away / 2
    if product >= longest * cosine:
        return longest
    sine = away * math.sqrt(max(0.0, 1 - away * away / 4))
    return product * cosine + math.sqrt(max(0.0, longest * longest - product * product)) * sine
