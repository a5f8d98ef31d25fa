"""Full vectors on disk, and searches that do not rerank."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel

DIM = 16


def clustered(rows: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(30, DIM))
    return (centres[random.integers(30, size=rows)] + 0.3 * random.normal(size=(rows, DIM))).astype(np.float32)


VECTORS, QUERIES = clustered(3000, 1), clustered(20, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    index = tiercel.Index(DIM, "l2", storage="sq8")
    index.add(VECTORS)
    index.save(tmp_path / "index")
    return tmp_path / "index"


def test_an_index_on_disk_answers_like_one_in_memory(path: Path) -> None:
    memory, disk = tiercel.Index.load(path), tiercel.Index.load(path, raw="disk")
    assert (memory.raw, disk.raw) == ("memory", "disk")
    for settings in ({"recall": 1.0}, {"recall": 0.9}, {"ef_search": 60}):
        assert disk.search(QUERIES, 10, **settings) == memory.search(QUERIES, 10, **settings)
    assert disk.stats()["bytes"]["vectors"] == 0
    assert disk.stats()["disk_bytes"] == memory.stats()["bytes"]["vectors"] == VECTORS.nbytes
    assert memory.stats()["disk_bytes"] == 0
    np.testing.assert_array_equal(disk.get([0, 2999, 7]), VECTORS[[0, 2999, 7]])
    # Saving over the file that holds the vectors, and removing it, change nothing.
    disk.upsert([7], VECTORS[8])
    disk.save(path)
    path.unlink()
    np.testing.assert_array_equal(disk.get([7, 2000]), VECTORS[[8, 2000]])


def test_an_index_grows_on_disk() -> None:
    index = tiercel.Index(DIM, storage="sq8", raw="disk")
    for part in np.array_split(VECTORS, 7):
        index.add(part)
    index.optimize()
    other = tiercel.Index(DIM, storage="sq8")
    other.add(VECTORS)
    assert index.search(QUERIES, 10, recall=1.0) == other.search(QUERIES, 10, recall=1.0)
    copy = pickle.loads(pickle.dumps(index))
    assert copy.raw == "memory"
    np.testing.assert_array_equal(copy.get(copy.ids), VECTORS)
    assert index.clear() == 3000
    assert index.stats()["disk_bytes"] == 0


def test_a_changed_file_is_damage_not_a_wrong_answer(path: Path) -> None:
    index = tiercel.Index.load(path, raw="disk")
    content = bytearray(path.read_bytes())
    place = content.index(VECTORS[5].tobytes())
    content[place + 3] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    with pytest.raises(tiercel.CorruptionError, match=r"^raw: expected the vector that was written"):
        index.search(VECTORS[5], 3, ef_search=20)
    with pytest.raises(tiercel.CorruptionError):
        index.get(5)
    with pytest.raises(tiercel.CorruptionError):
        index.save(path.with_name("copy"))
    assert not path.with_name("copy").exists()
    np.testing.assert_array_equal(index.get(6), VECTORS[6])
    os.truncate(path, place)
    with pytest.raises(tiercel.CorruptionError, match=r"raw: cannot read"):
        index.get(2999)


def test_without_room_for_vectors_nothing_is_added(tmp_path: Path) -> None:
    program = """
import numpy as np, tiercel
index = tiercel.Index(4, raw="disk")
try:
    index.add(np.ones((3, 4)))
except tiercel.StorageFailedError as error:
    print(len(index), type(error).__name__, error)
