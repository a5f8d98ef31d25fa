"""Full vectors of a collection on disk, or compared in half precision or not at all: the same
answers as far as promised, and a clear refusal where they must be in memory.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tiercel

DIM = 24
IDS = [str(row) for row in range(1500)]


def clustered(count: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(1).normal(size=(30, DIM))
    return np.float32(centers[rng.integers(30, size=count)] + rng.normal(scale=0.5, size=(count, DIM)))


VECTORS = clustered(len(IDS), 2)
QUERIES = clustered(20, 3)


def in_memory(collection: tiercel.Collection) -> int:
    collection.wait_idle()
    return collection.stats()["memory"]["vectors"]


@pytest.mark.parametrize("storage", ["auto", "sq8", "rabitq1", "f16", "pq12x8", "rq4x8"])
def test_answers_do_not_depend_on_where_full_vectors_are(tmp_path: Path, storage: str) -> None:
    texts = [f"word{row % 7}" for row in range(len(IDS))]
    metadata = [{"row": row} for row in range(len(IDS))]
    with tiercel.open(tmp_path / "c", storage=storage) as collection:
        collection.upsert(IDS, VECTORS, texts=texts, metadata=metadata)
        assert in_memory(collection) > 0
    asked: list[dict[str, Any]] = [
        {},
        {"recall": 1.0},
        {"filter": {"row": {"$lt": 200}}},
        {"text": "word3"},
        {"mmr": 0.5, "include": ["vector", "text"]},
    ]
    with tiercel.open(tmp_path / "c") as memory:
        found = [[memory.search(query, k=5, **options) for query in QUERIES] for options in asked]
        assert memory.raw == "memory"
    with tiercel.open(tmp_path / "c", raw="disk") as disk:
        assert (disk.raw, in_memory(disk)) == ("disk", 0)
        for options, before in zip(asked, found, strict=True):
            for query, one in zip(QUERIES, before, strict=True):
                same = disk.search(query, k=5, **options)
                assert list(same.ids) == list(one.ids)
                assert list(same.scores) == list(one.scores)
        # A record and what is written now.
        assert np.array_equal(disk.get(["7"], include=["vector"])[0].vector, VECTORS[7])
        disk.upsert(["new"], QUERIES[:1])
        disk.compact(storage="sq8")
        assert in_memory(disk) == 0
        assert list(disk.search(QUERIES[0], k=1).ids) == ["new"]
    with tiercel.open(tmp_path / "c", mode="r", raw="disk") as reader:
        assert (reader.raw, reader.stats()["memory"]["vectors"]) == ("disk", 0)
        assert reader.verify() == []


@pytest.mark.parametrize("raw", ["memory", "disk"])
def test_searches_compare_candidates_with_what_the_session_asked_for(tmp_path: Path, raw: Any) -> None:
    with tiercel.open(tmp_path / "c", metric="l2", storage="sq4") as collection:
        collection.upsert(IDS, VECTORS)
        assert collection.rerank == "full"
    found: dict[str, list[tiercel.Found]] = {}
    for rerank in ("full", "f16", "none"):
        for mode in ("rw", "r"):
            with tiercel.open(tmp_path / "c", mode=mode, raw=raw, rerank=rerank) as collection:
                assert (collection.raw, collection.rerank) == (raw, rerank)
                if mode == "rw":
                    # Those that come in meanwhile, moved to a graph or not.
                    collection.upsert(["new"], VECTORS[:1])
                    collection.compact()
                halves = collection.stats()["memory"]["vectors"] - (4 * VECTORS[:1].nbytes if raw == "memory" else 0)
                assert (halves > 0) == (raw == "memory" or rerank == "f16")
                found[rerank] = [collection.search(query, k=5) for query in QUERIES]
                # What is exact, or read, does not depend on it.
                exact = [collection.search(query, k=5, recall=1.0) for query in QUERIES]
                assert [list(one.scores) for one in exact] == [list(one.scores) for one in found["full"]]
                assert np.array_equal(collection.get(["9"], include=["vector"])[0].vector, VECTORS[9])
    distances = {rerank: np.array([one.scores for one in many]) for rerank, many in found.items()}
    rounded = np.abs(distances["f16"] - distances["full"]).max()
    coded = np.abs(distances["none"] - distances["full"]).max()
    assert 0 < rounded < 0.01 < coded


def test_half_precision_must_hold_every_vector(tmp_path: Path) -> None:
    huge = np.full((1, DIM), 1e6, np.float32)
    why = re.escape("rerank: expected 'full' or 'none', since half precision cannot hold every vector, those deleted")
    with tiercel.open(tmp_path / "c", metric="dot", rerank="f16") as collection:
        collection.upsert(IDS, VECTORS)
        with pytest.raises(tiercel.InvalidInputError, match=r"vectors: expected values within float16 \(±65504\)"):
            collection.upsert(["huge"], huge)
        assert len(collection) == len(IDS)
    with tiercel.open(tmp_path / "c") as collection:
        collection.upsert(["huge"], huge)
        # It is not yet in the file of a checkpoint.
        with pytest.raises(tiercel.InvalidInputError, match=why):
            tiercel.open(tmp_path / "c", mode="r", rerank="f16")
        reader = tiercel.open(tmp_path / "c", mode="r")
        collection.compact()
    for mode in ("rw", "r"):
        with pytest.raises(tiercel.InvalidInputError, match=why):
            tiercel.open(tmp_path / "c", mode=mode, rerank="f16")
    with reader, tiercel.open(tmp_path / "c", rerank="none") as collection:
        assert list(reader.search(huge[0], k=1).ids) == list(collection.search(huge[0], k=1).ids) == ["huge"]


@pytest.mark.parametrize("rerank", ["half", None, 1, "F16"])
def test_another_comparison_is_refused(tmp_path: Path, rerank: Any) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"rerank: expected 'full' or 'f16' or 'none', got "):
        tiercel.open(tmp_path / "c", rerank=rerank)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("raw", ["none", "Disk", None, 1, b"disk"])
def test_another_place_is_refused(tmp_path: Path, raw: Any) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"raw: expected 'memory' or 'disk', got "):
        tiercel.open(tmp_path / "c", raw=raw)
    assert not (tmp_path / "c").exists()


def test_full_vectors_that_searches_compare_stay_in_memory(tmp_path: Path) -> None:
    why = re.escape("raw: expected 'memory', since searches compare full vectors, got 'disk'; open with raw='memory'")
    with pytest.raises(tiercel.InvalidInputError, match=why):
        tiercel.open(tmp_path / "c", storage="raw", raw="disk")
    assert not (tmp_path / "c").exists()
    with tiercel.open(tmp_path / "c", storage="raw") as collection:
        collection.upsert(IDS, VECTORS)
    for mode in ("rw", "r"):
        with pytest.raises(tiercel.InvalidInputError, match=why):
            tiercel.open(tmp_path / "c", mode=mode, raw="disk")
    with tiercel.open(tmp_path / "c") as collection:
        collection.compact(storage="sq8")
    with tiercel.open(tmp_path / "c", raw="disk") as collection:
        with pytest.raises(tiercel.InvalidInputError, match="storage: expected codes, since full vectors are on disk"):
            collection.compact(storage="raw")
        assert (collection.storage, len(collection)) == ("sq8", len(IDS))
