"""One record or many in a call, ids that are not strings, and a search for a string."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel import Collection
from tiercel.embed import HashingEmbedder


@pytest.fixture
def pets(tmp_path: Path):
    with tiercel.open(tmp_path / "pets", dim=2) as collection:
        collection.upsert(["cat", "hen"], np.eye(2), ["cats sleep", "hens peck"], [{"legs": 4}, {"legs": 2}])
        yield collection


def test_a_single_id_is_one_record(pets: Collection) -> None:
    assert pets.upsert("owl", [1, 1], "owls hoot", {"legs": 2}, if_sequence=0) == 1
    owl = pets.get("owl", include=["text", "metadata", "vector"])
    assert owl is not None
    assert owl.vector is not None
    assert (owl.id, owl.vector.tolist(), owl.text, owl.metadata) == ("owl", [1, 1], "owls hoot", {"legs": 2})
    assert pets.get("nobody") is None
    assert pets.update_metadata("owl", {"legs": 3}, if_sequence=owl.sequence) == 1
    assert [match and match.metadata for match in pets.get(["owl"])] == [{"legs": 3}]
    assert pets.delete("owl") == 1
    assert pets.delete("owl") == 0
    assert len(pets) == 2


@pytest.mark.parametrize("vector", [[1, 1], (1, 1), np.ones(2), np.ones((1, 2), np.float16), [[1, 1]]])
def test_the_vector_of_one_record_has_any_form(pets: Collection, vector: Any) -> None:
    pets.upsert("owl", vector)
    owl = pets.get("owl", include=["vector"])
    assert owl is not None
    assert owl.vector is not None
    assert owl.vector.tolist() == [1, 1]


def test_none_removes_the_metadata_of_a_record(pets: Collection) -> None:
    assert pets.update_metadata("cat", None) == 1
    assert pets.update_metadata(["hen", "nobody"], [None, None]) == 1
    assert [match and match.metadata for match in pets.get(["cat", "hen"])] == [None, None]
    # One None might be meant for all, or be a mistake.
    with pytest.raises(tiercel.InvalidInputError, match="metadata: expected a list, one for each id, got NoneType"):
        pets.update_metadata(["cat"], None)


def test_one_record_without_anything_and_one_with_a_text_to_embed(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "embedded", embedder=HashingEmbedder(8)) as collection:
        assert collection.upsert("empty") == 1
        assert collection.upsert("cat", texts="a cat sleeps") == 1
        cat, empty = collection.get("cat", include=["vector"]), collection.get("empty", include=["vector"])
        assert cat is not None
        assert empty is not None
        assert cat.vector is not None
        assert empty.vector is None


def test_the_twins_for_asyncio_take_one_record(pets: Collection) -> None:
    async def use() -> None:
        assert await pets.aupsert("owl", texts="owls hoot") == 1
        owl = await pets.aget("owl")
        assert owl is not None
        assert await pets.adelete("owl") == 1

    asyncio.run(use())


BAD: dict[str, tuple[Callable[[Collection], object], str]] = {
    "a list beside one id": (lambda c: c.upsert("a", texts=["x"]), r"texts\[0\]: expected a str, got list"),
    "one dict beside many": (
        lambda c: c.upsert(["a"], metadata={"x": 1}),
        "metadata: expected a list, one for each id, got dict",
    ),
    "two vectors": (lambda c: c.upsert("a", np.eye(2)), "vectors: expected 1 vectors, one for each id, got 2"),
    "a set beside texts": (
        lambda c: c.upsert({"a", "b"}, texts=["x", "y"]),
        "ids: expected a list, got a set, which has no order",
    ),
    "a set beside vectors": (lambda c: c.upsert({"a", "b"}, np.eye(2)), "ids: expected a list, got a set"),
    "a frozenset": (lambda c: c.update(frozenset({"a"}), texts=["x"]), "ids: expected a list, got a frozenset"),
    "a set beside metadata": (lambda c: c.update_metadata({"a"}, [{}]), r"ids: .* a set, .*; pass sorted\(ids\)"),
    "a set beside what to merge": (lambda c: c.patch_metadata({"a"}, [{"x": 1}]), "ids: expected a list, got a set"),
    "a set beside sequences": (lambda c: c.delete({"cat"}, if_sequence=[1]), "ids: expected a list, got a set"),
    "a set of texts": (lambda c: c.upsert(["a", "b"], texts={"x", "y"}), "texts: expected a list, got a set"),
    "a set of sequences": (lambda c: c.delete(["cat"], if_sequence={1}), "if_sequence: expected a list, got a set"),
    "a set to get": (lambda c: c.get({"cat", "hen"}), "ids: expected a list, got a set"),
    "a set to search for": (lambda c: c.search_many(texts={"cat", "hen"}), "texts: expected a list, got a set"),
    "an empty id": (lambda c: c.get(""), "ids: expected 1 to 512 bytes of UTF-8, got 0"),
}
FOREIGN: dict[str, Any] = {"int": 7, "int64": np.int64(7), "UUID": uuid.UUID(int=7)}
for kind, id_ in FOREIGN.items():
    BAD |= {
        f"{kind} to get": (lambda c, id_=id_: c.get(id_), rf"ids: expected a str, got {kind}; pass str\(id\)"),
        f"{kind} to delete": (lambda c, id_=id_: c.delete(["cat", id_]), rf"ids\[1\]: .* {kind}; pass str\(id\)"),
        f"{kind} to put in": (lambda c, id_=id_: c.upsert([id_]), rf"ids\[0\]: .* {kind}; pass str\(id\)"),
        f"{kind} to change": (lambda c, id_=id_: c.update_metadata([id_], [{}]), r"ids\[0\]: .* pass str\(id\)"),
    }


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_arguments_are_named_and_change_nothing(
    pets: Collection, call: Callable[[Collection], object], message: str
) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        call(pets)
    assert pets.get(["cat", "hen"], include=["text", "metadata"]) == [*pets.scan()]


def test_a_set_is_many_ids_where_no_order_counts(pets: Collection) -> None:
    assert pets.patch_metadata({"cat", "hen"}, {"seen": True}) == 2
    assert pets.upsert({"a": 1, "b": 2}.keys(), texts={"a": "x", "b": "y"}.values()) == 2
    assert pets.upsert({"c", "d"}, if_sequence=0) == 2
    assert pets.delete({"a", "b", "c", "d"}) == 4


def test_an_array_of_integers_says_so(pets: Collection) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"ids\[0\]: expected a str, got int64; pass str\(id\)"):
        pets.upsert(np.arange(2), np.eye(2))  # pyright: ignore[reportArgumentType]


def test_a_string_is_a_text(pets: Collection, tmp_path: Path) -> None:
    assert pets.search("cats", k=1)[0].id == "cat"
    assert pets.search(np.str_("hens")).ids == ["hen"]
    assert [found.ids for found in pets.search_many(["cats", "hens"])] == [["cat"], ["hen"]]
    assert [found.ids for found in pets.search_many(np.array(["cats", "hens"]))] == [["cat"], ["hen"]]
    assert [found.ids for found in pets.search_many([[1, 0]], ["hens"], k=1, alpha=1.0)] == [["cat"]]
    assert pets.search("sleeping", rerank=lambda query, texts: [len(query)] * len(texts)).scores.tolist() == [8.0]
    cache = tiercel.QueryCache(pets)
    assert cache.search("cats").ids == cache.search(text="cats").ids == ["cat"]
    assert cache.stats()["hits"] == 1
    with tiercel.open(tmp_path / "embedded", embedder=HashingEmbedder(64)) as collection:
        collection.upsert(["cat", "hen"], texts=["cats sleep", "hens peck"])
        # No text has the word, but the vectors of similar words are near.
        by_both = collection.search("cat's sleeping bag", k=2, include=())
        assert by_both.ids == collection.search(text="cat's sleeping bag", k=2).ids == ["cat", "hen"]
        assert [found.ids for found in collection.search_many(["cats", "hens"], k=1)] == [["cat"], ["hen"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.search("cats", "hens"), "vector: expected an array beside text, got a str"),
        (lambda c: c.search_many("cats"), "vectors: expected an array or a list of texts, got a str"),
        (lambda c: c.search_many(["cats"], ["hens"]), "vectors: expected an array beside texts, got texts"),
        (lambda c: c.search_many(["cats", 5]), "vectors: expected a numeric array"),
        (lambda c: c.search("a\ud800"), "text: expected Unicode text, got a lone surrogate"),
    ],
)
def test_strings_that_are_no_query_say_why(
    pets: Collection, call: Callable[[Collection], object], message: str
) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        call(pets)
