"""Repeated searches are answered from the cache exactly as the search itself would answer now."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel import Expand, F

ROWS = np.random.default_rng(1).standard_normal((200, 4)).astype(np.float32)


@pytest.fixture
def index() -> tiercel.Index:
    index = tiercel.Index(4)
    index.add(ROWS)
    return index


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[tiercel.Collection]:
    with tiercel.open(tmp_path, dim=2) as collection:
        texts, metadata = ["a cat sleeps", "a hen lays eggs"], [{"legs": 4, "of": "hen"}, {"legs": 2}]
        collection.upsert(["cat", "hen"], [[1, 0], [0, 1]], texts=texts, metadata=metadata)
        yield collection


def same(one: tiercel.Matches, other: tiercel.Matches) -> bool:
    pairs = [(one.ids, other.ids), (one.distances, other.distances), (one.counts, other.counts)]
    return one.quality == other.quality and all(np.array_equal(*pair) for pair in pairs)


def hits(cache: tiercel.QueryCache[Any]) -> int:
    return cache.stats()["hits"]


ASKED: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((ROWS[0], 3), {}),
    ((ROWS[1], 3), {}),
    ((ROWS[0], 4), {}),
    ((ROWS[:1], 3), {}),
    ((ROWS[:5], 3), {}),
    ((ROWS[0], 3), {"recall": 1}),
    ((ROWS[0], 3), {"recall": 0.9}),
    ((ROWS[0], 3), {"ef_search": 50}),
    ((ROWS[0], 3), {"filter": [1, 2, 3]}),
    ((ROWS[0], 3), {"filter": [1, 2, 4]}),
    ((ROWS[0], 3), {"filter": np.arange(200) < 9}),
    ((ROWS[0], 3), {"threads": 1}),
    ((ROWS[0], 3), {"user": "ada"}),
]


def test_every_argument_counts(index: tiercel.Index) -> None:
    cache = tiercel.QueryCache(index)
    for _ in range(3):
        for places, options in ASKED:
            plain = {name: value for name, value in options.items() if name != "user"}
            assert same(cache.search(*places, **options), index.search(*places, **plain))
    stats = cache.stats()
    assert stats["bytes"] > 0
    assert [stats[name] for name in ("hits", "misses", "stale", "entries")] == [26, 13, 0, 13]


def test_the_same_question_in_other_words(index: tiercel.Index) -> None:
    cache = tiercel.QueryCache(index)
    cache.search(ROWS[0], 3, filter=None)
    cache.search(queries=ROWS[0], k=3, filter=None)
    cache.search(k=3, queries=ROWS[0].astype(np.float64), filter=None)
    cache.search(ROWS[0].tolist(), 3, filter=None)
    assert hits(cache) == 3


def test_a_write_ends_all_answers(index: tiercel.Index) -> None:
    cache = tiercel.QueryCache(index)
    for change in (
        lambda: index.add(ROWS[0] * 2, ids=[500]),
        lambda: index.delete([500]),
        lambda: index.delete(range(200)),
        lambda: index.add(ROWS[5]),
    ):
        cache.search(ROWS[0], 3)
        change()
        before = cache.stats()
        assert same(cache.search(ROWS[0], 3), index.search(ROWS[0], 3))
        assert cache.stats()["stale"] == before["stale"] + 1
        assert hits(cache) == before["hits"]
    cache.search(ROWS[0], 3)
    index.delete([12345])
    index.optimize()
    cache.search(ROWS[0], 3)
    assert hits(cache) > 0, "nothing that a search could see has changed"


def test_what_the_caller_does_to_an_answer_stays_with_the_caller(index: tiercel.Index) -> None:
    cache = tiercel.QueryCache(index)
    true = index.search(ROWS[0], 3)
    for _ in range(3):
        answer = cache.search(ROWS[0], 3)
        assert same(answer, true)
        answer.ids[:], answer.distances[:], answer.counts[...] = 0, 0, 0


def test_found_records_are_copies_too(collection: tiercel.Collection) -> None:
    cache = tiercel.QueryCache(collection)
    options: Any = {"text": "cat", "include": ["text", "metadata", "vector", "highlights"], "explain": True}
    true = collection.search([1, 0.1], **options)
    for _ in range(3):
        found = cache.search([1, 0.1], **options)
        assert found.ids == true.ids
        assert np.array_equal(found.distances, true.distances, equal_nan=True)
        assert found[0].vector is not None
        assert found[0].vector.tolist() == [1, 0]
        assert found[0].highlights == [(2, 5)]
        found.ids.clear()
        found.scores[:] = found.distances[:] = found[0:0] or 0
        assert found.plan is not None
        found.plan.clear()
    assert hits(cache) == 2


def test_every_option_of_a_collection_counts(collection: tiercel.Collection) -> None:
    cache = tiercel.QueryCache(collection)
    reranker = lambda _, texts: [float(len(text)) for text in texts]  # noqa: E731
    asked: list[dict[str, Any]] = [
        {"vector": [1, 0.1]},
        {"vector": [1, 0.2]},
        {"text": "cat"},
        {"text": "hen"},
        {"vector": [1, 0.1], "text": "cat"},
        {"vector": [1, 0.1], "k": 1},
        {"vector": [1, 0.1], "filter": F("legs") > 2},
        {"vector": [1, 0.1], "filter": {"legs": 2}},
        {"vector": [1, 0.1], "recall": 1},
        {"vector": [1, 0.1], "text": "cat", "rrf_k": 9.0},
        {"vector": [1, 0.1], "text": "cat", "alpha": 0.5},
        {"text": "cat", "expand": Expand(field="of")},
        {"text": "a", "rerank": reranker},
        {"text": "cat", "syntax": "operators"},
        {"text": "cat", "mmr": 0.5},
        {"vector": [1, 0.1], "include": ["text"]},
        {"vector": [1, 0.1], "explain": True},
        {"vector": [1, 0.1], "user": "ada"},
    ]
    for _ in range(2):
        for options in asked:
            plain = {name: value for name, value in options.items() if name != "user"}
            found, true = cache.search(**options), collection.search(**plain)
            assert (found.ids, found.quality, found.scores.tolist()) == (true.ids, true.quality, true.scores.tolist())
            assert [match.text for match in found] == [match.text for match in true]
    assert (hits(cache), cache.stats()["misses"]) == (len(asked), len(asked))
    assert cache.search([1, 0.1], filter=F("legs") == 2).ids == ["hen"]
    assert cache.search([1, 0.1], filter={"legs": {"$eq": 2}}).ids == ["hen"]
    assert hits(cache) == len(asked) + 1, "a filter is identified by its content"


def test_the_order_of_keys_in_a_filter_does_not_count(collection: tiercel.Collection) -> None:
    cache = tiercel.QueryCache(collection)
    for form in (
        {"a": {"x": 1, "y": 2}, "legs": {"$gt": 1, "$lt": 9}},
        {"legs": {"$lt": 9, "$gt": 1}, "a": {"y": 2, "x": 1}},
    ):
        cache.search([1, 0.1], filter=form)
    assert (hits(cache), F("a") == {"x": 1, "y": 2}) == (1, F("a") == {"y": 2, "x": 1})


class Reranker:
    """A reranker that claims to equal any other."""

    def __init__(self, sign: int) -> None:
        self.sign = sign

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reranker)

    def __hash__(self) -> int:
        return 1

    def __call__(self, query: str, texts: list[str]) -> list[float]:
        return [self.sign * len(text) for text in texts]


def test_a_reranker_is_told_apart_by_which_object_it_is(collection: tiercel.Collection) -> None:
    cache = tiercel.QueryCache(collection)
    up, down = Reranker(1), Reranker(-1)
    for _ in range(2):
        assert cache.search(text="cat hen", rerank=up).ids == ["hen", "cat"]
        assert cache.search(text="cat hen", rerank=down).ids == ["cat", "hen"]
        assert cache.search(text="cat hen", rerank=up.__call__).ids == ["hen", "cat"]
        assert cache.search(text="cat hen", rerank=down.__call__).ids == ["cat", "hen"]
    assert (hits(cache), cache.stats()["entries"]) == (4, 4)


def test_bytes_bound_what_is_kept(collection: tiercel.Collection) -> None:
    collection.upsert(["owl"], [[1, 1]], texts=["hoot " * 10_000], metadata=[{"says": "hoot " * 10_000}])
    cache = tiercel.QueryCache(collection, bytes=1 << 20)
    for at in range(100):
        cache.search([1, 0.01 * at])
        assert 0 < cache.stats()["bytes"] <= 1 << 20
    assert 5 < cache.stats()["entries"] < 20
    small = tiercel.QueryCache(collection, bytes=10_000)
    small.search([1, 0.1])
    assert (small.stats()["entries"], small.stats()["bytes"]) == (0, 0), "too large for this cache"
    cache.clear()
    assert cache.stats()["bytes"] == 0


def test_one_write_drops_all_answers(index: tiercel.Index) -> None:
    cache = tiercel.QueryCache(index)
    for row in range(20):
        cache.search(ROWS[row], 3)
    index.add(ROWS[0])
    cache.search(ROWS[50], 3)
    stats = cache.stats()
    assert (stats["entries"], stats["stale"]) == (1, 20)
    # A search that a write has overtaken stores nothing.
    key = cache._key("", (ROWS[0], 3), {})
    cache._keep(key, (index.version - 1,), index.search(ROWS[0], 3))
    assert cache._lookup(key, (index.version - 1,)) is None
    assert cache.stats()["entries"] == 1


def test_an_iterator_is_gone_through_once(collection: tiercel.Collection) -> None:
    cache = tiercel.QueryCache(collection)
    for _ in range(2):
        found = cache.search([1, 0.1], include=iter(["text"]))
        assert (found[0].text, found[0].metadata) == ("a cat sleeps", None)
    assert hits(cache) == 1


def test_writes_to_a_collection_end_all_answers(collection: tiercel.Collection) -> None:
    cache = tiercel.QueryCache(collection)
    for change in (
        lambda: collection.upsert(["owl"], [[1, 0.1]]),
        lambda: collection.update_metadata(["owl"], [{"legs": 2}]),
        lambda: collection.delete(["owl"]),
    ):
        cache.search([1, 0.1])
        change()
        found = cache.search([1, 0.1])
        assert [*found] == [*collection.search([1, 0.1])]
    assert (hits(cache), cache.stats()["stale"]) == (2, 3)
    collection.wait_idle()
    collection.checkpoint()
    collection.compact()
    cache.search([1, 0.1])
    assert hits(cache) == 3, "nothing that a search could see has changed"


def test_a_reader_that_is_refreshed(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=2) as writer:
        writer.upsert(["cat"], [[1, 0]])
        writer.checkpoint()
        with tiercel.open(tmp_path, mode="r") as reader:
            cache = tiercel.QueryCache(reader)
            assert cache.search([1, 0]).ids == cache.search([1, 0]).ids == ["cat"]
            assert hits(cache) == 1
            writer.upsert(["hen"], [[1, 0]])
            writer.checkpoint()
            reader.refresh()
            assert sorted(cache.search([1, 0]).ids) == ["cat", "hen"]


def test_mistakes_are_those_of_the_search(index: tiercel.Index, collection: tiercel.Collection) -> None:
    cache, of_collection = tiercel.QueryCache(index), tiercel.QueryCache(collection)
    cache.search(ROWS[0], 1)
    cache.search([1, 0, 0, 0], 1)
    of_collection.search([1, 0.1], include=["text"])
    wrong: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (index, (ROWS[0], True), {}),
        (index, (ROWS[0], 1.0), {}),
        (index, ([True, False, False, False], 1), {}),
        (index, (["a"] * 4, 1), {}),
        (index, ([1, np.nan, 0, 0], 1), {}),
        (index, ([[1, 2], [3]], 1), {}),
        (index, (ROWS[0], 1, 2), {}),
        (index, (ROWS[0], 1), {"k": 1}),
        (index, (ROWS[0], 1), {"nothing": 1}),
        (index, (ROWS[0], 1), {"filter": "a"}),
        (index, (ROWS[0], 1), {"filter": [0.5]}),
        (collection, (), {}),
        (collection, ([1, 0.1],), {"filter": 3}),
        (collection, ([1, 0.1],), {"include": ["nothing"]}),
        (collection, ([1, 0.1],), {"include": {"text": 1}}),
        (collection, ([1, 0.1],), {"include": 5}),
        (collection, ([1, 0.1],), {"rerank": 3}),
    ]
    for target, places, options in wrong:
        with pytest.raises((tiercel.InvalidInputError, TypeError)) as true:
            target.search(*places, **options)
        with pytest.raises(type(true.value)) as caught:
            (cache if target is index else of_collection).search(*places, **options)
        assert str(caught.value) == str(true.value)
    with pytest.raises(tiercel.InvalidInputError, match="user: expected a str, got int"):
        cache.search(ROWS[0], 1, user=1)  # type: ignore[arg-type]
    with pytest.raises(tiercel.InvalidInputError, match="target: expected an Index or a Collection, got dict"):
        tiercel.QueryCache({})  # type: ignore[call-overload]
    with pytest.raises(tiercel.InvalidInputError, match="entries: expected an int from 1"):
        tiercel.QueryCache(index, entries=0)
    with pytest.raises(tiercel.InvalidInputError, match="bytes: expected an int from 1"):
        tiercel.QueryCache(index, bytes=0)
    assert cache.stats()["entries"] == 2


def test_the_one_not_asked_for_longest_goes(index: tiercel.Index) -> None:
    cache = tiercel.QueryCache(index, entries=3)
    for row in range(3):
        cache.search(ROWS[row], 1)
    cache.search(ROWS[0], 1)
    cache.search(ROWS[3], 1)
    before = hits(cache)
    for row in (0, 2, 3):
        cache.search(ROWS[row], 1)
    assert hits(cache) == before + 3
    cache.search(ROWS[1], 1)
    assert hits(cache) == before + 3
    assert cache.stats()["entries"] == 3
    cache.clear()
    assert cache.stats()["entries"] == 0


def test_no_answer_is_older_than_what_was_written_before_it_was_asked() -> None:
    index = tiercel.Index(2, "l2")
    index.add([[0.0, 0.0]], ids=[0])
    cache = tiercel.QueryCache(index)
    written, stop = [0], threading.Event()
    searching = threading.Barrier(5)

    def write() -> None:
        searching.wait(60)
        for id_ in range(1, 1500):
            index.add([[0.0, 1 / id_]], ids=[id_], threads=1)
            index.delete([id_ - 1])
            written[0] = id_
        stop.set()

    def search() -> int:
        count = 0
        while not stop.is_set():
            done = written[0]
            ids = cache.search([0.0, 0.0], 1).ids
            assert len(ids) == 0 or int(ids[0]) >= done
            count += 1
            if count == 1:
                searching.wait(60)
        return count

    with ThreadPoolExecutor(5) as pool:
        searches = [pool.submit(search) for _ in range(4)]
        pool.submit(write).result()
        assert all(each.result() > 0 for each in searches)
    cache.search([0.0, 0.0], 1)
    assert cache.search([0.0, 0.0], 1).ids.tolist() == [1499]
