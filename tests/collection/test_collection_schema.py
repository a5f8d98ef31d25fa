"""Types of metadata fields: which values conform, and which are refused."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from support.naming import shown

import tiercel
from tiercel import F

SCHEMA: dict[str, Any] = {
    "year": int,
    "lang": str,
    "tags": list[str],
    "born": date,
    "score": float,
    "draft": bool,
    "author.name": str,
}
FINE: dict[str, Any] = {
    "year": 2020,
    "lang": "en",
    "tags": ["a", "b"],
    "born": "2024-05-01T10:00:00Z",
    "score": 1,
    "draft": False,
    "author": {"name": "Ann", "age": "unknown"},
    "free": [1, "two", None],
}


@pytest.fixture
def shelf(tmp_path: Path):
    with tiercel.open(tmp_path / "shelf", schema=SCHEMA) as collection:
        collection.upsert(["fine"], metadata=[FINE])
        yield collection


def test_it_is_kept(shelf: tiercel.Collection) -> None:
    assert shelf.schema == SCHEMA
    shelf.close()
    for same in (None, SCHEMA, dict(reversed(SCHEMA.items()))):
        with tiercel.open(shelf.path, schema=same) as again:
            assert again.schema == SCHEMA
    with pytest.raises(
        tiercel.InvalidInputError, match=r"schema: expected 'year': int, as in its schema, got 'year': str"
    ):
        tiercel.open(shelf.path, schema=SCHEMA | {"year": str})


def test_a_filter_names_fields_of_the_schema(shelf: tiercel.Collection) -> None:
    known = "author.name, born, draft, lang, score, tags, year"
    for ask in (
        lambda: shelf.count(filter=F("yaer") == 2020),
        lambda: shelf.search(text="x", filter=(F("year") == 2020) | ~F("yaer").exists()),
        lambda: shelf.scan(filter={"yaer": 2020}),
        lambda: shelf.delete(filter=F("yaer") != 2020),
    ):
        with pytest.raises(tiercel.InvalidInputError) as caught:
            ask()
        assert str(caught.value) == f"filter: expected a field of the schema ({known}), got 'yaer'"
    with pytest.raises(tiercel.InvalidInputError, match=r"order_by: expected a field of the schema .*, got 'yaer'"):
        shelf.scan(order_by="-yaer")
    with pytest.raises(tiercel.InvalidInputError, match=r"expand: expected a field of the schema .*, got 'lniks'"):
        shelf.search(text="x", expand=tiercel.Expand("lniks"))
    assert len(shelf) == 1


def test_without_a_schema_an_explained_search_names_the_fields_that_no_record_has(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "free") as free:
        free.upsert(["a", "b"], texts=["one", "one"], metadata=[{"year": 2020}, {"gone": 1, "none": None}])
        free.delete(["b"])
        asked = ((F("yaer") == 2020) | (F("year") == 2020)) & ~F("gone").exists() & ~F("none").exists()
        for _ in range(2):
            found = free.search(text="one", filter=asked, expand=tiercel.Expand("lniks"), explain=True)
            assert found.plan is not None
            assert (found.ids, found.plan["unknown_fields"]) == (["a"], ["yaer", "gone", "none", "lniks"])
        (many,) = free.search_many(texts=["one"], filter=F("yaer") == 1, explain=True)
        assert many.plan is not None
        assert many.plan["unknown_fields"] == ["yaer"]
        plain = free.search(text="one", explain=True)
        assert plain.plan is not None
        assert plain.plan["unknown_fields"] == []
        free.update_metadata(["a"], [{"yaer": 1}])
        found = free.search(text="one", filter=F("yaer") == 1, explain=True)
        assert found.plan is not None
        assert (found.ids, found.plan["unknown_fields"]) == (["a"], [])


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"year": "2020"},
            r"metadata\[1\]\['year'\]: expected int, as the schema says, got the string '2020', in .* 'bad'",
        ),
        ({"year": True}, r"'year'\]: expected int, .* got True"),
        ({"year": 2020.0}, r"'year'\]: expected int, .* got 2020.0"),
        ({"lang": 1}, r"'lang'\]: expected str, .* got 1"),
        ({"tags": "a"}, r"'tags'\]: expected list\[str\], .* got the string 'a'"),
        ({"tags": ["a", 1]}, r"'tags'\]: expected list\[str\]"),
        ({"born": "soon"}, r"'born'\]: expected date, .* got the string 'soon'"),
        ({"score": "1.5"}, r"'score'\]: expected float"),
        ({"score": True}, r"'score'\]: expected float"),
        ({"draft": 0}, r"'draft'\]: expected bool"),
        ({"author": {"name": ["Ann"]}}, r"'author.name'\]: expected str, .* got a list of 1"),
    ],
)
def test_metadata_that_do_not_agree_are_refused(
    shelf: tiercel.Collection, metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        shelf.upsert(["good", "bad"], metadata=[FINE, metadata])
    with pytest.raises(tiercel.InvalidInputError, match=message):
        shelf.update_metadata(["fine", "bad"], [FINE, metadata])
    assert len(shelf) == 1
    assert shelf.count(filter={"year": 2020}) == 1


def test_what_agrees(shelf: tiercel.Collection) -> None:
    nothing: dict[str, Any] = dict.fromkeys(FINE)
    assert shelf.upsert(["none", "empty", "bare"], metadata=[nothing, {}, None]) == 3
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    shelf.upsert(["dates"], metadata=[{"born": date(2024, 5, 1), "seen": moment, "score": 0.5, "tags": []}])
    dates = shelf.get(["dates"])[0]
    assert dates is not None
    assert dates.metadata == {"born": "2024-05-01", "seen": "2024-05-01T12:00:00+00:00", "score": 0.5, "tags": []}
    assert [match.id for match in shelf.scan(filter=F("born") < moment)] == ["fine", "dates"]


@pytest.mark.parametrize(
    "condition",
    [
        F("year") == "2020",
        F("year").in_([2020, "2021"]),
        F("year") < date(2024, 1, 1),
        F("year").contains(2020),
        F("year").startswith("20"),
        F("lang") > 1,
        F("tags") == "a",
        F("tags").contains(1),
        F("tags") < "a",
        F("born") == "soon",
        F("draft") == 0,
        ~((F("lang") == "en") | (F("author.name") == 3)),
    ],
    ids=shown,
)
def test_conditions_that_can_never_hold_are_refused(shelf: tiercel.Collection, condition: tiercel.Filter) -> None:
    for call in (
        lambda: shelf.search(text="a", filter=condition),
        lambda: shelf.count(filter=condition.to_dict()),
        lambda: shelf.scan(filter=condition),
        lambda: shelf.delete(filter=condition),
    ):
        with pytest.raises(
            tiercel.InvalidInputError, match=r"filter\['[a-z.]+'\]: expected a value that .* as the schema says"
        ):
            call()
    assert len(shelf) == 1


def test_conditions_that_can_hold(shelf: tiercel.Collection) -> None:
    for condition in (
        (F("year") == 2020.0) & (F("year") < 2020.5) & F("year").in_([None, 2020]),
        F("tags").contains("a") & (F("tags") == ["a", "b"]),
        (F("born") > date(2024, 5, 1)) & F("born").startswith("2024-05") & (F("born") != "2024-05-02"),
        (F("score") == 1) & (F("draft") == False) & ~(F("draft") == None),  # noqa: E711, E712
        F("author.name").startswith("A") & F("author").exists(),
    ):
        assert shelf.count(filter=condition) == 1, condition


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([("year", int)], "schema: expected a dict of types by field, got list"),
        ({"year": "int"}, r"schema\['year'\]: expected int, float, .* got 'int'"),
        ({"year": dict}, r"schema\['year'\]: expected int, .* got dict"),
        ({"year": list}, r"schema\['year'\]: .* got list"),
        ({"year": list[list[int]]}, r"schema\['year'\]: .* got list\[list\[int\]\]"),
        ({"year": [int]}, r"schema\['year'\]"),
        ({1: int}, "schema: expected names of fields"),
        ({"$eq": int}, "schema: expected names of fields"),
        ({"\ud800": int}, "schema: expected Unicode text"),
        ({str(field): int for field in range(257)}, "schema: expected at most 256 fields, got 257"),
    ],
)
def test_schemas_that_are_none(tmp_path: Path, schema: Any, message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        tiercel.open(tmp_path / "new", schema=schema)
    assert not (tmp_path / "new").exists()
