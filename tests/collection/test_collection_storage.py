"""The codes of a collection: named when it is made, kept, changed by `compact`, refused if they do
not fit.
"""

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tiercel

DIM = 32
COUNT = 1500
K = 10
NAMES = [
    "auto",
    "raw",
    "sq8",
    "sq4",
    "rabitq1",
    "rabitq2",
    "rabitq3",
    "rabitq4",
    "f16",
    "bf16",
    "pq16x8",
    "pq32x4",
    "opq16x8",
    "rq4x8",
]
IDS = [str(row) for row in range(COUNT)]


def clustered(count: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(1).normal(size=(30, DIM))
    return np.float32(centers[rng.integers(30, size=count)] + rng.normal(scale=0.5, size=(count, DIM)))


VECTORS = clustered(COUNT, 2)
QUERIES = clustered(50, 3)


def recall_of(collection: tiercel.Collection) -> float:
    found = collection.search_many(QUERIES, k=K)
    exact = collection.search_many(QUERIES, k=K, recall=1)
    return float(np.mean([len({*one.ids} & {*true.ids}) for one, true in zip(found, exact, strict=True)])) / K


def check(collection: tiercel.Collection, name: str) -> None:
    """Check that the collection uses these codes and finds with them."""
    collection.wait_idle()
    in_use = collection.stats()["storage"]
    assert collection.storage == name
    assert in_use in {"sq4", "sq8", "raw"} if name == "auto" else in_use == name
    assert recall_of(collection) >= 0.9


@pytest.mark.parametrize("name", NAMES)
def test_every_storage_finds_lasts_and_changes(tmp_path: Path, name: str) -> None:
    other = "sq8" if name == "raw" else "raw"
    with tiercel.open(tmp_path / "c", storage=name) as collection:
        collection.upsert(IDS, VECTORS)
        check(collection, name)
    with tiercel.open(tmp_path / "c") as collection:
        check(collection, name)
        collection.compact(storage=other)
        check(collection, other)
    with tiercel.open(tmp_path / "c", storage=other) as collection:
        check(collection, other)
        collection.compact(storage=name)
        collection.compact()
        check(collection, name)
    with tiercel.open(tmp_path / "c", mode="r", storage=name) as reader:
        assert reader.storage == name
        assert recall_of(reader) >= 0.9
        assert reader.verify() == []


def test_smaller_codes_take_fewer_bytes(tmp_path: Path) -> None:
    def codes(collection: tiercel.Collection) -> tuple[int, float]:
        stats = collection.stats()
        return stats["memory"]["codes"], stats["bytes_per_vector"]

    with tiercel.open(tmp_path / "c", storage="sq8") as collection:
        assert (collection.stats()["storage"], collection.stats()["bytes_per_vector"]) == (None, None)
        # Rows of codes are padded, so these vectors are longer.
        collection.upsert(IDS, np.random.default_rng(4).normal(size=(COUNT, 8 * DIM)))
        collection.wait_idle()
        before = codes(collection)
        collection.compact(storage="rabitq1")
        after = codes(collection)
    assert after[0] < before[0]
    assert after[1] < before[1]


def test_up_to_1024_vectors_nothing_is_coded(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "c", storage="rabitq1") as collection:
        collection.upsert(IDS[:1024], VECTORS[:1024])
        collection.compact()
        assert (collection.storage, collection.stats()["storage"]) == ("rabitq1", "none")
        assert collection.search(QUERIES[0], k=K).quality == "exact"
        collection.upsert(IDS[:1025], VECTORS[:1025])
        collection.compact()
        assert collection.stats()["storage"] == "rabitq1"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("sq3", "got 'sq3'"),
        ("PQ8x8", "got 'PQ8x8'"),
        ("", "got ''"),
        ("pq0x8", "got 'pq0x8'"),
        (8, "got 8"),
        (b"sq8", "got b'sq8'"),
        (["sq8"], r"got \['sq8'\]"),
    ],
)
def test_what_is_no_storage_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    expected = f"storage: expected 'auto' or .* or 'pq', 'opq' or 'rq' with .* such as 'pq48x8' or 'opq96x4', {message}"
    with pytest.raises(tiercel.InvalidInputError, match=expected):
        tiercel.open(tmp_path / "c", storage=value)
    assert list(tmp_path.iterdir()) == []
    with tiercel.open(tmp_path / "c") as collection:
        with pytest.raises(tiercel.InvalidInputError, match=expected):
            collection.compact(storage=value)
        assert collection.storage == "auto"


