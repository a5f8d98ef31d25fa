"""Entries found by near queries: as many as there is room for, and no trace of those that have left."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tiercel.semantic.shelves import Entry, Shelves

DIM = 4


def queries(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def entry(query: np.ndarray, content: int, size: int = 0) -> Entry[int]:
    return Entry(query, content, None, size)


def slots(shelves: Shelves[int]) -> int:
    generations = (shelves._young, shelves._old)
    indexes = [shelf.index.stats() for generation in generations for shelf in generation.shelves.values()]
    return sum(stats["len"] + stats["tombstones"] for stats in indexes)


def test_a_near_query_finds_an_entry_of_its_namespace() -> None:
    shelves: Shelves[int] = Shelves(DIM, "l2", 100, 1 << 20)
    rows = queries(20)
    for at, row in enumerate(rows):
        shelves.put(at % 2, entry(row, at))
    for at, row in enumerate(rows):
        found = shelves.nearest(at % 2, row + 1e-4)
        assert found[0][1].content == at
        assert all(each.content % 2 == at % 2 for _, each in found)
        assert shelves.equal(at % 2, row).content == at  # type: ignore[union-attr]
        assert shelves.equal(1 - at % 2, row) is None
    assert shelves.nearest("no such", rows[0]) == []


def test_an_entry_takes_the_place_of_one_of_the_same_query() -> None:
    shelves: Shelves[int] = Shelves(DIM, "l2", 8, 1 << 20)
    rows = queries(6)
    for content in range(3):
        for row in rows:
            shelves.put("", entry(row, content))
            assert [each.content for _, each in shelves.nearest("", row) if np.array_equal(each.query, row)] == [
                content
            ]
        assert shelves.equal("", rows[5]).content == content  # type: ignore[union-attr]


def test_the_same_few_queries_again_and_again_take_no_more_room() -> None:
    shelves: Shelves[int] = Shelves(DIM, "cosine", 100, 1 << 20)
    rows = queries(5)
    for content in range(1000):
        for row in rows:
            shelves.put("", entry(row, content, 100))
    assert len(shelves) == 5
    assert slots(shelves) <= 100
    assert shelves.memory <= 1 << 20


def test_what_is_used_stays() -> None:
    shelves: Shelves[int] = Shelves(DIM, "cosine", 20, 1 << 20)
    rows = queries(300)
    kept = entry(rows[0], 0)
    shelves.put("", kept)
    for at, row in enumerate(rows[1:], start=1):
        shelves.put(f"user {at % 50}", entry(row, at))
        shelves.use("", kept)
        assert shelves.equal("", rows[0]) is kept
        assert len(shelves) <= 20
    assert slots(shelves) <= 20
    assert shelves.equal("user 1", rows[1]) is None


def test_room_for_one_keeps_one() -> None:
    shelves: Shelves[int] = Shelves(DIM, "l2", 1, 1 << 20)
    for at, row in enumerate(queries(5)):
        shelves.put("", entry(row, at))
        assert len(shelves) == 1
        assert shelves.equal("", row).content == at  # type: ignore[union-attr]


def test_what_is_dropped_is_gone() -> None:
    shelves: Shelves[int] = Shelves(DIM, "l2", 100, 1 << 20)
    row = queries(1)[0]
    old, new = entry(row, 1), entry(row, 2)
    shelves.put("", old)
    shelves.put("", new)
    shelves.drop("", old)
    assert shelves.equal("", row) is new, "somebody else's entry"
    shelves.drop("", new)
    assert shelves.equal("", row) is None
    assert shelves.nearest("", row) == []
    assert len(shelves) == 0


def test_threads_may_do_all_of_it_at_once() -> None:
    shelves: Shelves[int] = Shelves(DIM, "l2", 60, 1 << 20)
    rows = queries(40)
    begin = threading.Barrier(4)

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        begin.wait()
        for at in rng.integers(0, 40, 500).tolist():
            shelves.put("", entry(rows[at], at))
            for _, found in shelves.nearest("", rows[at]):
                assert np.array_equal(found.query, rows[found.content])
                shelves.use("", found)
            if at % 7 == 0 and (equal := shelves.equal("", rows[at])) is not None:
                shelves.drop("", equal)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, seed) for seed in range(4)]:
            done.result()
    assert 0 < len(shelves) <= 60
    assert slots(shelves) <= 70
    for at, row in enumerate(rows):
        found = shelves.equal("", row)
        assert found is None or found.content == at
