"""The data sets of the benchmarks are what their descriptions say, and the same every time."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.places import ROOT

import tiercel

BENCH = ROOT / "benches"

pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not part of a source distribution")


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    """A directory with 400 embeddings and 20 queries."""
    directory = tmp_path / "embeddings"
    directory.mkdir()
    sample = tiercel.datasets.load_wordnet_sample()
    np.save(directory / "base.f16.npy", sample.vectors[:400].astype(np.float16))
    np.save(directory / "queries.f16.npy", sample.queries[:20].astype(np.float16))
    return directory


def make(directory: Path, *words: object) -> tuple[NDArray[Any], NDArray[Any]]:
    """Make a data set; return its vectors and its queries."""
    name, *options = map(str, words)
    count = options.pop(0) if name == "scaled" else None
    places = [name, *([count] if count else []), str(directory), *options]
    subprocess.run([sys.executable, str(BENCH / "datasets.py"), *places], check=True, capture_output=True)
    base, queries = (np.load(directory / f"{part}.f16.npy") for part in ("base", "queries"))
    assert base.dtype == queries.dtype == np.float16
    return base, queries


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    long = vectors.astype(np.float32)
    return long / np.linalg.norm(long, axis=1, keepdims=True)


def test_norms_change_the_length_of_embeddings_and_not_their_direction(tmp_path: Path, embeddings: Path) -> None:
    base, queries = make(tmp_path / "norms", "norms", "--data", embeddings, "--sigma", 0.5)
    logarithms = np.log(np.linalg.norm(base.astype(np.float32), axis=1))
    assert abs(logarithms.std() - 0.5) < 0.1
    assert abs(logarithms.mean()) < 0.1
    # Every embedding is there once, as the nearest of itself, and at another place.
    similarity = unit(np.load(embeddings / "base.f16.npy")) @ unit(base).T
    assert similarity.max(axis=1).min() > 0.9999
    places = similarity.argmax(axis=1)
    assert len(set(places)) == len(base)
    assert (places == np.arange(len(base))).mean() < 0.1
    assert np.array_equal(queries, np.load(embeddings / "queries.f16.npy"))


def test_scaled_vectors_lie_between_an_embedding_and_one_of_its_ten_nearest(tmp_path: Path, embeddings: Path) -> None:
    base, _ = make(tmp_path / "scaled", "scaled", 300, "--data", embeddings)
    assert base.shape == (300, 384)
    rows = unit(base)
    assert np.abs(np.linalg.norm(base.astype(np.float32), axis=1) - 1).max() < 1e-3
    vectors = unit(np.load(embeddings / "base.f16.npy"))
    nearest = np.argsort(-vectors @ vectors.T, axis=1)[:, 1:11]
    ends, middles = np.repeat(vectors, 10, axis=0), vectors[nearest].reshape(-1, 384)
    for row in rows[:50]:
        # How far the row is from the nearest of all those lines; noise of length 0.2 was added.
        along = np.clip(((row - ends) * (middles - ends)).sum(1) / ((middles - ends) ** 2).sum(1), 0, 1)
        between = ends + along[:, None] * (middles - ends)
        off = np.linalg.norm(row - unit(between), axis=1).min()
        assert 0.05 < off < 0.3


def test_the_nearest_of_a_vector_are_ten_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    vectors = unit(tiercel.datasets.load_wordnet_sample().vectors[:400])
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    near = importlib.import_module("datasets").nearest(vectors, None)
    assert near.shape == (400, 10)
    chosen = np.take_along_axis(similarity, near, axis=1)
    assert np.abs(chosen - -np.sort(-similarity, axis=1)[:, :10]).max() < 1e-5


def test_fewer_scaled_vectors_are_the_first_of_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    datasets = importlib.import_module("datasets")
    monkeypatch.setattr(datasets, "PIECE", 64)
    vectors = unit(tiercel.datasets.load_wordnet_sample().vectors[:400])
    near = datasets.nearest(vectors, None)

    def scaled(count: int, seed: int) -> NDArray[np.float32]:
        return np.concatenate(list(datasets.scaled(vectors, near, count, seed, None)))

    more = scaled(200, 0)
    assert len(np.unique(more, axis=0)) == 200
    for few in (1, 64, 65, 199):
        assert np.array_equal(scaled(few, 0), more[:few])
    assert not np.array_equal(scaled(10, 1), more[:10])


@pytest.mark.parametrize("count", ["0", "-5", "1.5", "many"])
def test_a_number_of_vectors_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], count: str
) -> None:
    monkeypatch.syspath_prepend(BENCH)
    datasets = importlib.import_module("datasets")
    with pytest.raises(SystemExit):
        datasets.parser().parse_args(["scaled", "--seed", "1", "--", count, str(tmp_path)])
    assert "expected at least 1" in capsys.readouterr().err


def test_patches_are_of_unit_length_and_no_query_is_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    monkeypatch.syspath_prepend(BENCH)
    photographs = importlib.import_module("photographs")
    monkeypatch.setattr(photographs, "PHOTOGRAPHS", ("camera", "clock"))
    base, queries = photographs.descriptors(seed=0)
    assert base.shape[1] == queries.shape[1] == 128
    assert min(len(base), len(queries)) > 1000
    for rows in (base, queries):
        assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-3
    assert (queries @ base.T).max() < 0.9999
    again, _ = photographs.descriptors(seed=0)
    other, _ = photographs.descriptors(seed=1)
    assert np.array_equal(base, again)
    assert not np.array_equal(base, other)
    assert np.array_equal(np.unique(base, axis=0), np.unique(other, axis=0))


def test_flat_and_tiny_pictures_have_no_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    monkeypatch.syspath_prepend(BENCH)
    photographs = importlib.import_module("photographs")
    assert len(photographs.patches(np.full((64, 64), 0.5, np.float32))) == 0
    assert len(photographs.patches(np.eye(31, dtype=np.float32))) == 0
    assert len(photographs.patches(np.eye(64, dtype=np.float32))) > 0
