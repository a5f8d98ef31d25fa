"""Exact search returns what numpy computes in double precision, except for rounding and ties."""

import numpy as np
import pytest
from support.reference import METRICS, Metric, Truth

import tiercel

DIMS = [1, 2, 7, 8, 15, 17, 33, 64, 127, 129, 384, 1000]

pytestmark = pytest.mark.parametrize("metric", METRICS)


def random_rows(seed: int, count: int, dim: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("dim", DIMS)
def test_exact_search_is_numpys(simd: str, metric: Metric, dtype: str, dim: int) -> None:
    vectors, queries = random_rows(dim, 1200, dim), random_rows(dim + 1, 9, dim)
    index = tiercel.Index(dim, metric, dtype)
    ids = index.add(vectors)
    kept = vectors.astype(np.float16) if dtype == "f16" else vectors
    np.testing.assert_array_equal(index.get(ids), kept.astype(np.float32))
    truth = Truth(ids, kept, queries, metric)
    for k in (1, 10, 1200):
        truth.check_exact(index.search(queries, k, recall=1), k)


@pytest.mark.parametrize("storage", ["sq4", "sq8", "rabitq1", "rabitq3", "pq5x8", "opq12x4", "rq2x8", "raw"])
def test_codes_do_not_show_in_an_exact_search(simd: str, metric: Metric, storage: str) -> None:
    # Few values per coordinate: many equal distances, and equal codes for different vectors.
    rng = np.random.default_rng(5)
    vectors = rng.integers(-2, 3, (3000, 24)).astype(np.float32) + np.float32(0.125)
    queries = vectors[::100] + np.float32(0.01)
    index = tiercel.Index(24, metric, storage=storage)
    truth = Truth(index.add(vectors), vectors, queries, metric)
    assert index.stats()["storage"] == storage
    truth.check_exact(index.search(queries, 25, recall=1), 25)


@pytest.mark.parametrize("scale", [1e-18, 1e-9, 1e9, 1e17])
def test_sizes_of_values_do_not_matter(simd: str, metric: Metric, scale: float) -> None:
    vectors = random_rows(2, 1200, 24) * np.float32(scale)
    queries = random_rows(3, 5, 24) * np.float32(scale)
    index = tiercel.Index(24, metric)
    truth = Truth(index.add(vectors), vectors, queries, metric)
    truth.check_exact(index.search(queries, 10, recall=1), 10)
    assert truth.recall(index.search(queries, 10, ef_search=200), 10) >= 0.95


@pytest.mark.parametrize("allowed", [1, 7, 300, 1100, 1999, 2000])
def test_exact_search_among_some(simd: str, metric: Metric, allowed: int) -> None:
    vectors, queries = random_rows(7, 2000, 33), random_rows(8, 5, 33)
    index = tiercel.Index(33, metric)
    ids = index.add(vectors)
    rows = np.sort(np.random.default_rng(allowed).permutation(2000)[:allowed])
    mask = np.zeros(2000, bool)
    mask[rows] = True
    truth = Truth(ids[rows], vectors[rows], queries, metric)
    for some in (mask, ids[rows]):
        truth.check_exact(index.search(queries, 12, recall=1, filter=some), 12)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_a_range_search_finds_what_is_within(simd: str, metric: Metric, dtype: str) -> None:
    vectors, queries = random_rows(11, 2000, 20).astype(np.float16), random_rows(12, 130, 20)
    index = tiercel.Index(20, metric, dtype)
    truth = Truth(index.add(vectors), vectors, queries, metric)
    radius = float(np.quantile(truth.low, 0.02))
    matches = index.range_search(queries, radius)
    assert matches.quality == "exact"
    assert len(matches) == 130
    for query in range(130):
        part = slice(int(matches.offsets[query]), int(matches.offsets[query + 1]))
        row, near = matches.ids[part].astype(int), matches.distances[part]
        low, high = truth.low[query], truth.high[query]
        assert (np.diff(near) >= 0).all()
        assert ((low[row] <= near) & (near <= high[row])).all()
        assert set(np.flatnonzero(high < radius)) <= set(row.tolist()) <= set(np.flatnonzero(low <= radius))
        assert len(set(row.tolist())) == len(row)


def test_a_batch_answers_as_single_queries_do(simd: str, metric: Metric) -> None:
    vectors, queries = random_rows(21, 2500, 48), random_rows(22, 300, 48)
    index = tiercel.Index(48, metric)
    index.add(vectors)
    # A large batch that is asked for a recall may be exact.
    few = {"recall": 0.9}
    for settings in ({"recall": 1.0}, few, {"ef_search": 50}, {"recall": 1.0, "filter": range(0, 2500, 3)}):
        count = 100 if settings is few else 300
        batch = index.search(queries[:count], 10, **settings)
        assert batch.ids.shape == (count, 10)
        for query in range(0, count, 7):
            single = index.search(queries[query], 10, **settings)
            np.testing.assert_array_equal(single.ids, batch.ids[query])
            np.testing.assert_array_equal(single.distances, batch.distances[query])
            assert single.counts == batch.counts[query]
            assert single.quality == batch.quality


def test_threads_change_no_answer(simd: str, metric: Metric) -> None:
    vectors, queries = random_rows(31, 2500, 48), random_rows(32, 300, 48)
    index = tiercel.Index(48, metric)
    index.add(vectors)
    for settings in ({"recall": 1.0}, {"recall": 0.9}, {"recall": 1.0, "filter": range(0, 2500, 5)}):
        one = index.search(queries, 10, threads=1, **settings)
        for threads in (2, 3, 64):
            many = index.search(queries, 10, threads=threads, **settings)
            np.testing.assert_array_equal(one.ids, many.ids)
            np.testing.assert_array_equal(one.distances, many.distances)
    one, many = (index.range_search(queries, 0.5, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.ids, many.ids)
    np.testing.assert_array_equal(one.offsets, many.offsets)
    np.testing.assert_allclose(one.distances, many.distances, rtol=1e-5, atol=1e-5)


def test_equal_vectors_have_one_distance_in_a_batch(metric: Metric) -> None:
    # A batch compares bytes first, gives up where all vectors are near, and begins again.
    random = np.random.default_rng(5)
    vector, queries = random.normal(size=96), random.normal(size=(40, 96))
    index = tiercel.Index(96, metric, kind="flat", storage="sq8")
    index.add(np.tile(vector, (6000, 1)))
    near = index.search(queries, 5, recall=1.0)
    assert (near.distances == near.distances[:, :1]).all()
    radius = float(near.distances.max()) + 1e-3
    found = index.range_search(queries, radius)
    assert found.offsets.tolist() == list(range(0, 240_001, 6000))
    assert all(len(set(found.distances[a:b])) == 1 for a, b in zip(found.offsets, found.offsets[1:], strict=False))


@pytest.mark.parametrize("tiny", [1.0, 1e-18, 1e-22, 1e-30])
def test_a_batch_finds_vectors_whose_squares_underflow(metric: Metric, tiny: float) -> None:
    # Rounded to bytes, the best vector loses all that makes it the best: only a bound keeps it.
    rows = np.zeros((201, 64))
    rows[:200, 0], rows[:200, 1] = 1, np.linspace(0.08, 0.16, 200)
    rows[200, 0], rows[200, 1:] = 1, 0.49 / 127
    queries = np.ones((40, 64))
    queries[:, 0] = 0
    if metric == "l2":
        # Queries must be of the same size, and squared distances must not underflow.
        tiny = max(tiny, 1e-17)
        queries *= tiny
    index = tiercel.Index(64, metric)
    index.add(rows * tiny)
    assert index.search(queries, 1, recall=1.0).ids.ravel().tolist() == [200] * 40
