"""Approximate search reaches its recall: on hard data, at each requested recall, among few, after
deletes.

Tests that depend on the kernels run under each instruction set; tests that depend only on the
graph, under the best.
"""

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from support.places import WORDNET
from support.reference import METRICS, Metric, Truth

import tiercel

# More than a scan would handle: with 200 candidates, and with 100 of the half that a filter allows.
COUNT, LARGE = 11_000, 20_000
DIM, K = 8, 10

Rng = np.random.Generator


def gaussian(rng: Rng, count: int = COUNT) -> np.ndarray:
    return rng.standard_normal((count, DIM))


def clustered(rng: Rng, count: int = COUNT) -> np.ndarray:
    return 5 * gaussian(rng, 40)[rng.integers(40, size=count)] + 0.3 * gaussian(rng, count)


DATA: dict[str, Callable[[Rng], np.ndarray]] = {
    "clustered": clustered,
    "each 20 times": lambda rng: rng.permutation(np.repeat(gaussian(rng, COUNT // 20), 20, axis=0)),
    "each 500 times, one after the other": lambda rng: np.repeat(gaussian(rng, COUNT // 500), 500, axis=0),
    "half equal": lambda rng: np.where(np.arange(COUNT)[:, None] < COUNT // 2, 1.0, gaussian(rng)),
    "all equal": lambda rng: np.ones((COUNT, DIM)),
    "one dimension": lambda rng: rng.standard_normal((COUNT, 1)),
    "on a line": lambda rng: rng.standard_normal((COUNT, 1)) + np.arange(DIM),
    "two clusters far apart": lambda rng: gaussian(rng) + 100 * np.repeat([[0.0], [1.0]], COUNT // 2, axis=0),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", DATA)
def test_recall_on_hard_data(name: str, metric: Metric) -> None:
    rng = np.random.default_rng(17)
    vectors = DATA[name](rng).astype(np.float32)
    near = vectors[rng.choice(COUNT, 100, replace=False)]
    queries = near + 0.01 * vectors.std() * rng.standard_normal(near.shape).astype(np.float32)
    index = tiercel.Index(vectors.shape[1], metric)
    truth = Truth(index.add(vectors), vectors, queries, metric)
    assert index.stats()["linked"] > COUNT // 2
    matches = index.search(queries, K, ef_search=200)
    assert matches.quality == "approximate"
    recalls = [truth.recall(matches, K)]
    index.optimize()
    recalls.append(truth.recall(index.search(queries, K, ef_search=200), K))
    assert min(recalls) >= 0.95, f"recall before and after optimize: {recalls}"


def check_recall(index: tiercel.Index, queries: np.ndarray, truth: Truth) -> None:
    assert truth.recall(index.search(queries, K), K) >= 0.95
    for recall in (0.5, 0.9, 0.95, 0.98, 0.99):
        reached = truth.recall(index.search(queries, K, recall=recall), K)
        assert reached >= recall
    truth.check_exact(index.search(queries, K, recall=1), K)


@cache
def sample(metric: Metric) -> tuple[np.ndarray, np.ndarray, Truth]:
    data = tiercel.datasets.load_wordnet_sample()
    return data.vectors, data.queries, Truth(np.arange(len(data.vectors)), data.vectors, data.queries, metric)


def check_sample(metric: Metric, storage: str) -> None:
    vectors, queries, truth = sample(metric)
    index = tiercel.Index(vectors.shape[1], metric, storage=storage)
    index.add(vectors)
    check_recall(index, queries, truth)


@pytest.mark.parametrize("metric", METRICS)
def test_recall_that_is_asked_for_on_the_sample(simd: str, metric: Metric) -> None:
    check_sample(metric, "auto")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "storage", ["sq4", "sq8", "rabitq1", "rabitq2", "rabitq3", "rabitq4", "f16", "bf16", "pq48x8", "opq48x4", "raw"]
)
def test_recall_that_is_asked_for_with_any_storage(storage: str, metric: Metric) -> None:
    check_sample(metric, storage)


@cache
def texts() -> tuple[np.ndarray, np.ndarray, Truth]:
    base = np.load(WORDNET / "base.f16.npy", mmap_mode="r")
    rows = np.sort(np.random.default_rng(3).choice(len(base), 4_000, replace=False))
    vectors = base[rows].astype(np.float32)
    queries = np.load(WORDNET / "queries.f16.npy")[:200].astype(np.float32)
    return vectors, queries, Truth(np.arange(len(vectors)), vectors, queries, "cosine")


@pytest.mark.skipif(not WORDNET.exists(), reason="the wordnet embeddings are missing beside the checkout")
def test_recall_that_is_asked_for_on_text_embeddings(simd: str) -> None:
    vectors, queries, truth = texts()
    index = tiercel.Index(vectors.shape[1])
    index.add(vectors)
    check_recall(index, queries, truth)


@cache
def of_a_kind() -> np.ndarray:
    """Vectors in clusters, with similar lengths."""
    rng = np.random.default_rng(23)
    vectors = clustered(rng, LARGE)
    vectors *= rng.uniform(0.8, 1.2, (LARGE, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


@cache
def built(metric: Metric) -> tiercel.Index:
    """An index of them with a graph; do not change it."""
    index = tiercel.Index(DIM, metric, ef_construction=100)
    index.add(of_a_kind())
    return index


@cache
def asked(metric: Metric) -> tuple[np.ndarray, Truth]:
    """Queries to it."""
    vectors = of_a_kind()
    queries = vectors[np.random.default_rng(24).choice(LARGE, 50, replace=False)] + np.float32(0.01)
    return queries, Truth(np.arange(LARGE), vectors, queries, metric)


@cache
def by_distance(metric: Metric) -> np.ndarray:
    """The rows of the index for each query, the nearest first."""
    return np.argsort(asked(metric)[1].low, axis=1)


# Relations between a filter and a query, as rows of the index: of those ordered by distance,
# `count` are allowed.
KINDS: dict[str, Callable[[np.ndarray, int, Rng], np.ndarray]] = {
    "unrelated": lambda order, count, rng: rng.permutation(order)[:count],
    "the nearest": lambda order, count, _: order[:count],
    "the farthest": lambda order, count, _: order[LARGE - count :],
    "5 of the nearest, and the farthest": lambda order, count, _: np.delete(order, np.s_[5 : LARGE - count + 5]),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9, 1.0])
def test_a_filter_leaves_k_results_and_recall(share: float, kind: str, metric: Metric) -> None:
    index = built(metric)
    queries, truth = asked(metric)
    count, rng = round(share * LARGE), np.random.default_rng(5)
    recalls = []
    for at, query in enumerate(queries):
        rows = np.sort(KINDS[kind](by_distance(metric)[at], count, rng))
        mask = np.isin(np.arange(LARGE), rows)
        among = truth.among(rows, slice(at, at + 1))
        assert index.search(query, K, filter=rows, ef_search=1).counts == min(K, count)
        matches = index.search(query, K, filter=mask if at % 2 else rows, ef_search=100)
        recalls.append(among.recall(matches, K))
    assert np.mean(recalls) >= 0.95


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9, 1.0])
def test_a_filter_for_a_batch_leaves_recall(share: float, metric: Metric) -> None:
    index = built(metric)
    queries, truth = asked(metric)
    side = np.argsort(of_a_kind()[:, 0])
    # Random rows, and two regions of space: a query lies inside the allowed one, or outside.
    for order in (np.random.default_rng(1).permutation(LARGE), side, side[::-1]):
        rows = np.sort(order[: round(share * LARGE)])
        assert truth.among(rows).recall(index.search(queries, K, filter=rows, ef_search=100), K) >= 0.95


@pytest.mark.parametrize("metric", METRICS)
def test_a_filter_of_fewer_than_k_gives_them_all(metric: Metric) -> None:
    index = built(metric)
    queries, _ = asked(metric)
    for count in (0, 1, 3, 9):
        rows = np.arange(100, 100 + count)
        matches = index.search(queries, K, filter=rows)
        assert (matches.counts == count).all()
        assert all(sorted(row[:count]) == rows.tolist() for row in matches.ids.tolist())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("which", ["any half", "half of the space", "all but few"])
def test_deletes_leave_recall(which: str, metric: Metric) -> None:
    index, vectors = copy.copy(built(metric)), of_a_kind()
    queries, truth = asked(metric)
    rng = np.random.default_rng(29)
    order = np.argsort(vectors[:, 0]) if which == "half of the space" else rng.permutation(LARGE)
    left = np.sort(order[: LARGE // 500 if which == "all but few" else LARGE // 2])
    assert index.delete(np.setdiff1d(np.arange(LARGE), left)) == LARGE - len(left)
    np.testing.assert_array_equal(index.ids, left)
    assert truth.among(left).recall(index.search(queries, K, ef_search=100), K) >= 0.95
    index.optimize()
    assert truth.among(left).recall(index.search(queries, K, ef_search=100), K) >= 0.95
    # Re-added vectors are found like the rest.
    back = np.setdiff1d(np.arange(LARGE), left)[:1000]
    index.add(vectors[back], ids=back)
    left = np.concatenate([left, back])
    assert truth.among(left).recall(index.search(queries, K, ef_search=100), K) >= 0.95