def test_a_storage_must_fit_the_vectors(tmp_path: Path) -> None:
    path = tmp_path / "c"
    for name, most in (("pq4x8", 3), ("opq4x4", 3), ("rq33x8", 32)):
        message = f"storage: expected at most {most} parts for vectors of length 3, got '{name}'"
        with pytest.raises(tiercel.InvalidInputError, match=message):
            tiercel.open(path, 3, storage=name)
    with pytest.raises(tiercel.InvalidInputError, match="storage: expected at most 32 parts, got 'rq33x8'"):
        tiercel.open(path, storage="rq33x8")
    assert not path.exists()
    with tiercel.open(path, 3, storage="pq3x8") as collection:
        with pytest.raises(tiercel.InvalidInputError, match="storage: expected at most 3 parts for vectors"):
            collection.compact(storage="pq4x8")
        assert collection.storage == "pq3x8"


def test_first_vectors_must_fit_the_storage(tmp_path: Path) -> None:
    path = tmp_path / "c"
    message = "vectors: expected vectors of at least 4 values for the collection's storage 'pq4x8', got 3"
    with tiercel.open(path, storage="pq4x8") as collection:
        collection.upsert(["text"], texts=["a text"])
        for call in (collection.upsert, collection.add, collection.update):
            with pytest.raises(tiercel.InvalidInputError, match=message):
                call(["text"] if call == collection.update else ["a"], [[1, 2, 3]])
        assert (collection.dim, list(collection)) == (None, ["text"])
    with pytest.raises(tiercel.InvalidInputError, match="storage: expected at most 3 parts for vectors of length 3"):
        tiercel.open(path, 3)
    with tiercel.open(path) as collection:
        # There are no vectors yet, so it need not fit any.
        collection.compact(storage="pq3x8")
        collection.upsert(["a"], [[1, 2, 3]])
        assert (collection.dim, collection.storage) == (3, "pq3x8")
    with tiercel.open(path, 3, storage="pq3x8") as collection:
        assert [match.id for match in collection.search([1, 2, 3])] == ["a"]
        assert [match.id for match in collection.search(text="text")] == ["text"]


@pytest.mark.parametrize("mode", ["rw", "r"])
def test_another_storage_than_the_stored_one_is_refused(tmp_path: Path, mode: Any) -> None:
    tiercel.open(tmp_path / "c", storage="sq4").close()
    message = "storage: expected 'sq4', as in the collection, got 'auto'; compact(storage='auto') changes it"
    with pytest.raises(tiercel.InvalidInputError, match=re.escape(message)):
        tiercel.open(tmp_path / "c", mode=mode, storage="auto")
    with tiercel.open(tmp_path / "c", mode=mode) as collection:
        assert collection.storage == "sq4"


def test_a_reader_follows_a_change_and_makes_none(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "c", storage="sq8") as writer:
        writer.upsert(IDS, VECTORS)
        writer.checkpoint()
        with tiercel.open(tmp_path / "c", mode="r") as reader:
            with pytest.raises(tiercel.InvalidInputError, match="open for reading"):
                reader.compact(storage="sq4")
            writer.compact(storage="rabitq4")
            reader.refresh()
            assert (reader.storage, reader.stats()["storage"]) == ("rabitq4", "rabitq4")
            assert recall_of(reader) >= 0.9


def test_the_async_twin_changes_it_too(tmp_path: Path) -> None:
    async def main() -> str:
        async with tiercel.open(tmp_path / "c") as collection:
            await collection.acompact(storage="rq2x8")
            return collection.storage

    assert asyncio.run(main()) == "rq2x8"


def test_a_backup_has_the_storage(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "c") as collection:
        collection.upsert(IDS, VECTORS)
        collection.compact(storage="rabitq2")
        collection.backup(tmp_path / "copy")
    with tiercel.open(tmp_path / "copy") as copy:
        check(copy, "rabitq2")
