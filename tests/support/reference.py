"""The truth in numpy and double precision; whether answers are true up to rounding and ties."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

import tiercel

Metric = Literal["cosine", "dot", "l2"]
METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")

PADDING = 2**64 - 1

# Half the distance from 1 to the next float32: the largest rounding error of one result.
ROUNDING = 2.0**-24


def _rows(queries: NDArray, vectors: NDArray, metric: Metric) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    queries, vectors = np.atleast_2d(queries).astype(np.float64), vectors.astype(np.float64)
    if metric == "cosine":
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return queries, vectors


def distances(queries: NDArray, vectors: NDArray, metric: Metric) -> NDArray[np.float64]:
    """The distance of each query to each vector."""
    queries, vectors = _rows(queries, vectors, metric)
    if metric == "l2":
        return np.array([np.square(vectors - query).sum(axis=1) for query in queries]).reshape(len(queries), -1)
    return (1.0 if metric == "cosine" else 0.0) - queries @ vectors.T


def tolerance(queries: NDArray, vectors: NDArray, metric: Metric) -> NDArray[np.float64]:
    """The allowed error of a float32 distance: kernels sum in 8 lanes or more, so errors add up
    over dim / 8 terms.
    """
    dim = vectors.shape[1]
    if metric == "l2":
        size = distances(queries, vectors, metric)
    else:
        queries, vectors = _rows(queries, vectors, metric)
        size = np.abs(queries) @ np.abs(vectors).T + (1.0 if metric == "cosine" else 0.0)
    return (dim / 8 + 8) * ROUNDING * size + 1e-44


class Truth:
    """The vectors that a search may find, with bounds on the distance of each query to each."""

    def __init__(self, ids: NDArray, vectors: NDArray, queries: NDArray, metric: Metric) -> None:
        near, slack = distances(queries, vectors, metric), tolerance(queries, vectors, metric)
        self._set(np.asarray(ids, np.uint64), near - slack, near + slack)

    def _set(self, ids: NDArray[np.uint64], low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
        self.ids, self.low, self.high = ids, low, high
        self._order = np.argsort(ids)
        self._kth: dict[int, NDArray[np.float64]] = {}

    def among(self, rows: NDArray, queries: slice = slice(None)) -> "Truth":
        """The same for some of the vectors, by their place in `ids`, and some of the queries."""
        some = Truth.__new__(Truth)
        some._set(self.ids[rows], self.low[queries, rows], self.high[queries, rows])
        return some

    def places(self, found: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place of each found id in `ids`."""
        places = self._order[np.searchsorted(self.ids, found, sorter=self._order).clip(0, len(self.ids) - 1)]
        assert (self.ids[places] == found).all(), "an id that may not be found"
        return places

    def found(self, matches: tiercel.Matches) -> list[NDArray[np.int64]]:
        """Check properties of every answer; return the places in `ids` of each row's results."""
        ids, distances = np.atleast_2d(matches.ids), np.atleast_2d(matches.distances)
        rows = []
        for query, count in enumerate(np.atleast_1d(matches.counts).astype(int)):
            assert (ids[query, count:] == PADDING).all()
            assert np.isposinf(distances[query, count:]).all()
            row, near = self.places(ids[query, :count]), distances[query, :count]
            assert len(set(row.tolist())) == count, "an id twice in one row"
            assert (near[1:] >= near[:-1]).all(), "not nearest first"
            assert ((self.low[query, row] <= near) & (near <= self.high[query, row])).all(), "a distance is wrong"
            rows.append(row)
        return rows

    def check_exact(self, matches: tiercel.Matches, k: int) -> None:
        """Check that no missing vector is nearer than a result, up to rounding."""
        assert matches.quality == "exact"
        for query, row in enumerate(self.found(matches)):
            assert len(row) == min(k, len(self.ids))
            others = self.high[query].copy()
            others[row] = np.inf
            farthest = np.max(self.low[query, row], initial=-np.inf)
            assert np.min(others, initial=np.inf) >= farthest, "a nearer vector was missed"

    def recall(self, matches: tiercel.Matches, k: int) -> float:
        """Share of the k nearest that were found; vectors as near as the k-th count as well."""
        k = min(k, len(self.ids))
        if k not in self._kth:
            self._kth[k] = np.partition(self.high, k - 1, axis=1)[:, k - 1]
        hits = 0
        for query, row in enumerate(self.found(matches)):
            assert len(row) == k, f"{len(row)} results where {k} exist"
            hits += np.count_nonzero(self.low[query, row] <= self._kth[k][query])
        return hits / (k * len(self.low))
