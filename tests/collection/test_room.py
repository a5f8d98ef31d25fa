"""A collection that does not fit into memory is refused before the system kills the process."""

from pathlib import Path

import numpy as np
import pytest

import tiercel
from tiercel import room
from tiercel.policy import cgroup


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(room, "_LITTLE", 0)
    vectors = np.random.default_rng(0).standard_normal((2000, 32), np.float32)
    with tiercel.open(tmp_path / "c", storage="sq8") as collection:
        collection.upsert([str(row) for row in range(len(vectors))], vectors)
    return tmp_path / "c"


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(cgroup, "memory_available", lambda: size)


def test_opening_says_what_it_needs_and_how_to_need_less(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs, log = (sum(file.stat().st_size for file in path.glob(names)) for names in ("index-*.seg", "log-*"))
    assert graphs > 2000 * 32 * 4
    needed = graphs + 4 * log
    free(monkeypatch, needed - 1)
    before = sorted(file.name for file in path.iterdir())
    for mode in ("rw", "r"):
        with pytest.raises(
            MemoryError, match=r"opening the collection: expected .* GB of free memory, got .*raw='disk'"
        ):
            tiercel.open(path, mode=mode)
    assert sorted(file.name for file in path.iterdir()) == before
    with tiercel.open(path, raw="disk") as collection:
        assert len(collection) == 2000
    free(monkeypatch, needed)
    # As a checkpoint leaves it that was killed before it was named.
    left = path / "index-99.seg"
    left.write_bytes(next(path.glob("index-*.seg")).read_bytes())
    with tiercel.open(path) as collection:
        assert len(collection) == 2000


def test_a_compaction_that_needs_more_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tiercel.open(path) as collection:
        collection.delete([str(row) for row in range(0, 2000, 2)])
        free(monkeypatch, 1000 * 32 * 4)
        with pytest.raises(MemoryError, match="compacting the collection: expected"):
            collection.compact()
        assert (len(collection), collection.storage) == (1000, "sq8")
        free(monkeypatch, 1 << 30)
        collection.compact()
        collection.compact(storage="sq4")
        free(monkeypatch, 0)
        # Nothing is left to rebuild.
        collection.compact()
        assert (len(collection), collection.storage) == (1000, "sq4")


def test_writing_stops_before_memory_runs_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_STEP", 1000 * 32 * 4)
    vectors = np.ones((500, 32), np.float32)
    with tiercel.open(path) as collection:
        free(monkeypatch, 0)
        collection.upsert([f"a{row}" for row in range(500)], vectors)
        for _ in range(2):
            with pytest.raises(MemoryError, match=r"writing vectors: expected .* GB of free memory, got 0.00 GB"):
                collection.upsert([f"b{row}" for row in range(500)], vectors)
        collection.upsert("c", texts="without a vector", metadata={"n": 1})
        assert len(collection) == 2501
        assert collection.stats()["fresh_vectors"] == 0
        free(monkeypatch, 1 << 30)
        collection.upsert([f"b{row}" for row in range(500)], vectors)
        assert len(collection) == 3001
