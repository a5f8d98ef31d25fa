"""The true nearest among the first vectors of a file, for several numbers of vectors in one pass.

The file is read in pieces and compared in float32, so neither its size nor the index that is
measured matters.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from engines import K, Vectors
from numpy.typing import NDArray
from workload import unit

PIECE = 16_384
CANDIDATES = 2 * K
"""Nearest kept for each query: the K nearest, and room for those as near as the K-th."""
NO_ID = -1

Ids = NDArray[np.int64]


def pieces(path: Path, start: int, stop: int, size: int = PIECE) -> Iterator[NDArray[Any]]:
    """Yield rows of a file from start to stop.

    Each piece is mapped alone, so what was read does not stay in the memory of the process.
    """
    for at in range(start, stop, size):
        yield np.load(path, mmap_mode="r")[at : min(at + size, stop)].astype(np.float32)


def true_nearest(
    path: Path, queries: Vectors, metric: str, sizes: list[int], bar: Callable[[int, int], object] | None
) -> dict[int, Ids]:
    """Return, for each number of vectors, the ids that count as right for each query.

    These are the ids of the K nearest and of others as near as the K-th, at most CANDIDATES
    together; NO_ID fills the rest.
    """
    ids = np.full((len(queries), CANDIDATES), NO_ID, np.int64)
    keys = np.full(ids.shape, np.inf, np.float32)
    queries = unit(queries) if metric == "cosine" else queries
    right, done = {}, 0
    for size in sorted(set(sizes)):
        for rows in pieces(path, done, size):
            ids, keys = nearer(ids, keys, key(queries, rows, metric), done)
            done += len(rows)
            if bar is not None:
                bar(done, max(sizes))
        right[size] = np.where(keys <= bound(keys), ids, NO_ID)
    return right


def key(queries: Vectors, rows: Vectors, metric: str) -> Vectors:
    """Return for each query a number per row that is smaller for a nearer one."""
    if metric == "l2":
        return np.square(rows).sum(axis=1) - 2 * (queries @ rows.T)
    return -queries @ (unit(rows) if metric == "cosine" else rows).T


def nearer(ids: Ids, keys: Vectors, new: Vectors, start: int) -> tuple[Ids, Vectors]:
    """Return the nearest of those found so far and of new ones, whose ids begin at start."""
    keys = np.concatenate([keys, new], axis=1)
    new_ids = np.broadcast_to(np.arange(start, start + new.shape[1]), new.shape)
    best = np.argpartition(keys, CANDIDATES - 1, axis=1)[:, :CANDIDATES]
    ids = np.take_along_axis(np.concatenate([ids, new_ids], axis=1), best, axis=1)
    return ids, np.take_along_axis(keys, best, axis=1)


def bound(keys: Vectors) -> Vectors:
    """Return the key of the K-th nearest, and what rounding may add to it."""
    last = np.partition(keys, K - 1, axis=1)[:, K - 1 : K]
    return last + 1e-5 * np.maximum(1, np.abs(last))


def recall(found: NDArray[Any], right: Ids) -> float:
    """Return the share of the K nearest of each query that were found."""
    there = (right[:, :, None] == found.astype(np.int64)[:, None, :K]).any(axis=2)
    # The padding of a short result is cast to NO_ID.
    return float((there & (right != NO_ID)).sum() / (len(found) * K))
