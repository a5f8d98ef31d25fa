"""Budgets of memory, kinds, builds and profiles: what an index is made of, and why."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel

DIM = 64


def clustered(rows: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, DIM))
    return (centres[random.integers(40, size=rows)] + 0.4 * random.normal(size=(rows, DIM))).astype(np.float32)


VECTORS, QUERIES = clustered(5000, 1), clustered(30, 2)


def recall(index: tiercel.Index) -> float:
    truth = index.search(QUERIES, 10, recall=1.0).ids
    found = index.search(QUERIES, 10, recall=0.95).ids
    return float(np.mean([np.isin(row, true).mean() for row, true in zip(found, truth, strict=True)]))


# Bytes of a slot: 256 of a full vector or 4 of its checksum, 128 of its half, 4 of its norm (twice beside
# a half), 64 of a code, 20 of an id.
@pytest.mark.parametrize(
    ("per_vector", "raw", "rerank", "why"),
    [
        (1000, "memory", "full", r"5000 vectors take 1\.\d\d MB of 5\.00 MB with full vectors in memory"),
        (400, "memory", "full", r"5000 vectors take 1\.\d\d MB of 2\.00 MB with full vectors in memory"),
        (
            300,
            "disk",
            "f16",
            (
                r"5000 vectors take 1\.\d\d MB of 1\.50 MB with full vectors on disk, a copy in half precision in memory; "
                r"what is faster would take 1\.72 MB"
            ),
        ),
        (
            100,
            "disk",
            "full",
            (
                r"5000 vectors take \d+\.\d\d kB of 500\.00 kB with full vectors on disk; "
                r"what is faster would take 1\.10 MB"
            ),
        ),
    ],
)
def test_a_budget_chooses_what_fits(per_vector: int, raw: str, rerank: str, why: str) -> None:
    budget = per_vector * len(VECTORS)
    index = tiercel.Index(DIM, memory=budget)
    assert index.stats()["why"] is None
    index.add(VECTORS)
    stats = index.stats()
    assert (index.memory, index.raw, index.rerank) == (budget, raw, rerank)
    assert re.fullmatch(why, stats["why"])
    assert stats["bytes"]["total"] <= budget
    assert recall(index) > 0.95
    np.testing.assert_array_equal(index.get(index.ids), VECTORS)


def test_a_budget_leaves_a_rerank_that_was_asked_for() -> None:
    for rerank in ("full", "none"):
        index = tiercel.Index(DIM, memory=300 * len(VECTORS), rerank=rerank)
        index.add(VECTORS)
        assert (index.raw, index.rerank) == ("disk", rerank)


def test_a_budget_never_leaves_searches_to_compare_full_vectors_on_disk() -> None:
    # Far from the origin, no codes rank well under cosine.
    far = (np.random.default_rng(0).normal(size=(12_000, DIM)) + 500).astype(np.float32)
    index = tiercel.Index(DIM, memory=1_200_000)
    index.add(far[:3000])
    assert (index.raw, index.stats()["storage"]) == ("memory", "raw")
    index.add(far[3000:4900])
    assert (index.raw, index.stats()["storage"]) == ("disk", "sq8")
    index = tiercel.Index(DIM, kind="flat", memory=400_000)
    index.add(far[:1100])
    assert (index.raw, index.stats()["storage"]) == ("memory", "raw")
    with pytest.raises(tiercel.InvalidInputError, match=r"^memory: expected at least 1\.10 MB for 12000 vectors"):
        index.add(far[1100:])
    assert (len(index), index.raw) == (1100, "memory")


def test_a_budget_makes_no_copy_that_half_precision_cannot_hold() -> None:
    large = VECTORS * 1e6
    index = tiercel.Index(DIM, metric="l2", memory=300 * len(VECTORS))
    index.add(large)
    assert (index.raw, index.rerank) == ("disk", "full")
    assert index.search(large[7], 1).ids.tolist() == [7]
    # One that comes later does not fit into the copy, which goes.
    index = tiercel.Index(DIM, metric="l2", memory=300 * len(VECTORS))
    index.add(VECTORS)
    assert index.rerank == "f16"
    index.add(large[:1])
    assert (index.raw, index.rerank) == ("disk", "full")
    found = index.search(large[0], 1)
    assert (found.ids.tolist(), found.distances.tolist()) == ([5000], [0.0])
    assert recall(index) > 0.95
    # Once all vectors are deleted, the budget makes a copy again.
    index.clear()
    assert index.rerank == "full"
    index.add(VECTORS)
    assert index.rerank == "f16"


def test_a_budget_is_kept_as_an_index_grows() -> None:
    index, seen = tiercel.Index(384, memory="1.6MB"), set()
    vectors = np.random.default_rng(3).normal(size=(16_000, 384)).astype(np.float32)
    for part in np.array_split(vectors[:15_000], 30):
        index.add(part)
        stats = index.stats()
        seen.add((index.raw, stats["storage"]))
        assert stats["bytes"]["total"] <= 1_600_000
        if len(index) == 7500:
            break
    assert seen >= {("disk", "sq4"), ("disk", "rabitq2")}
    np.testing.assert_array_equal(index.get(index.ids), vectors[:7500])
    # Beyond 8,192 vectors there would be a graph.
    full = r"^memory: expected at least 1\.94 MB for 8500 vectors, removed ones included, got 1\.60 MB; "
    full += r"kind='flat' takes 782\.00 kB$"
    with pytest.raises(tiercel.InvalidInputError, match=full):
        index.add(vectors[7500:8500])
    assert len(index) == 7500
    # A refused addition leaves no trace.
    assert index.add(vectors[:1]).tolist() == [7500]


def test_more_memory_never_means_smaller_codes() -> None:
    order = ["rabitq1", "rabitq2", "sq4"]
    vectors, found = np.random.default_rng(3).normal(size=(3000, 384)).astype(np.float32), []
    for budget in range(300_000, 1_500_000, 100_000):
        index = tiercel.Index(384, memory=budget)
        index.add(vectors)
        assert index.stats()["bytes"]["total"] <= budget
        found.append(order.index(index.stats()["storage"]))
    assert found == sorted(found)
    assert set(found) == {0, 1, 2}


def test_a_budget_counts_no_links_without_a_graph() -> None:
    index = tiercel.Index(32, kind="flat", memory=900_000)
    index.add(np.random.default_rng(0).normal(size=(9000, 32)))
    assert index.stats()["bytes"]["total"] <= 900_000


def test_a_budget_holds_for_one_large_addition() -> None:
    index = tiercel.Index(DIM, memory=500_000)
    index.add(VECTORS)
    assert index.raw == "disk"
    assert index.stats()["bytes"]["vectors"] == 0
    with pytest.raises(tiercel.InvalidInputError, match=r"^memory: expected at least 2\.28 MB for 10000 vectors"):
        index.add(VECTORS)
    assert len(index) == 5000


@pytest.mark.parametrize(
    ("given", "read"),
    [(None, None), (1, 1), ("2GB", 2 * 10**9), ("1.5 MiB", 1_572_864), (" 2gb ", 2 * 10**9), ("2000", 2000)],
)
def test_an_amount_of_memory_is_a_number_or_has_a_unit(given: Any, read: int | None) -> None:
    assert tiercel.Index(3, memory=given).memory == read


@pytest.mark.parametrize(
    "wrong", [0, -1, "", "GB", "-1GB", "nanGB", "1e400GB", "99999999999TB", "2G", 2.5, True, b"2GB"]
)
def test_another_amount_is_refused(wrong: Any) -> None:
    with pytest.raises(tiercel.InvalidInputError) as refused:
        tiercel.Index(3, memory=wrong)
    assert str(refused.value).startswith("memory: expected None, a number of bytes, or a string such as '2GB' ")


def test_a_budget_chooses_the_storage_alone() -> None:
    with pytest.raises(
        tiercel.InvalidInputError, match=r"^storage: expected 'auto' with memory, which chooses it, got"
    ):
        tiercel.Index(3, storage="sq8", memory="1GB")


def test_a_flat_index_has_no_graph(tmp_path: Path) -> None:
    index, vectors = tiercel.Index(8, kind="flat"), np.random.default_rng(0).normal(size=(9000, 8))
    index.add(vectors)
    index.optimize()
    assert (index.kind, index.stats()["linked"]) == ("flat", 0)
    index.save(tmp_path / "flat")
    loaded = tiercel.Index.load(tmp_path / "flat")
    loaded.add(vectors[:500])
    assert (loaded.kind, loaded.stats()["linked"]) == ("flat", 0)
    assert tiercel.Index(8).kind == "hnsw"


def test_builds_are_names_of_settings() -> None:
    builds = {
        build: (index.m, index.ef_construction)
        for build in ("fast", "balanced", "dense")
        for index in [tiercel.Index(3, build=build)]
    }
    assert builds == {"fast": (16, 80), "balanced": (16, 200), "dense": (32, 300)}
    assert tiercel.Index(3, build="dense", m=8).m == 8


def test_profiles_are_indexes_for_common_cases() -> None:
    def made(index: tiercel.Index) -> tuple[Any, ...]:
        return index.kind, index.raw, index.storage, index.m, index.ef_construction

    assert made(tiercel.Index.profile("small", 3)) == ("flat", "memory", "auto", 16, 200)
    assert made(tiercel.Index.profile("medium", dim=3)) == made(tiercel.Index(3))
    assert made(tiercel.Index.profile("large", 3)) == ("hnsw", "disk", "auto", 16, 200)
    assert made(tiercel.Index.profile("memory-constrained", 3)) == ("hnsw", "disk", "rabitq1", 16, 200)
    assert made(tiercel.Index.profile("write-heavy", 3)) == ("hnsw", "memory", "auto", 16, 80)
    assert tiercel.Index.profile("memory-constrained", 3, memory="1GB").storage == "auto"
    index = tiercel.Index.profile("large", 3, metric="l2", raw="memory", storage="raw")
    assert (index.metric, index.raw, index.storage) == ("l2", "memory", "raw")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tiercel.Index(3, kind="tree"), "kind: expected 'hnsw' or 'ivf' or 'flat', got 'tree'"),
        (lambda: tiercel.Index(3, build=1), "build: expected 'balanced' or 'fast' or 'dense', got 1"),
        (lambda: tiercel.Index.profile("tiny", 3), "name: expected 'small' or 'medium' or 'large' or"),
        (lambda: tiercel.Index.profile("small", 0), "dim: expected an int from 1 to 32768, got 0"),
    ],
)
def test_wrong_names_are_refused(call: Any, message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError) as refused:
        call()
    assert str(refused.value).startswith(message)
