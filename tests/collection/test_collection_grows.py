"""Additions to an existing collection: the length of its vectors, an embedder, a schema."""

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel import F
from tiercel.embed import HashingEmbedder


@pytest.fixture
def texts(tmp_path: Path):
    with tiercel.open(tmp_path / "texts") as collection:
        collection.upsert(
            ["cat", "hen"], texts=["a cat sleeps", "a hen lays eggs"], metadata=[{"legs": 4}, {"legs": 2}]
        )
        yield collection


def test_the_first_vectors_say_how_long_all_are(texts: tiercel.Collection) -> None:
    assert texts.dim is None
    with pytest.raises(
        tiercel.InvalidInputError, match="vector: expected none, since the collection has no vectors yet"
    ):
        texts.search([1, 0])
    assert texts.upsert(["owl", "eel"], [[1, 0, 0], [0, 1, 0]], texts=["an owl", None]) == 2
    assert (texts.dim, repr(texts).count("dim=3")) == (3, 1)
    assert texts.search([0.9, 0.1, 0], k=1).ids == ["owl"]
    assert texts.search([0, 1, 0], text="cat").ids[:2] in (["eel", "cat"], ["cat", "eel"])
    with pytest.raises(tiercel.DimensionMismatchError, match="vectors: expected vectors of length 3, got 2"):
        texts.upsert(["ape"], [[1, 0]])
    with pytest.raises(tiercel.DimensionMismatchError, match="vector: expected vectors of length 3, got 2"):
        texts.search([1, 0])
    texts.close()
    assert texts.dim == 3


