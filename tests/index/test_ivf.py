"""Indexes of lists: what their recall promises, and that they follow every change."""

from pathlib import Path

import numpy as np
import pytest

import tiercel

DIM = 48
COUNT = 20_000


def clustered(rows: int, seed: int) -> np.ndarray:
    """Make vectors around centres, which are the same for every seed."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(150, DIM))
    return (centres[random.integers(150, size=rows)] + 0.5 * random.normal(size=(rows, DIM))).astype(np.float32)


VECTORS, QUERIES = clustered(COUNT, 1), clustered(100, 2)


def made(metric: str = "cosine", **options: object) -> tiercel.Index:
    index = tiercel.Index(DIM, metric, kind="ivf", **options)
    index.add(VECTORS)
    return index


def recall(index: tiercel.Index, k: int, target: float, allowed: np.ndarray | None = None) -> float:
    truth = index.search(QUERIES, k, recall=1.0, filter=allowed).distances
    found = index.search(QUERIES, k, recall=target, filter=allowed).distances
    return float(np.mean(found <= truth[:, -1:] + 1e-5 * (1 + np.abs(truth[:, -1:]))))


def assert_promised(index: tiercel.Index) -> None:
    for k in (1, 10, 100):
        for target in (0.9, 0.95, 0.99):
            assert recall(index, k, target) >= target, f"{k} nearest at {target}"


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_recall_is_as_promised(metric: str) -> None:
    index = made(metric)
    stats = index.stats()
    assert (index.kind, stats["linked"]) == ("ivf", 0)
    assert 400 < stats["lists"] < 1200
    assert 80_000 < stats["bytes"]["lists"] < 400_000
    assert_promised(index)
    assert index.search(QUERIES, 10).quality == "approximate"
    assert index.search(QUERIES, 10, recall=1.0).quality == "exact"


def test_a_small_index_has_no_lists() -> None:
    index = tiercel.Index(DIM, kind="ivf")
    for vectors in (VECTORS[:3], VECTORS[3:2000], VECTORS[2000:8192]):
        index.add(vectors)
        index.optimize()
        assert index.stats()["lists"] == 0
        assert_promised(index)
    index.add(VECTORS[8192:9000])
    assert index.stats()["lists"] > 0
    assert_promised(index)


def test_lists_follow_additions_deletions_and_replacements() -> None:
    index = tiercel.Index(DIM, "l2", kind="ivf")
    index.add(VECTORS[:9000])
    lists = index.stats()["lists"]
    for part in np.array_split(VECTORS[9000:], 70):
        index.add(part)
    assert_promised(index)
    assert index.delete(np.arange(0, COUNT, 4)) == COUNT // 4
    assert_promised(index)
    assert not np.isin(index.search(QUERIES, 10).ids, np.arange(0, COUNT, 4)).any()
    ids = np.arange(1, COUNT, 4)
    index.upsert(ids, clustered(len(ids), 5))
    assert_promised(index)
    copy = index.__copy__()
    index.optimize()
    assert index.stats()["lists"] > lists
    assert_promised(index)
    assert_promised(copy)
    assert index.clear() == 3 * COUNT // 4
    assert (index.stats()["lists"], index.stats()["bytes"]["lists"]) == (0, 0)


def test_a_filter_finds_what_it_allows() -> None:
    index = made()
    for share in (2, 10, 200):
        allowed = np.arange(COUNT) % share == 0
        found = index.search(QUERIES, 10, filter=allowed)
        assert (found.ids % share == 0).all()
        assert recall(index, 10, 0.95, allowed) >= 0.95


@pytest.mark.parametrize("raw", ["memory", "disk"])
def test_lists_are_saved(tmp_path: Path, raw: str) -> None:
    index = made(raw=raw)
    index.add(QUERIES[:5])
    index.save(tmp_path / "index")
    loaded = tiercel.Index.load(tmp_path / "index", raw=raw)
    assert (loaded.kind, loaded.raw) == ("ivf", raw)
    assert loaded.stats()["lists"] == index.stats()["lists"]
    assert loaded.to_bytes() == index.to_bytes()
    for k in (1, 10):
        assert loaded.search(QUERIES, k) == index.search(QUERIES, k)
    loaded.add(VECTORS[:500])
    assert_promised(loaded)


def sections(data: bytes) -> dict[str, tuple[int, int]]:
    """Return where each section of a file begins and ends."""
    found = {}
    for at in range(24, 24 + 20 * int.from_bytes(data[12:16], "little"), 20):
        start, length = (int.from_bytes(data[at + 4 + 8 * part :][:8], "little") for part in (0, 1))
        found[data[at : at + 4].decode()] = (start, start + length)
    return found


def test_damage_is_found() -> None:
    index = tiercel.Index(3, "l2", kind="ivf")
    index.add(VECTORS[:9000, :3])
    data = index.to_bytes()
    for tag in ("kind", "prob", "cntr", "list"):
        start, end = sections(data)[tag]
        for at in (start, (start + end) // 2, end - 1):
            damaged = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            with pytest.raises(tiercel.CorruptionError, match=f"section {tag}"):
                tiercel.Index.from_bytes(damaged)


def test_equal_vectors_have_many_lists() -> None:
    index = tiercel.Index(DIM, kind="ivf")
    index.add(np.repeat(VECTORS[:1], 9000, axis=0))
    assert index.stats()["lists"] > 50
    found = index.search(VECTORS[0], 10)
    assert len(set(found.ids.tolist())) == 10
    np.testing.assert_allclose(found.distances, 0, atol=1e-6)
    index.add(VECTORS)
    assert_promised(index)


def test_the_same_calls_make_the_same_lists_whatever_the_threads() -> None:
    made = []
    for threads in (1, 3):
        index = tiercel.Index(DIM, kind="ivf")
        index.add(VECTORS[:9000], threads=threads)
        index.add(VECTORS[9000:10_000], threads=threads)
        data = index.to_bytes()
        made.append([data[slice(*sections(data)[tag])] for tag in ("prob", "cntr", "list")])
    assert made[0] == made[1]


def test_a_budget_counts_lists() -> None:
    index = tiercel.Index(DIM, kind="ivf", memory="3MB")
    for part in np.array_split(VECTORS, 20):
        index.add(part)
        assert index.stats()["bytes"]["total"] <= 3_000_000
    assert index.raw == "disk"
    assert index.stats()["lists"] > 0
    assert_promised(index)


def test_effort_can_be_named() -> None:
    index = made()
    reached = []
    truth = index.search(QUERIES, 10, recall=1.0).ids
    for ef_search in (10, 40, 160):
        found = index.search(QUERIES, 10, ef_search=ef_search).ids
        reached.append(np.mean([np.isin(row, true).mean() for row, true in zip(found, truth, strict=True)]))
    assert reached == sorted(reached)
    assert reached[-1] > 0.97


def test_range_search_and_codes_alone() -> None:
    index = made("l2", rerank="none", storage="sq8")
    assert recall(index, 10, 0.9) > 0.8
    within = index.range_search(QUERIES[:3], 5.0)
    plain = ((VECTORS[None] - QUERIES[:3, None]) ** 2).sum(axis=2)
    assert [len(ids) for ids in within] == (plain <= 5.0).sum(axis=1).tolist()
