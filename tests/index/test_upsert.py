"""`Index.upsert` replaces the vectors of ids, completely or not at all."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel

DIM = 3
ROWS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [3, 2, 1]], np.float32)


@pytest.fixture
def index() -> tiercel.Index:
    index = tiercel.Index(DIM, "l2")
    index.add(ROWS, ids=[7, 8, 9, 0])
    return index


def test_known_ids_are_replaced_and_others_added(index: tiercel.Index) -> None:
    assert index.upsert([8, 5], [[1, 1, 1], [2, 2, 2]]) == 2
    assert index.ids.tolist() == [7, 9, 0, 8, 5]
    np.testing.assert_array_equal(index.get([8, 5, 7]), [[1, 1, 1], [2, 2, 2], ROWS[0]])
    assert index.search([1, 1, 1], 2, recall=1).ids.tolist() == [8, 5]
    assert sorted(index.search([1, 1, 1], recall=1).ids.tolist()) == [0, 5, 7, 8, 9]
    assert index.upsert(7, [0, 0, 0]) == 1
    assert index.search([0, 0, 0], 1).ids.tolist() == [7]
    assert index.stats()["tombstones"] == 2
    # New ids continue after the largest one.
    assert index.add([[1, 2, 3]]).tolist() == [10]


def test_the_last_of_equal_ids_wins(index: tiercel.Index) -> None:
    assert index.upsert([8, 1, 8], [[1, 1, 1], [2, 2, 2], [3, 3, 3]]) == 2
    assert index.ids.tolist() == [7, 9, 0, 1, 8]
    np.testing.assert_array_equal(index.get(8), [3, 3, 3])
    assert index.upsert([], np.empty((0, DIM))) == 0


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        ([8, 1], [[1, 1, 1]], "ids: expected 1 ids, one per vector, got 2"),
        ([8, 1], [[1, 1, 1], [1, np.nan, 1]], "vectors: expected finite values"),
        ([8, 2**64 - 1], ROWS[:2], r"ids: expected 0 to 2\*\*64 - 2, got 2\*\*64 - 1 at row 1"),
        (ROWS, [8, 1, 2, 3], "ids: expected an int or an array of integers, got"),
        ([8, 1], [[1, 1], [2, 2]], "vectors: expected vectors of length 3, got 2"),
        (None, ROWS, "ids: expected an int or an array of integers"),
    ],
)
def test_what_is_refused_changes_nothing(index: tiercel.Index, ids: Any, vectors: Any, message: str) -> None:
    before = index.to_bytes()
    with pytest.raises(tiercel.InvalidInputError, match=message):
        index.upsert(ids, vectors)
    assert index.to_bytes() == before


def test_an_interruption_leaves_the_old_vectors() -> None:
    index = tiercel.Index(8, "l2", ef_construction=20, m=4)
    vectors = np.random.default_rng(1).normal(size=(14_000, 8)).astype(np.float32)
    index.add(vectors[:10_000])
    ids, version = np.arange(0, 10_000, 2), index.version

    def interrupt(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        index.upsert(ids[:4000], vectors[10_000:], threads=1, progress=interrupt)
    found = np.array(index.get(np.arange(10_000)))
    # It may have come too late only if no report came before the end.
    expected = vectors[:10_000].copy()
    if index.version != version:
        expected[ids[:4000]] = vectors[10_000:]
    np.testing.assert_array_equal(found, expected)


def test_a_search_finds_each_id_once_whatever_is_replaced() -> None:
    index = tiercel.Index(2, "l2")
    ids = np.arange(20)
    index.add(np.zeros((20, 2)), ids=ids)
    wrong: list[Any] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            matches = index.search([0, 0], 20, recall=1)
            if sorted(matches.ids.tolist()) != ids.tolist() or len(set(matches.distances.tolist())) != 1:
                wrong.append(matches)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(300):
        index.upsert(ids, np.full((20, 2), number))
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert (len(index), index.count()) == (20, 20)


def test_an_index_that_was_upserted_again_and_again_is_saved_and_loaded(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)
    index = tiercel.Index(dim=64)
    for _ in range(5):
        index.upsert(np.arange(2000), vectors)
    index.save(tmp_path / "index")
    loaded = tiercel.Index.load(tmp_path / "index")
    assert loaded.stats()["graph_recall"] == index.stats()["graph_recall"] <= 1
    assert np.array_equal(loaded.search(vectors[:100], 1).ids[:, 0], np.arange(100))
