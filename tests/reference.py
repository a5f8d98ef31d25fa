"""What is true, in numpy and double precision, and whether an answer is true but for rounding and ties."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

import tiercel

Metric = Literal["cosine", "dot", "l2"]
METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")

PADDING = 2**64 - 1

# Half the distance from 1 to the next float32: what rounding one result may cost.
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
    """By how much a distance in float32 may differ: kernels sum in 8 lanes or more, so errors add up over dim / 8 terms."""
    dim = vectors.shape[1]
    if metric == "l2":
        size = distances(queries, vectors, metric)
    else:
        queries, vectors = _rows(queries, vectors, metric)
        size = np.abs(queries) @ np.abs(vectors).T + (1.0 if metric == "cosine" else 0.0)
    return (dim / 8 + 8) * ROUNDING * size + 1e-44


def positions(ids: NDArray[np.uint64], found: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where each found id stands in `ids`."""
    order = np.argsort(ids, kind="stable")
    at = np.searchsorted(ids, found, sorter=order)
    assert (at < len(ids)).all(), "an id that is not in the index"
    places = order[at]
    assert (ids[places] == found).all(), "an id that is not in the index"
    return places


class Truth:
    """The vectors that a search may find, and how far each query is from each."""

    def __init__(self, ids: NDArray[np.uint64], vectors: NDArray, queries: NDArray, metric: Metric) -> None:
        self.ids = np.asarray(ids, np.uint64)
        self.distances = distances(queries, vectors, metric)
        self.tolerance = tolerance(queries, vectors, metric)

    def among(self, rows: NDArray[np.int64], queries: slice = slice(None)) -> "Truth":
        """The same for some of the vectors, by their place in `ids`, and some of the queries."""
        some = Truth.__new__(Truth)
        some.ids = self.ids[rows]
        some.distances, some.tolerance = self.distances[queries, rows], self.tolerance[queries, rows]
        return some

    def found(self, matches: tiercel.Matches) -> list[NDArray[np.int64]]:
        """Check what holds for every answer; gives the places in `ids` of each row's results."""
        ids, distances = np.atleast_2d(matches.ids), np.atleast_2d(matches.distances)
        rows = []
        for query, count in enumerate(np.atleast_1d(matches.counts).astype(int)):
            assert (ids[query, count:] == PADDING).all()
            assert np.isposinf(distances[query, count:]).all()
            row = positions(self.ids, ids[query, :count])
            assert len(set(row.tolist())) == count, "an id twice in one row"
            near = distances[query, :count]
            assert (np.diff(near) >= 0).all(), "not nearest first"
            wrong = np.abs(near - self.distances[query, row]) - self.tolerance[query, row]
            assert (wrong <= 0).all(), f"a distance beyond its tolerance by {wrong.max()}"
            rows.append(row)
        return rows

    def check_exact(self, matches: tiercel.Matches, k: int) -> None:
        """Nothing that was not found is nearer than what was, but for rounding."""
        assert matches.quality == "exact"
        for query, row in enumerate(self.found(matches)):
            assert len(row) == min(k, len(self.ids))
            farthest = np.max(self.distances[query, row] - self.tolerance[query, row], initial=-np.inf)
            others = np.delete(self.distances[query] + self.tolerance[query], row)
            assert np.min(others, initial=np.inf) >= farthest, "a nearer vector was missed"

    def recall(self, matches: tiercel.Matches, k: int) -> float:
        """Share of the k nearest that were found; a vector as near as the k-th counts as one of them."""
        k = min(k, len(self.ids))
        hits = 0
        for query, row in enumerate(self.found(matches)):
            assert len(row) == k, f"{len(row)} results where {k} exist"
            kth = np.partition(self.distances[query] + self.tolerance[query], k - 1)[k - 1]
            hits += np.count_nonzero(self.distances[query, row] - self.tolerance[query, row] <= kth)
        return hits / (k * len(self.distances))
