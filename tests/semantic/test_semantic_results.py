"""Certified answers are always true, after any additions, removals, requests, users and filters."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.places import WORDNET
from support.reference import METRICS, Metric

import tiercel
from tiercel.semantic.targets import IndexTarget


def clustered(count: int, dim: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((50, dim))
    return (centres[rng.integers(0, 50, count)] + 0.4 * rng.standard_normal((count, dim))).astype(np.float32)


@pytest.fixture(params=METRICS)
def index(request: pytest.FixtureRequest) -> tiercel.Index:
    index = tiercel.Index(16, request.param)
    index.add(clustered(3000, 16, 1))
    return index


def test_near_queries_are_certified_and_the_rest_is_searched(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index)
    rng = np.random.default_rng(3)
    for query in clustered(30, 16, 2):
        assert cache.search(query, 5).quality == "exact"
        assert cache.search(query, 5).quality == "exact"
        near = query + 1e-3 * rng.standard_normal(16)
        assert cache.search(near, 5).quality == "certified"
    assert cache.stats()["exact"] == 30
    assert cache.stats()["certified"] == 30
    assert cache.stats()["misses"] == cache.stats()["entries"] == 30


def test_a_list_is_kept_up_to_date(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index)
    query = clustered(1, 16, 2)[0]
    before = cache.search(query, 5)
    index.delete(before.ids[:2])
    after = cache.search(query, 5)
    assert after.quality == "certified"
    assert after.ids[:3].tolist() == before.ids[2:].tolist()
    index.add(query * 1.01, ids=[777_777])
    assert 777_777 in cache.search(query, 5).ids
    index.add(clustered(1001, 16, 5), ids=np.arange(10_000, 11_001))
    misses = cache.stats()["misses"]
    assert cache.search(query, 5).quality == "exact"
    assert cache.stats()["misses"] == misses + 1, "too much has come since"
    assert cache.stats()["entries"] == 1


def test_a_list_of_all_serves_any_filter(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index)
    query = clustered(1, 16, 2)[0]
    cache.search(query, 5)
    odd = np.arange(1, 3000, 2)
    matches = cache.search(query + 1e-4, 5, filter=odd)
    assert matches.quality == "certified"
    assert (matches.ids % 2 == 1).all()


def test_a_list_of_a_filter_serves_that_alone(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index)
    query = clustered(1, 16, 2)[0]
    odd, third = np.arange(1, 3000, 2), np.arange(0, 3000, 3)
    cache.search(query, 5, filter=odd)
    assert cache.search(query + 1e-4, 5, filter=odd).quality == "certified"
    assert cache.stats()["misses"] == 1
    for other in (third, index.ids % 2 == 1, None):
        cache.search(query, 5, filter=other)
    assert cache.stats()["misses"] == 4


def test_a_mask_means_something_else_when_the_index_has_changed(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index)
    mask = np.random.default_rng(7).random(3000) < 0.5
    for query in clustered(20, 16, 2):
        cache.search(query, 5, filter=mask)
        assert cache.search(query + 1e-4, 5, filter=mask).quality == "certified"
    # As many as before, each replacing another.
    index.delete([0])
    index.add(clustered(1, 16, 9), ids=[5000])
    for query in clustered(20, 16, 2):
        assert np.array_equal(
            cache.search(query, 5, filter=mask).ids, index.search(query, 5, filter=mask, recall=1).ids
        )


def test_a_mask_of_one_version_has_no_list_of_another(index: tiercel.Index) -> None:
    """As if another thread wrote between the check of a mask and the search."""
    target = IndexTarget(index)
    query = clustered(1, index.dim, 2)[0].astype(np.float32)
    mask = np.arange(len(index)) % 2 == 0
    request = target.request(query, mask, None)
    neighbours = target.neighbours(request, 40)
    assert neighbours is not None
    assert target.rescore(request, 3, neighbours) is not None
    index.delete(index.ids[:1])
    index.add(clustered(1, index.dim, 3))
    assert target.neighbours(request, 40) is None
    assert target.rescore(request, 3, neighbours) is None


def test_no_user_is_answered_from_the_query_of_another(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index, threshold=10.0, audit=0.0)
    query = clustered(1, 16, 2)[0]
    for user in ("ada", "bob", ""):
        cache.search(query, 5, user=user)
        cache.search(query, 5, user=user)
    stats = cache.stats()
    assert (stats["misses"], stats["exact"], stats["entries"]) == (3, 3, 3)


def test_arrays_are_the_callers_own(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index)
    query = clustered(1, 16, 2)[0]
    first = cache.search(query, 5)
    kept = first.ids.copy()
    first.ids[:], first.distances[:], query[:] = 0, 0.0, query + 0.0
    again = cache.search(query, 5)
    assert np.array_equal(again.ids, kept)
    query[:] = 9.0
    assert cache.search(clustered(1, 16, 2)[0], 5).quality == "exact"


def test_more_than_was_kept_is_searched_and_then_kept(index: tiercel.Index) -> None:
    cache = tiercel.SemanticCache(index, keep=5)
    query = clustered(1, 16, 2)[0]
    cache.search(query, 5)
    assert len(cache.search(query, 300).ids) == 300
    assert cache.stats()["misses"] == 2
    assert cache.search(query, 300).quality == "exact"
    assert cache.stats()["misses"] == 2


def test_entries_and_bytes_are_bounded(index: tiercel.Index) -> None:
    queries = clustered(300, 16, 2) * 5
    for cache in (tiercel.SemanticCache(index, entries=40), tiercel.SemanticCache(index, bytes=200_000)):
        for query in queries:
            cache.search(query, 5)
            # A query that is repeated stays.
            assert cache.search(queries[0], 5).quality == "exact"
        stats = cache.stats()
        assert 0 < stats["entries"] <= 66
        assert stats["bytes"] <= 200_000
        assert stats["misses"] + stats["certified"] + stats["exact"] == 600
        assert stats["exact"] >= 300
        cache.clear()
        assert cache.stats()["entries"] == cache.stats()["bytes"] == 0


def test_an_empty_index_has_empty_answers() -> None:
    index = tiercel.Index(4)
    cache = tiercel.SemanticCache(index)
    assert cache.search([1, 0, 0, 0], 3).ids.tolist() == []
    index.add([[0, 1, 0, 0]])
    assert cache.search([1, 0, 0, 0], 3).ids.tolist() == [0]
    assert cache.search([1, 0.1, 0, 0], 3).quality == "certified"


def test_under_dot_a_query_of_zeros_is_searched() -> None:
    index = tiercel.Index(2, "dot")
    index.add([[1, 0], [0, 1]])
    cache = tiercel.SemanticCache(index)
    for query in ([0, 0], [1e-45, 0]):
        assert np.abs(cache.search(query, 2).distances).max() <= 1e-44
    assert cache.stats()["entries"] == 0


def test_under_dot_and_cosine_the_length_of_a_query_does_not_matter() -> None:
    for metric in ("dot", "cosine"):
        index = tiercel.Index(16, metric)
        index.add(clustered(3000, 16, 1))
        cache = tiercel.SemanticCache(index)
        query = clustered(1, 16, 2)[0]
        cache.search(query, 5)
        longer = cache.search(query * 100, 5)
        assert longer.quality == "certified"
        assert np.array_equal(longer.distances, index.search(query * 100, 5, recall=1).distances)


def test_a_later_longer_vector_is_found_under_dot() -> None:
    index = tiercel.Index(16, "dot")
    index.add(clustered(3000, 16, 1))
    cache = tiercel.SemanticCache(index)
    query = clustered(1, 16, 2)[0]
    cache.search(query, 5)
    index.add(query * 1e6, ids=[5000])
    assert cache.search(query + 1e-4, 5).ids[0] == 5000


@pytest.mark.parametrize(("metric", "first", "second"), [("l2", [0, 0], [1e18, 0]), ("dot", [-2e19, 0], [-1e18, 0])])
def test_distances_that_overflow_prove_nothing(
    tmp_path: Path, metric: Metric, first: list[float], second: list[float]
) -> None:
    """A list whose last entry has an infinite distance does not prove that there are no others."""
    rows = np.stack([np.linspace(4e19, 1.86e19, 50), np.zeros(50)], axis=1).astype(np.float32)
    index = tiercel.Index(2, metric)
    index.add(rows)
    cache = tiercel.SemanticCache(index, keep=5)
    with tiercel.open(tmp_path, dim=2, metric=metric) as collection:
        collection.upsert([str(at) for at in range(50)], vectors=rows)
        of_collection = tiercel.SemanticCache(collection, keep=5)
        for query in (first, second):
            assert cache.search(query, 3).ids.tolist() == index.search(query, 3, recall=1).ids.tolist()
            assert of_collection.search(query, 3).ids == collection.search(query, k=3, recall=1).ids
    index.delete([0, 1, 2])
    assert cache.search(first, 3).ids.tolist() == index.search(first, 3, recall=1).ids.tolist()


def test_a_collection_brings_along_what_is_asked_for(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=2) as collection:
        collection.upsert(
            ["cat", "hen"], [[1, 0], [0, 1]], texts=["a cat", "a hen"], metadata=[{"legs": 4}, {"legs": 2}]
        )
        cache = tiercel.SemanticCache(collection)
        first = cache.search([1, 0.1], 1)
        again = cache.search([1, 0.1], 1, include=["vector"])
        assert (first[0].text, first[0].metadata, first[0].vector) == ("a cat", {"legs": 4}, None)
        assert again[0].text is None
        assert np.array_equal(again[0].vector, [1, 0])
        assert (first.quality, again.quality) == ("exact", "exact")
        collection.update_metadata(["cat"], [{"legs": 3}])
        assert cache.search([1, 0.1], 1)[0].metadata == {"legs": 3}


def test_a_reader_is_answered_from_the_state_that_it_is_in(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=2) as writer:
        writer.upsert(["cat", "hen"], [[1, 0], [0, 1]])
        writer.checkpoint()
        with tiercel.open(tmp_path, mode="r") as reader:
            cache = tiercel.SemanticCache(reader)
            assert cache.search([1, 0.1], 1).ids == ["cat"]
            writer.delete(["cat"])
            writer.checkpoint()
            assert cache.search([1, 0.1], 1).ids == ["cat"]
            reader.refresh()
            assert cache.search([1, 0.1], 1).ids == ["hen"]


def test_searches_beside_a_writer_see_what_was_written_before_they_began() -> None:
    index = tiercel.Index(8, "l2")
    index.add(clustered(1000, 8, 1))
    cache = tiercel.SemanticCache(index, keep=50)
    queries = clustered(20, 8, 2)
    written, stop = [0], threading.Event()
    searching = threading.Barrier(5)

    def write() -> None:
        searching.wait(60)
        rng = np.random.default_rng(4)
        for round_ in range(400):
            # Add one nearer to each query in turn, and remove another one.
            at = round_ % 20
            index.add(queries[at] + 1e-2 / (round_ + 1) * np.eye(8)[0], ids=[10_000 + round_], threads=1)
            written[0] = round_ + 1
            index.delete([int(rng.integers(0, 1000))])
        stop.set()

    def search(seed: int) -> int:
        rng = np.random.default_rng(seed)
        count = 0
        while not stop.is_set():
            at, done = int(rng.integers(20)), written[0]
            matches = cache.search(queries[at] + 1e-7 * rng.standard_normal(8), 3)
            newest = max((10_000 + each for each in range(done) if each % 20 == at), default=0)
            assert int(matches.ids[0]) >= newest, "an existing vector was not found"
            count += 1
            if count == 1:
                searching.wait(60)
        return count

    with ThreadPoolExecutor(5) as pool:
        searches = [pool.submit(search, seed) for seed in range(4)]
        pool.submit(write).result()
        assert all(each.result() > 0 for each in searches)


BAD: dict[str, Callable[[tiercel.SemanticCache[tiercel.Matches]], object]] = {
    "query: expected vectors of length 16, got 3": lambda cache: cache.search([1, 2, 3], 5),
    "query: expected a 1-D array": lambda cache: cache.search(np.ones((1, 16)), 5),
    "query: expected finite values of float32, got nan at column 2": lambda cache: cache.search(
        [1, 1, np.nan] + [1] * 13, 5
    ),
    "query: expected finite values of float32, got 1e+300 at column 0": lambda cache: cache.search([1e300] * 16, 5),
    "query: expected a numeric array": lambda cache: cache.search(["a"] * 16, 5),
    "k: expected an int from 1": lambda cache: cache.search(np.ones(16), 0),
    "user: expected a str, got int": lambda cache: cache.search(np.ones(16), 5, user=7),
    "text: expected a str, got bytes": lambda cache: cache.search(np.ones(16), 5, text=b"a"),
    "filter: expected a mask of length 3000": lambda cache: cache.search(np.ones(16), 5, filter=[True]),
    "filter: expected a 1-D array of bool or of integers": lambda cache: cache.search(np.ones(16), 5, filter=[0.5]),
    "filter: expected a 1-D array of bool or of integers, got 0-D": lambda cache: cache.search(
        np.ones(16), 5, filter=1
    ),
    "filter: expected a numeric array, got list": lambda cache: cache.search(np.ones(16), 5, filter=[[1], [1, 2]]),
    "query: expected finite values of float32, got inf at column 0": lambda cache: cache.search(
        [np.inf, -np.inf] + [1] * 14, 5
    ),
    "include: expected a collection": lambda cache: cache.search(np.ones(16), 5, include=["text"]),
    "target: expected an Index or a Collection, got str": lambda _: tiercel.SemanticCache("a"),
    "target: expected an Index with full vectors, got one with raw 'none'": lambda _: tiercel.SemanticCache(
        tiercel.Index(3, raw="none")
    ),
    "keep: expected an int from 1": lambda cache: tiercel.SemanticCache(tiercel.Index(2), keep=0),
    "entries: expected an int from 1": lambda cache: tiercel.SemanticCache(tiercel.Index(2), entries=0),
    "bytes: expected an int from 1": lambda cache: tiercel.SemanticCache(tiercel.Index(2), bytes=-1),
    "threshold: expected a number from 0.0": lambda cache: tiercel.SemanticCache(tiercel.Index(2), threshold=-1),
    "max_error: expected a number from 0.0 to 1.0": lambda cache: tiercel.SemanticCache(tiercel.Index(2), max_error=2),
    "audit: expected a number from 0.0 to 1.0": lambda cache: tiercel.SemanticCache(tiercel.Index(2), audit="a"),
    "verify: expected a callable": lambda cache: tiercel.SemanticCache(tiercel.Index(2), verify=0.05),
    "language: expected 'english', 'french', 'german' or None, got 'klingon'": lambda cache: tiercel.SemanticCache(
        tiercel.Index(2), language="klingon"
    ),
    "seed: expected an int from 0": lambda cache: tiercel.SemanticCache(tiercel.Index(2), seed=-1),
}


@pytest.mark.parametrize("message", BAD)
def test_a_wrong_argument_is_named(message: str) -> None:
    index = tiercel.Index(16)
    index.add(clustered(3000, 16, 1))
    cache = tiercel.SemanticCache(index)
    with pytest.raises(tiercel.InvalidInputError) as caught:
        BAD[message](cache)
    assert str(caught.value).startswith(message)
    assert cache.stats()["entries"] == 0


@pytest.mark.parametrize("include", [5, b"text", {"text": 1}, ["nothing"], "highlights", ["highlights"]])
def test_what_a_match_cannot_bring_along_is_refused(tmp_path: Path, include: Any) -> None:
    with tiercel.open(tmp_path, dim=2) as collection:
        collection.upsert(["a"], vectors=[[1, 0]])
        cache = tiercel.SemanticCache(collection)
        with pytest.raises(tiercel.InvalidInputError, match="include: expected"):
            cache.search([1, 0], include=include)
        assert cache.stats()["misses"] == 0


def test_a_collection_without_vectors_is_refused(tmp_path: Path) -> None:
    with (
        tiercel.open(tmp_path) as collection,
        pytest.raises(tiercel.InvalidInputError, match="target: expected a collection with"),
    ):
        tiercel.SemanticCache(collection)


@pytest.mark.skipif(not WORDNET.exists(), reason="the wordnet embeddings are missing beside the checkout")
@pytest.mark.parametrize(("noise", "least"), [(0.03, 0.97), (0.1, 0.4)])
def test_follow_ups_of_real_queries_are_certified_and_right(noise: float, least: float) -> None:
    vectors = np.load(WORDNET / "base.f16.npy", mmap_mode="r")[:8000].astype(np.float32)
    queries = np.load(WORDNET / "queries.f16.npy", mmap_mode="r")[:100].astype(np.float32)
    index = tiercel.Index(384, storage="raw")
    index.add(vectors)
    cache = tiercel.SemanticCache(index)
    rng = np.random.default_rng(5)
    certified = 0
    for query in queries:
        cache.search(query, 10)
        step = rng.standard_normal(384)
        near = query + noise * np.linalg.norm(query) / np.linalg.norm(step) * step
        matches, exact = cache.search(near, 10), index.search(near, 10, recall=1)
        assert np.array_equal(matches.ids, exact.ids)
        assert np.array_equal(matches.distances, exact.distances)
        certified += matches.quality == "certified"
    assert certified >= least * len(queries)
