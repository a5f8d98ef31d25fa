"""Entries found by near queries: as many as there is room for, and no trace of removed ones."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tiercel.semantic.entry_index import Entry, EntryIndex

DIM = 4


def queries(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def entry(query: np.ndarray, content: int, size: int = 0) -> Entry[int]:
    return Entry(query, content, None, size)


def slots(entry_index: EntryIndex[int]) -> int:
    generations = (entry_index._young, entry_index._old)
    indexes = [partition.index.stats() for generation in generations for partition in generation.partitions.values()]
    return sum(stats["len"] + stats["tombstones"] for stats in indexes)


def test_a_near_query_finds_an_entry_of_its_namespace() -> None:
    entry_index: EntryIndex[int] = EntryIndex(DIM, "l2", 100, 1 << 20)
    rows = queries(20)
    for at, row in enumerate(rows):
        entry_index.put(at % 2, entry(row, at))
    for at, row in enumerate(rows):
        found = entry_index.nearest(at % 2, row + 1e-4)
        assert found[0][1].content == at
        assert all(each.content % 2 == at % 2 for _, each in found)
        assert entry_index.equal(at % 2, row).content == at  # type: ignore[union-attr]
        assert entry_index.equal(1 - at % 2, row) is None
    assert entry_index.nearest("no such", rows[0]) == []


def test_an_entry_takes_the_place_of_one_of_the_same_query() -> None:
    entry_index: EntryIndex[int] = EntryIndex(DIM, "l2", 8, 1 << 20)
    rows = queries(6)
    for content in range(3):
        for row in rows:
            entry_index.put("", entry(row, content))
            assert [each.content for _, each in entry_index.nearest("", row) if np.array_equal(each.query, row)] == [
                content
            ]
        assert entry_index.equal("", rows[5]).content == content  # type: ignore[union-attr]


def test_the_same_few_queries_again_and_again_take_no_more_room() -> None:
    entry_index: EntryIndex[int] = EntryIndex(DIM, "cosine", 100, 1 << 20)
    rows = queries(5)
    for content in range(1000):
        for row in rows:
            entry_index.put("", entry(row, content, 100))
    assert len(entry_index) == 5
    assert slots(entry_index) <= 100
    assert entry_index.memory <= 1 << 20


def test_what_is_used_stays() -> None:
    entry_index: EntryIndex[int] = EntryIndex(DIM, "cosine", 20, 1 << 20)
    rows = queries(300)
    kept = entry(rows[0], 0)
    entry_index.put("", kept)
    for at, row in enumerate(rows[1:], start=1):
        entry_index.put(f"user {at % 50}", entry(row, at))
        entry_index.use("", kept)
        assert entry_index.equal("", rows[0]) is kept
        assert len(entry_index) <= 20
    assert slots(entry_index) <= 20
    assert entry_index.equal("user 1", rows[1]) is None


def test_room_for_one_keeps_one() -> None:
    entry_index: EntryIndex[int] = EntryIndex(DIM, "l2", 1, 1 << 20)
    for at, row in enumerate(queries(5)):
        entry_index.put("", entry(row, at))
        assert len(entry_index) == 1
        assert entry_index.equal("", row).content == at  # type: ignore[union-attr]


def test_what_is_dropped_is_gone() -> None:
    entry_index: EntryIndex[int] = EntryIndex(DIM, "l2", 100, 1 << 20)
    row = queries(1)[0]
    old, new = entry(row, 1), entry(row, 2)
    entry_index.put("", old)
    entry_index.put("", new)
    entry_index.drop("", old)
    assert entry_index.equal("", row) is new, "somebody else's entry"
    entry_index.drop("", new)
    assert entry_index.equal("", row) is None
    assert entry_index.nearest("", row) == []
    assert len(entry_index) == 0


def test_threads_may_do_all_of_it_at_once() -> None:
    entry_index: EntryIndex[int] = EntryIndex(DIM, "l2", 60, 1 << 20)
    rows = queries(40)
    begin = threading.Barrier(4)

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        begin.wait()
        for at in rng.integers(0, 40, 500).tolist():
            entry_index.put("", entry(rows[at], at))
            for _, found in entry_index.nearest("", rows[at]):
                assert np.array_equal(found.query, rows[found.content])
                entry_index.use("", found)
            if at % 7 == 0 and (equal := entry_index.equal("", rows[at])) is not None:
                entry_index.drop("", equal)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, seed) for seed in range(4)]:
            done.result()
    assert 0 < len(entry_index) <= 60
    assert slots(entry_index) <= 70
    for at, row in enumerate(rows):
        found = entry_index.equal("", row)
        assert found is None or found.content == at