@pytest.mark.parametrize("vectors", [[1.0, 2.0, 2.0], [[1, 2, 2]], np.array([[1, 2, 2]], np.float16), ([1, 2, 2],)])
def test_first_vectors_of_any_kind(tmp_path: Path, vectors: Any) -> None:
    with tiercel.open(tmp_path, metric="l2") as made:
        made.upsert(["a"], vectors)
        (found,) = made.search([1, 2, 2])
        assert (made.dim, made.metric, found.distance) == (3, "l2", 0.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["a"], [[1.0, float("nan")]]), tiercel.InvalidInputError, "NaN"),
        ((["a"], [[0.0, 0.0]]), tiercel.InvalidInputError, "norm 0"),
        ((["a", "b"], [[1.0, 2.0]]), tiercel.InvalidInputError, "expected 2"),
        ((["a"], [[]]), tiercel.InvalidInputError, "vectors"),
        ((["a"], np.zeros((1, 32769))), tiercel.InvalidInputError, "length 1 to 32768, got 32769"),
        ((["a"], [[[1.0]]]), tiercel.InvalidInputError, "1-D or 2-D"),
        ((["a"], "text"), tiercel.InvalidInputError, "numeric array, got texts; pass them as texts="),
        ((["a"], [[1.0]], ["\ud800"]), tiercel.InvalidInputError, "texts"),
        ((["a"], [[1.0]], None, [{"x": object()}]), tiercel.InvalidInputError, "metadata"),
    ],
)
def test_first_vectors_that_are_refused_decide_nothing(
    texts: tiercel.Collection, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        texts.upsert(*arguments)
    with pytest.raises(tiercel.ConflictError):
        texts.upsert(["cat"], [[1, 0, 0, 0]], if_sequence=0)
    assert (texts.dim, len(texts)) == (None, 2)
    texts.upsert(["a"], [[1.0, 0, 0, 0, 0]])
    assert texts.dim == 5


def test_of_two_first_vectors_at_once_one_length_wins(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, durability="none") as made:
        start = threading.Barrier(8)
        refused: list[int] = []

        def write(number: int) -> None:
            start.wait()
            try:
                made.upsert([str(number)], np.ones((1, 2 + number % 2)))
            except tiercel.DimensionMismatchError:
                refused.append(number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 4
        assert len({number % 2 for number in refused}) == 1
        assert len(made.search(np.ones(made.dim or 0))) == len(made) == 4


@pytest.mark.parametrize("finish", ["close", "checkpoint", "killed", "killed after a checkpoint"])
def test_the_length_is_known_again_after_opening(texts: tiercel.Collection, tmp_path: Path, finish: str) -> None:
    texts.upsert(["owl"], [[0, 1]])
    texts.delete(["owl"])
    if "checkpoint" in finish:
        texts.checkpoint()
    if finish == "close":
        texts.close()
    # As a killed process would leave the directory.
    shutil.copytree(texts.path, tmp_path / "copy")
    with tiercel.open(tmp_path / "copy", mode="r") as reader:
        assert reader.dim == 2
    with tiercel.open(tmp_path / "copy") as again:
        assert again.dim == 2
        assert again.search([1, 0]).ids == []
        with pytest.raises(tiercel.DimensionMismatchError):
            again.upsert(["ape"], [[1, 0, 0]])
        again.upsert(["ape"], [[1, 0]])
        assert again.search([1, 0]).ids == ["ape"]
        assert again.verify() == []
    with pytest.raises(tiercel.InvalidInputError, match="dim: expected 2, as in the collection, got 3"):
        tiercel.open(tmp_path / "copy", dim=3)


def test_a_reader_goes_along(texts: tiercel.Collection) -> None:
    with tiercel.open(texts.path, mode="r") as reader:
        texts.upsert(["owl"], [[0, 1]])
        assert reader.dim is None
        assert reader.refresh()
        assert (reader.dim, reader.search([0, 1]).ids) == (2, ["owl"])
        texts.upsert(["eel"], [[1, 0]])
        texts.checkpoint()
        assert reader.refresh()
        assert reader.search([1, 0], k=1).ids == ["eel"]


def test_a_backup_knows_the_length(texts: tiercel.Collection, tmp_path: Path) -> None:
    texts.upsert(["owl"], [[0, 1]])
    texts.backup(tmp_path / "backup")
    with tiercel.open(tmp_path / "backup") as backup:
        assert (backup.dim, backup.search([0, 1]).ids) == (2, ["owl"])


def test_a_length_can_be_given_later(texts: tiercel.Collection) -> None:
    texts.close()
    with pytest.raises(tiercel.InvalidInputError, match="dim: expected None, as in the collection, got 2"):
        tiercel.open(texts.path, dim=2, mode="r")
    with tiercel.open(texts.path, dim=2) as again:
        assert (again.dim, again.search([1, 0]).ids) == (2, [])
        with pytest.raises(tiercel.DimensionMismatchError):
            again.upsert(["ape"], [[1, 0, 0]])
    with tiercel.open(texts.path) as again:
        assert (again.dim, len(again)) == (2, 2)


def test_an_embedder_can_be_given_until_there_are_vectors(texts: tiercel.Collection) -> None:
    texts.close()
    embedder = HashingEmbedder(dim=64)
    with pytest.raises(tiercel.InvalidInputError, match="embedder: expected None"):
        tiercel.open(texts.path, mode="r", embedder=embedder)
    with tiercel.open(texts.path, embedder=embedder) as again:
        again.upsert(["owl"], texts=["an owl sleeps"])
        assert (again.dim, again.fingerprint) == (64, embedder.fingerprint)
    with pytest.raises(tiercel.InvalidInputError, match="embedder: expected"):
        tiercel.open(texts.path, embedder=HashingEmbedder(dim=64, seed=1))
    with tiercel.open(texts.path) as again:
        assert again.fingerprint == embedder.fingerprint


def test_a_schema_can_be_added_if_what_is_there_agrees(texts: tiercel.Collection) -> None:
    texts.upsert(["odd"], metadata=[{"legs": "none", "name": "Kaa"}])
    texts.close()
    message = r"schema\['legs'\]: expected a type that every record agrees with, got int, and the record 'odd' has the string 'none'"
    for _ in range(2):
        with pytest.raises(tiercel.InvalidInputError, match=message):
            tiercel.open(texts.path, schema={"legs": int})
    with tiercel.open(texts.path) as again:
        assert again.schema == {}
        again.delete(["odd"])
    with tiercel.open(texts.path, mode="r") as reader, tiercel.open(texts.path, schema={"legs": int}) as again:
        assert again.schema == {"legs": int}
        with pytest.raises(tiercel.InvalidInputError, match=r"metadata\[0\]\['legs'\]"):
            again.upsert(["owl"], metadata=[{"legs": "two"}])
        again.upsert(["owl"], metadata=[{"legs": 2}])
        assert reader.refresh()
        assert reader.schema == {"legs": int}
        assert reader.count(filter=F("legs") == 2) == 2
    with tiercel.open(texts.path, schema={"legs": int, "name": str}) as again:
        assert again.schema == {"legs": int, "name": str}
        assert again.verify() == []
    with tiercel.open(texts.path) as again:
        assert again.schema == {"legs": int, "name": str}


def test_a_schema_is_neither_changed_nor_cut(texts: tiercel.Collection) -> None:
    texts.close()
    tiercel.open(texts.path, schema={"legs": int}).close()
    for other in ({"legs": float}, {"name": str}, {}):
        with pytest.raises(tiercel.InvalidInputError, match="schema: expected 'legs': int, as in its schema, got"):
            tiercel.open(texts.path, schema=other)
    with pytest.raises(tiercel.InvalidInputError, match="got no 'legs'; pass its existing fields, too"):
        tiercel.open(texts.path, schema={"name": str})
    with pytest.raises(tiercel.InvalidInputError, match="schema: expected no 'name', as in its schema"):
        tiercel.open(texts.path, schema={"legs": int, "name": str}, mode="r")


@pytest.mark.parametrize("language", ["english", "turkish", "azerbaijani", None])
def test_a_collection_tells_its_language(tmp_path: Path, language: str | None) -> None:
    tiercel.open(tmp_path / "it", language=language).close()
    for mode in ("rw", "r"):
        with tiercel.open(tmp_path / "it", mode=mode) as collection:
            assert collection.language == language
    with tiercel.open(tmp_path / "other") as collection:
        assert collection.language == "english"
