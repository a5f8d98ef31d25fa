"""Writes that change a part of a record and keep the rest, and calls that empty a collection."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiercel
from tiercel import ConflictError, F
from tiercel.embed import HashingEmbedder
from tiercel.filters import Filter

METADATA: list[dict[str, Any]] = [{"n": 1, "lang": "en", "by": {"name": "Ann", "age": 30}}, {"n": 2}]


@pytest.fixture
def shelf(tmp_path: Path):
    with tiercel.open(tmp_path / "shelf", dim=2, durability="none") as collection:
        collection.upsert(["a", "b"], [[1, 0], [0, 1]], ["one cat", "two hens"], METADATA)
        yield collection


def contents(collection: tiercel.Collection) -> dict[str, tuple[object, ...]]:
    matches = collection.scan(include=("text", "metadata", "vector"))
    vectors = {match.id: None if match.vector is None else match.vector.tolist() for match in matches}
    return {match.id: (vectors[match.id], match.text, match.metadata) for match in collection.scan()}


def metadata(collection: tiercel.Collection, id_: str) -> Any:
    (match,) = collection.get([id_])
    return match.metadata if match is not None else None


def test_upsert_replaces_a_record_as_a_whole(shelf: tiercel.Collection) -> None:
    shelf.upsert(["a"], texts=["new"])
    assert contents(shelf)["a"] == (None, "new", None)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"texts": ["an eel"]}, ([1.0, 0.0], "an eel", METADATA[0])),
        ({"vectors": [[3, 4]]}, ([3.0, 4.0], "one cat", METADATA[0])),
        ({"metadata": [{"new": 1}]}, ([1.0, 0.0], "one cat", {"new": 1})),
        ({"vectors": [[3, 4]], "texts": ["an eel"], "metadata": [{}]}, ([3.0, 4.0], "an eel", {})),
        ({"vectors": [None], "texts": [None], "metadata": [{"m": 2}]}, ([1.0, 0.0], "one cat", {"m": 2})),
        ({"texts": [None]}, ([1.0, 0.0], "one cat", METADATA[0])),
    ],
)
def test_update_changes_what_is_given_and_keeps_the_rest(
    shelf: tiercel.Collection, parts: dict[str, Any], expected: tuple[object, ...]
) -> None:
    before = contents(shelf)

    def check(collection: tiercel.Collection) -> None:
        vector, text, values = expected
        assert contents(collection) == {**before, "a": expected}
        assert collection.search(text="eel").ids == (["a"] if text == "an eel" else [])
        assert collection.search(text="cat").ids == (["a"] if text == "one cat" else [])
        assert collection.search(vector, k=1).ids == ["a"]
        assert collection.count(filter=F("n") == 1) == (values == METADATA[0])

    assert shelf.update(["a"], **parts) == 1
    check(shelf)
    shelf.compact()
    check(shelf)
    shelf.close()
    with tiercel.open(shelf.path) as again:
        check(again)


def test_of_equal_ids_the_later_changes_what_the_earlier_left(shelf: tiercel.Collection) -> None:
    ids = ["a", "x", "a", "b", "a"]
    assert (
        shelf.update(
            ids, [None, [5, 5], [2, 2], None, None], ["A", "X", None, "B", None], [None, {}, None, None, {"z": 1}]
        )
        == 2
    )
    assert contents(shelf) == {"a": ([2.0, 2.0], "A", {"z": 1}), "b": ([0.0, 1.0], "B", METADATA[1])}
    assert shelf.patch_metadata(["b", "b", "x"], [{"q": {"r": 1}}, {"q": {"s": 2}}, {}], remove="n") == 1
    assert metadata(shelf, "b") == {"q": {"r": 1, "s": 2}}


def test_a_new_text_is_embedded_again(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    with tiercel.open(tmp_path / "it", embedder=embedder) as collection:
        collection.upsert(["a", "b"], texts=["a cat sleeps", "a hen lays eggs"], metadata=[{"n": 1}, {"n": 2}])
        assert collection.update(["a", "b"], texts=["an eel swims", None]) == 2
        texts = {"a": "an eel swims", "b": "a hen lays eggs"}
        for number, (id_, text) in enumerate(texts.items(), 1):
            assert contents(collection)[id_] == (embedder.embed_documents([text])[0].tolist(), text, {"n": number})
        own = np.ones(embedder.dim, np.float32)
        collection.update(["a"], [own], ["a cat"])
        assert contents(collection)["a"] == (own.tolist(), "a cat", {"n": 1})
    with tiercel.open(tmp_path / "it") as without:
        with pytest.raises(tiercel.InvalidInputError, match=r"texts\[1\]: expected a vector beside it, .* embedder="):
            without.update(["a", "b"], [own, None], texts=["x", "y"])
        assert without.update(["a", "b"], [own, None], texts=["x", None], metadata=[None, {}]) == 2


@pytest.mark.parametrize(
    ("merge", "remove", "expected"),
    [
        ({"n": 5, "new": None}, None, {"n": 5, "lang": "en", "by": {"name": "Ann", "age": 30}, "new": None}),
        ({"by": {"age": 31}}, None, {"n": 1, "lang": "en", "by": {"name": "Ann", "age": 31}}),
        ({"by": ["Bob"]}, None, {"n": 1, "lang": "en", "by": ["Bob"]}),
        (None, ["n", "by.name", "none.there"], {"lang": "en", "by": {"age": 30}}),
        (None, "by", {"n": 1, "lang": "en"}),
        ({"by": {"name": "Bob"}}, "by", {"n": 1, "lang": "en", "by": {"name": "Bob"}}),
        ({}, (), {"n": 1, "lang": "en", "by": {"name": "Ann", "age": 30}}),
    ],
)
def test_patch_metadata_merges_and_removes(
    shelf: tiercel.Collection, merge: Any, remove: Any, expected: dict[str, Any]
) -> None:
    before = contents(shelf)
    assert shelf.patch_metadata(["a", "none"], merge, remove=remove) == 1
    assert contents(shelf) == {**before, "a": (*before["a"][:2], expected)}
    assert list(metadata(shelf, "a")) == list(expected), "fields keep their order"
    assert shelf.count(filter=F("by.name") == "Ann") == int(
        isinstance(expected.get("by"), dict) and expected["by"].get("name") == "Ann"
    )
    assert shelf.search(text="cat").ids == ["a"]


def test_one_patch_for_all_or_one_for_each(shelf: tiercel.Collection) -> None:
    shelf.upsert(["bare"])
    assert shelf.patch_metadata(["a", "b", "bare"], {"seen": True}) == 3
    assert shelf.patch_metadata(["a", "b", "bare"], [{"n": 7}, None, {"n": 9}]) == 3
    values = [metadata(shelf, id_) for id_ in ("a", "b", "bare")]
    assert values == [METADATA[0] | {"n": 7, "seen": True}, {"n": 2, "seen": True}, {"seen": True, "n": 9}]


def test_what_is_not_patched_stays_to_the_last_digit(shelf: tiercel.Collection) -> None:
    exact: dict[str, Any] = {"huge": 2**200 + 1, "e": 1e-310, "tenth": 0.1, "z": {"é": "\u2028", "in": -(2**63)}}
    shelf.upsert(["a"], metadata=[exact])
    shelf.patch_metadata(["a"], {"z": {"new": 1}})
    assert json.dumps(metadata(shelf, "a")) == json.dumps(exact | {"z": exact["z"] | {"new": 1}})


@pytest.mark.parametrize(
    "write",
    [
        lambda shelf, **options: shelf.patch_metadata(["b", "a"], {"n": 9}, **options),
        lambda shelf, **options: shelf.update(["b", "a"], texts=["x", "y"], **options),
        lambda shelf, **options: shelf.update(["b", "a"], metadata=[{}, {}], **options),
    ],
    ids=["patch", "text", "metadata"],
)
def test_if_sequence_holds_for_parts_too(shelf: tiercel.Collection, write: Callable[..., int]) -> None:
    shelf.update_metadata(["a"], [METADATA[0]])
    before = contents(shelf)
    with pytest.raises(ConflictError) as raised:
        write(shelf, if_sequence=1)
    assert raised.value.args[1:] == ("a", 1, 2)
    assert contents(shelf) == before
    assert write(shelf, if_sequence=[1, 2]) == 2
    assert {match.id: match.sequence for match in shelf.scan()} == {"a": 3, "b": 3}
    with pytest.raises(ConflictError):
        shelf.patch_metadata(["none"], {}, if_sequence=3)
    assert shelf.patch_metadata(["none"], {}, if_sequence=0) == 0


def test_patches_and_updates_of_many_threads_lose_nothing(shelf: tiercel.Collection) -> None:
    each, begin = 30, threading.Barrier(3)

    def patch(name: str) -> None:
        begin.wait()
        for number in range(each):
            shelf.patch_metadata(["a"], {name: {str(number): number}})

    def update() -> None:
        begin.wait()
        for number in range(each):
            shelf.update(["a"], texts=[f"text {number}"])

    threads = [threading.Thread(target=patch, args=(name,)) for name in "xy"] + [threading.Thread(target=update)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = {str(number): number for number in range(each)}
    assert contents(shelf)["a"] == ([1.0, 0.0], f"text {each - 1}", METADATA[0] | {"x": numbers, "y": numbers})


@pytest.mark.parametrize(
    ("write", "message"),
    {
        "nothing to change": (
            lambda shelf: shelf.update(["a"]),
            "update: expected vectors, texts or metadata, got none",
        ),
        "nothing to patch": (
            lambda shelf: shelf.patch_metadata(["a"]),
            "patch_metadata: expected merge, remove or both",
        ),
        "few texts": (lambda shelf: shelf.update(["a", "b"], texts=["x"]), "texts: expected 2, one for each id, got 1"),
        "few patches": (
            lambda shelf: shelf.patch_metadata(["a", "b"], [{}]),
            "merge: expected 2, one for each id, got 1",
        ),
        "long vector": (lambda shelf: shelf.update(["a"], [[1, 2, 3]]), "vectors: expected vectors of length 2, got 3"),
        "no direction": (lambda shelf: shelf.update(["a"], [[0, 0]]), "vectors: expected a vector with a direction"),
        "no dict": (lambda shelf: shelf.patch_metadata(["a"], [{}, 5][1:]), r"merge\[0\]: expected a dict, got int"),
        "no JSON": (
            lambda shelf: shelf.patch_metadata(["a"], {"s": {1, 2}}),
            r"merge\['s'\]: expected a value of JSON .* got set",
        ),
        "a number to remove": (
            lambda shelf: shelf.patch_metadata(["a"], remove=[1]),
            r"remove\[0\]: expected a str, got int",
        ),
        "no name": (
            lambda shelf: shelf.patch_metadata(["a"], remove=[""]),
            r"remove\[0\]: expected the name of a field",
        ),
        "no list": (
            lambda shelf: shelf.patch_metadata(["a"], remove=5),
            "remove: expected a list of names of fields, got int",
        ),
        "long id": (lambda shelf: shelf.patch_metadata(["x" * 513], {}), r"ids\[0\]: expected 1 to 512 bytes"),
    }.values(),
)
def test_what_cannot_be_written_changes_nothing(
    shelf: tiercel.Collection, write: Callable[[Any], int], message: str
) -> None:
    before = contents(shelf)
    with pytest.raises(tiercel.InvalidInputError, match=message):
        write(shelf)
    assert contents(shelf) == before


def test_a_patch_agrees_with_the_schema_or_changes_nothing(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "typed", schema={"by.age": int}) as collection:
        collection.upsert(["a", "b"], metadata=METADATA)
        wrong: Any = {"by": {"age": "x"}}
        for name, write in (
            ("merge", lambda: collection.patch_metadata(["b", "a"], wrong)),
            (r"merge\[0\]", lambda: collection.patch_metadata(["b", "a"], [wrong, None])),
            (r"metadata\[0\]", lambda: collection.update(["b", "a"], metadata=[wrong, None])),
        ):
            with pytest.raises(tiercel.InvalidInputError, match=rf"^{name}\['by.age'\]: expected int, .* 'b'"):
                write()
        assert [match.metadata for match in collection.scan()] == METADATA
        assert collection.patch_metadata(["a"], {"by": {"age": None}}) == 1


def test_metadata_do_not_grow_beyond_the_limit(shelf: tiercel.Collection) -> None:
    half = "x" * (9 << 20)
    shelf.patch_metadata(["a"], {"one": half})
    for merge, name in (({"two": half}, "merge"), ([{"two": half}], r"merge\[0\]")):
        with pytest.raises(
            tiercel.InvalidInputError, match=rf"^{name} of record 'a': expected at most 16777216 .* merged"
        ):
            shelf.patch_metadata(["a"], merge)
    assert shelf.patch_metadata(["a"], {"two": half}, remove="one") == 1


EMPTY: list[dict[str, Any]] = [
    {},
    {"$and": []},
    {"$and": [{}, {"$or": [{}]}]},
    {"$or": [{"n": 1}, {}]},
    {"$nor": []},
    {"$not": {"$or": []}},
    {"$not": {"n": {"$in": []}}},
    {"n": {"$nin": []}},
    {"n": {"$not": {"$in": []}}},
    {"$and": [{"n": {"$nin": []}}, {"m": {"$nin": []}}]},
]


@pytest.mark.parametrize("filter", EMPTY, ids=str)
def test_a_filter_in_which_nothing_is_asked_deletes_nothing(shelf: tiercel.Collection, filter: dict[str, Any]) -> None:
    assert shelf.count(filter=filter) == 2, "it holds for all"
    with pytest.raises(tiercel.InvalidInputError, match=r"filter: expected a condition, .* clear\(\) removes all"):
        shelf.delete(filter=filter)
    assert len(shelf) == 2


@pytest.mark.parametrize(
    ("filter", "deleted"),
    [
        ({"$or": []}, 0),
        ({"n": {"$in": []}}, 0),
        ({"$and": [{"n": 1}, {}]}, 1),
        ({"n": {}}, 0),
        ({"n": {"$exists": True}}, 2),
        (~(F("n") == 7), 2),
        (~F("n").in_([]) & (F("n") == 2), 1),
    ],
    ids=str,
)
def test_a_filter_that_asks_something_deletes_what_passes(
    shelf: tiercel.Collection, filter: dict[str, Any] | Filter, deleted: int
) -> None:
    assert shelf.delete(filter=filter) == deleted
    assert len(shelf) == 2 - deleted


@pytest.mark.parametrize(
    ("filter", "deleted"),
    [
        (F("yaer") != 2000, None),
        (~(F("yaer") > 2000), None),
        (~F("yaer").in_([1, 2]), None),
        ((F("n") == 1) & (F("yaer") != 2000), None),
        ((F("n") == 1) | (F("yaer") != 2000), None),
        (F("yaer") == 2000, 0),
        ((F("n") == 1) | (F("yaer") == 2000), 1),
        ((F("n") == 7) & (F("yaer") != 2000), 0),
        (~F("yaer").exists(), 2),
        (F("m") != 7, 2),
    ],
    ids=str,
)
def test_nothing_is_deleted_for_want_of_a_field_that_no_record_has(
    shelf: tiercel.Collection, filter: Filter, deleted: int | None
) -> None:
    shelf.patch_metadata(next(iter(shelf.scan())).id, {"m": 1})
    if deleted is None:
        with pytest.raises(
            tiercel.InvalidInputError, match=r"filter: expected a field .* got 'yaer'.*~F\('yaer'\)\.exists"
        ):
            shelf.delete(filter=filter)
    else:
        assert shelf.delete(filter=filter) == deleted
    assert len(shelf) == 2 - (deleted or 0)


NOTHING_ASKED = st.recursive(
    st.sampled_from([{}, {"n": {"$in": []}}, {"n": {"$nin": []}}]),
    lambda forms: (
        st.tuples(st.sampled_from(["$and", "$or", "$nor"]), st.lists(forms, max_size=3)).map(
            lambda pair: {pair[0]: pair[1]}
        )
        | forms.map(lambda form: {"$not": form})
    ),
    max_leaves=6,
)


@given(form=NOTHING_ASKED)
def test_where_nothing_is_asked_a_filter_is_refused_or_deletes_nothing(
    shelf: tiercel.Collection, form: dict[str, Any]
) -> None:
    passing = shelf.count(filter=form)
    assert passing in {0, 2}
    if passing:
        with pytest.raises(tiercel.InvalidInputError, match="expected a condition"):
            shelf.delete(filter=form)
    else:
        assert shelf.delete(filter=form) == 0
    assert len(shelf) == 2


def test_clear_empties_a_collection_for_good(shelf: tiercel.Collection) -> None:
    shelf.checkpoint()
    with tiercel.open(shelf.path, mode="r") as reader:
        with pytest.raises(tiercel.InvalidInputError, match="open for reading"):
            reader.clear()
        scan = shelf.scan()
        assert shelf.clear() == 2
        assert (len(shelf), shelf.count(filter=F("n") > 0), list(shelf.scan()), shelf.clear()) == (0, 0, [], 0)
        assert shelf.search([1, 0], "cat").ids == []
        assert [match.id for match in scan] == ["a", "b"], "a scan keeps its snapshot"
        assert len(reader) == 2
        reader.refresh()
        assert len(reader) == 0
    shelf.upsert(["b"], [[1, 1]], ["a new hen"])
    path = shelf.path
    shelf.compact()
    shelf.close()
    with tiercel.open(path) as again:
        assert contents(again) == {"b": ([1.0, 1.0], "a new hen", None)}
        assert again.search(text="cat hen").ids == ["b"]
        assert again.verify() == []


def test_an_index_can_be_cleared() -> None:
    index = tiercel.Index(2)
    index.add(np.eye(2))
    version = index.version
    assert (index.clear(), len(index), index.clear()) == (2, 0, 0)
    assert index.version > version
    assert index.search([1, 0], 3).ids.tolist() == []
    assert index.add([[1, 1]]).tolist() == [2], "counted on"
    assert index.get(2).tolist() == [1, 1]


def test_add_refuses_ids_that_have_a_record_and_then_adds_nothing(shelf: tiercel.Collection) -> None:
    known = [*shelf]
    before = shelf.get(known)
    assert shelf.add("new", [1, 0], "a text", {"n": 1}) == 1
    assert shelf.add(["newer", "newest"], [None, [0, 1]], metadata=[{"n": 2}, None]) == 2
    with pytest.raises(tiercel.ConflictError, match=rf"ids\[1\]: expected a new id, got '{known[0]}'") as caught:
        shelf.add(["fresh", known[0]], texts=["one", "two"])
    assert (caught.value.id, caught.value.expected, caught.value.actual) == (known[0], 0, before[0].sequence)
    with pytest.raises(tiercel.InvalidInputError, match="ids: expected different ids, got 'x' at 0 and 2"):
        shelf.add(["x", "y", "x"], texts=["one", "two", "three"])
    with pytest.raises(tiercel.InvalidInputError, match=r"vectors: expected 1"):
        shelf.add(["x"], [[1, 0], [0, 1]])
    with pytest.raises(TypeError, match="unexpected keyword argument 'if_sequence'"):
        shelf.add("x", texts="one", if_sequence=0)  # pyright: ignore[reportCallIssue]
    assert [*shelf] == [*known, "new", "newer", "newest"]
    assert shelf.get(known) == before
    assert shelf.add([]) == 0


def test_a_collection_iterates_over_its_ids_of_the_moment(shelf: tiercel.Collection) -> None:
    known = [match.id for match in shelf.scan()]
    ids = iter(shelf)
    shelf.upsert(["later"], texts=["unseen"])
    assert list(ids) == known
    shelf.upsert(known[:1], texts=["moved to the end"])
    assert list(shelf) == [*known[1:], "later", known[0]]
    shelf.close()
    with pytest.raises(tiercel.ClosedError):
        iter(shelf)


def test_memory_counts_vectors_as_soon_as_they_are_written(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "new", dim=64) as collection:
        collection.upsert([f"id-{row}" for row in range(500)], np.ones((500, 64), np.float32))
        assert collection.stats()["memory"]["vectors"] >= 500 * 64 * 4
