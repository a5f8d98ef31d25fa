"""Measures the recall and the speed of searches."""

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tiercel import Index, Matches

PASSES = 3
# Enough passes even if a search takes microseconds.
MOST_PASSES = 100
SECONDS = 0.2
CALLS = 500


def recall_at_k(found: Matches, exact: Matches, metric: str, *, by_id: bool = False) -> float:
    """Return the share of the true nearest that were found, over all queries.

    Both answers must be from a search without a filter, and thus without padding. A result as near
    as the k-th true one counts even if another id has that place, because any choice among equals
    is right. With `by_id` it does not: distances that are not those of full vectors prove nothing.
    """
    same = np.array([np.isin(row, true) for row, true in zip(found.ids, exact.ids, strict=True)])
    if by_id:
        return float(same.mean())
    last = exact.distances[:, -1:]
    # The order of summation differs between a scan of many rows and a comparison of one, and so do
    # the last digits.
    slack = 1e-5 * np.abs(last) + (1e-6 if metric == "cosine" else 0.0)
    near = found.distances <= last + slack
    return float((near | same).mean())


def queries_per_second(search: Callable[[], object], queries: int) -> float:
    """Return the best rate of several passes over all queries in one call.

    Other load on the machine can only slow a pass.
    """
    passes, total, best = 0, 0.0, math.inf
    while passes < PASSES or (total < SECONDS and passes < MOST_PASSES):
        seconds = _seconds(search)
        passes, total, best = passes + 1, total + seconds, min(best, seconds)
    return queries / best


def call_microseconds(index: Index, queries: NDArray[np.float32], k: int, ef_search: int) -> tuple[float, float]:
    """Return the median and the 99th percentile of calls with one query each, as in a service."""
    times = [
        _seconds(lambda query=query: index.search(query, k, ef_search=ef_search, threads=1))
        for query in queries[:CALLS]
    ]
    middle, slow = np.percentile(times, [50, 99]) * 1e6
    return float(middle), float(slow)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