"""
    environment = os.environ | {"TMPDIR": str(tmp_path / "none")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("0 StorageFailedError")
    assert "raw: cannot write the file of full vectors" in done.stdout


def test_a_search_that_does_not_rerank_returns_distances_of_codes(path: Path) -> None:
    full, coded = tiercel.Index.load(path), tiercel.Index.load(path, rerank="none")
    assert (full.rerank, coded.rerank) == ("full", "none")
    truth, found = full.search(QUERIES, 10, recall=1.0), coded.search(QUERIES, 10, ef_search=100)
    assert found.quality == "approximate"
    shares = [np.isin(row, true).mean() for row, true in zip(found.ids, truth.ids, strict=True)]
    assert np.mean(shares) > 0.9
    assert (found.distances != truth.distances).any()
    np.testing.assert_allclose(found.distances, truth.distances, rtol=0.2, atol=0.05)
    assert (np.diff(found.distances) >= 0).all()
    # An exact search needs full vectors, and compares them.
    assert coded.search(QUERIES, 10, recall=1.0) == truth


def test_what_searches_compare_stays_in_memory(tmp_path: Path) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"^storage: expected codes with raw 'disk', got 'raw'$"):
        tiercel.Index(3, storage="raw", raw="disk")
    index = tiercel.Index(3, storage="raw")
    index.add(np.eye(3))
    index.save(tmp_path / "raw")
    with pytest.raises(tiercel.InvalidInputError, match=r"^raw: expected 'memory' for an index whose searches"):
        tiercel.Index.load(tmp_path / "raw", raw="disk")


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("storage", ["sq8", "f16", "rabitq4"])
def test_an_index_forgets_full_vectors(tmp_path: Path, metric: Any, storage: str) -> None:
    full, codes = (tiercel.Index(DIM, metric, storage=storage, raw=raw) for raw in ("memory", "none"))
    for index in (full, codes):
        index.add(VECTORS)
        index.optimize()
    assert (codes.raw, codes.rerank, codes.stats()["bytes"]["vectors"]) == ("none", "none", 0)
    apart = np.linalg.norm(codes.get(codes.ids) - VECTORS, axis=1) / np.linalg.norm(VECTORS, axis=1)
    assert 0 < apart.mean() < 0.2
    truth, found = full.search(QUERIES, 10, recall=1.0), codes.search(QUERIES, 10, recall=1.0)
    assert (truth.quality, found.quality) == ("exact", "approximate")
    shares = [np.isin(row, true).mean() for row, true in zip(found.ids, truth.ids, strict=True)]
    assert np.mean(shares) > 0.6
    for index, name in ((full, "full"), (codes, "codes")):
        index.save(tmp_path / name)
    assert 2 * (tmp_path / "codes").stat().st_size < (tmp_path / "full").stat().st_size + VECTORS.nbytes
    for loaded in (
        tiercel.Index.load(tmp_path / "codes"),
        tiercel.Index.load(tmp_path / "full", raw="none"),
        pickle.loads(pickle.dumps(codes)),
    ):
        assert (loaded.raw, loaded.rerank) == ("none", "none")
        assert loaded.search(QUERIES, 10, recall=0.9) == codes.search(QUERIES, 10, recall=0.9)
        np.testing.assert_array_equal(loaded.get(7), codes.get(7))


@pytest.mark.parametrize("raw", ["memory", "disk", "none"])
def test_candidates_can_be_compared_in_half_precision(tmp_path: Path, raw: Any) -> None:
    full, half = tiercel.Index(DIM, "l2", storage="sq8"), tiercel.Index(DIM, "l2", storage="sq8", raw=raw, rerank="f16")
    for index in (full, half):
        index.add(VECTORS)
    assert (half.raw, half.rerank) == (raw, "f16")
    one, other = full.search(QUERIES, 10, ef_search=100), half.search(QUERIES, 10, ef_search=100)
    assert (one.distances != other.distances).any()
    np.testing.assert_allclose(one.distances, other.distances, rtol=0.01)
    full.save(tmp_path / "full")
    loaded = tiercel.Index.load(tmp_path / "full", raw=raw, rerank="f16")
    assert loaded.search(QUERIES, 10, ef_search=100) == other
    if raw != "none":
        assert half.search(QUERIES, 10, recall=1.0) == full.search(QUERIES, 10, recall=1.0)
        np.testing.assert_array_equal(half.get(half.ids), VECTORS)
    with pytest.raises(tiercel.InvalidInputError, match=r"^vectors: expected values within float16"):
        half.add(np.full(DIM, 1e5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"raw": "none", "rerank": "full"}, "rerank: expected 'none' or 'f16' with raw 'none', got 'full'"),
        ({"raw": "none", "storage": "f32"}, "storage: expected codes with raw 'none', got 'raw'"),
        ({"raw": "none", "memory": "1GB"}, "raw: expected 'memory' or 'disk' with memory, which may move full vectors"),
    ],
)
def test_what_forgotten_vectors_cannot_do(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError) as refused:
        tiercel.Index(3, **arguments)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"raw": "ssd"}, "raw: expected 'memory' or 'disk' or 'none', got 'ssd'"),
        ({"raw": None}, "raw: expected 'memory' or 'disk' or 'none', got None"),
        ({"rerank": False}, "rerank: expected 'full' or 'f16' or 'none', got False"),
    ],
)
def test_wrong_names_are_refused(path: Path, arguments: dict[str, object], message: str) -> None:
    for call in (lambda: tiercel.Index(3, **arguments), lambda: tiercel.Index.load(path, **arguments)):
        with pytest.raises(tiercel.InvalidInputError) as refused:
            call()
        assert str(refused.value) == message
