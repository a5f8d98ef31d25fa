"""The data of the suites: the vectors, the ground truth, and indexes built once per run."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from engines import Engine, K, Vectors
from numpy.typing import NDArray

import tiercel

QUERIES = 2_000
LARGEST_EF_SEARCH = 2000


class Workload:
    """Vectors and queries of unit length, and an index of each engine over the vectors."""

    def __init__(self, name: str, vectors: NDArray[Any], queries: NDArray[Any], directory: Path) -> None:
        self.name = name
        self.vectors = unit(vectors)
        self.queries = unit(queries)
        self.indexes: dict[str, Any] = {}
        self._directory = directory
        self._recalls: dict[tuple[str, int], float] = {}

    def index(self, engine: Engine) -> Any:
        """Return the index of an engine: from the suite of builds, or built now."""
        if engine.name not in self.indexes:
            self.indexes[engine.name] = engine.build(self.vectors)
        return self.indexes[engine.name]

    def file(self, engine: Engine) -> Path:
        """Return a file with the index of an engine."""
        path = self._directory / engine.name
        if not path.exists():
            engine.save(self.index(engine), path)
        return path

    def recall(self, engine: Engine, ef_search: int) -> float:
        """Return the recall@K of an engine over all queries."""
        key = engine.name, ef_search
        if key not in self._recalls:
            self._recalls[key] = self.recall_of(engine.search(self.index(engine), self.queries, ef_search))
        return self._recalls[key]

    def ef_search(self, engine: Engine, recall: float) -> int | None:
        """Return the smallest ef_search with which an engine reaches a recall, or None."""
        return smallest_ef_search(lambda ef_search: self.recall(engine, ef_search), recall)

    def recall_of(self, found: NDArray[Any]) -> float:
        """Return the share of the true K nearest that were found.

        A result as near as the K-th true one counts even if it is another one: ties are all right.
        """
        hits = 0
        for row, query, bound in zip(found, self.queries, self._bounds, strict=False):
            ids = np.unique(row.astype(np.int64))
            ids = ids[(ids >= 0) & (ids < len(self.vectors))]
            hits += int((self.vectors[ids] @ query >= bound - 1e-5).sum())
        return min(1.0, hits / found.size)

    @cached_property
    def _bounds(self) -> Vectors:
        """Similarity of each query to its K-th nearest vector."""
        bounds = [
            np.partition(block @ self.vectors.T, -K, axis=1)[:, -K]
            for block in np.array_split(self.queries, max(1, len(self.queries) // 256))
        ]
        return np.concatenate(bounds)


def smallest_ef_search(recall_at: Callable[[int], float], recall: float) -> int | None:
    """Return the smallest ef_search that reaches a recall, or None; a larger one finds no less."""
    low, high = K - 1, K
    while recall_at(high) < recall:
        if high == LARGEST_EF_SEARCH:
            return None
        low, high = high, min(high * 3 // 2, LARGEST_EF_SEARCH)
    # A step of one hundredth changes recall by less than its last digit.
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        if recall_at(middle) < recall:
            low = middle
        else:
            high = middle
    return high


def unit(vectors: NDArray[Any]) -> Vectors:
    """Return a copy in float32, every row of length 1."""
    copy = vectors.astype(np.float32)
    copy /= np.linalg.norm(copy, axis=1, keepdims=True)
    return copy


def load(data: Path | None, count: int | None, directory: Path) -> Workload:
    """Read `base.f16.npy` and `queries.f16.npy` from a directory, or the included sample."""
    if data is None:
        sample = tiercel.datasets.load_wordnet_sample()
        return Workload("WordNet sample", sample.vectors[:count], sample.queries[:QUERIES], directory)
    vectors, queries = (np.load(data / f"{part}.f16.npy", mmap_mode="r") for part in ("base", "queries"))
    return Workload(data.name, vectors[:count], queries[:QUERIES], directory)
