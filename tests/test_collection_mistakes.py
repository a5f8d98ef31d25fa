"""Mistakes that are easily made with a collection: each is refused, changes nothing, and the message says what to write instead."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiercel
from tiercel import Collection, F


@pytest.fixture
def zoo(tmp_path: Path):
    with tiercel.open(tmp_path / "zoo", dim=2) as collection:
        collection.upsert(["cat", "hen"], [[1, 0], [0, 1]], ["a cat", "a hen"], [{"legs": 4}, {"legs": 2}])
        before = list(collection.scan())
        yield collection
        assert list(collection.scan()) == before


class Table:
    """A data frame that owes nothing to pandas: its items are its columns."""

    columns = ("id", "year")
    shape = (2, 2)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.columns)

    def to_dicts(self) -> list[dict[str, Any]]:
        raise NotImplementedError


def test_a_table_is_not_taken_for_the_names_of_its_columns(zoo: Collection) -> None:
    table: Any = Table()
    for call in (zoo.upsert, zoo.update_metadata, zoo.delete, zoo.get):
        arguments = [[{}, {}]] if call == zoo.update_metadata else []
        cure = 'ids: expected a str or a list of them, got Table; give one of its columns, as frame["id"]'
        with pytest.raises(tiercel.InvalidInputError, match=re.escape(cure)):
            call(table, *arguments)  # pyright: ignore[reportArgumentType, reportCallIssue]
    ids = ["a", "b"]
    with pytest.raises(tiercel.InvalidInputError, match=re.escape("got Table; give frame.to_dicts()")):
        zoo.upsert(ids, metadata=table)
    with pytest.raises(tiercel.InvalidInputError, match=r"merge: .* give frame\.to_dicts\(\)"):
        zoo.patch_metadata(ids, table)
    with pytest.raises(tiercel.InvalidInputError, match=r"texts: .* give one of its columns"):
        zoo.upsert(ids, texts=table)
    with pytest.raises(tiercel.InvalidInputError, match=r"texts: .* give one of its columns"):
        zoo.search_many(texts=table)
    with pytest.raises(tiercel.InvalidInputError, match="include: expected a list, got Table"):
        zoo.get("cat", include=table)
    with pytest.raises(tiercel.InvalidInputError, match="expected an iterable of values, got Table"):
        F("legs").in_(table)


def test_a_data_frame_is_refused_and_its_columns_are_taken(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": ["a", "b"], "text": ["x", "y"], "year": [2020, 2021]})
    with tiercel.open(tmp_path / "zoo") as collection:
        with pytest.raises(tiercel.InvalidInputError, match=r'ids: .* got DataFrame; .* frame\["id"\]'):
            collection.upsert(frame)
        with pytest.raises(
            tiercel.InvalidInputError, match=r'metadata: .* got DataFrame; give frame.to_dict\("records"\)'
        ):
            collection.upsert(frame["id"], metadata=frame[["year", "text"]])
        assert len(collection) == 0
        assert collection.upsert(frame["id"], texts=frame["text"], metadata=frame[["year"]].to_dict("records")) == 2
        assert collection.get("b").metadata == {"year": 2021}  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"legs": {"gt": 2}}, "filter['legs']: expected '$gt', or {'$eq': {...}} for a value, got 'gt'"),
        ({"legs": {"gte": 2, "lt": 9}}, "filter['legs']: expected '$gte', '$lt', or"),
        ({"$or": [{"a": 1}, {"$not": {"legs": {"in": [2]}}}]}, "filter['$or'][1]['$not']['legs']: expected '$in'"),
        ({"or": [{"legs": 2}, {"legs": 4}]}, "filter['or']: expected '$or', or {'$eq': ...} for a field of this name"),
        ({"not": {"legs": 2}}, "filter['not']: expected '$not'"),
    ],
)
def test_a_filter_whose_operators_lack_their_sign_is_refused(zoo: Collection, form: Any, message: str) -> None:
    for call in (
        zoo.count,
        zoo.scan,
        lambda form: zoo.delete(filter=form),
        lambda form: zoo.search("cat", filter=form),
    ):
        with pytest.raises(tiercel.InvalidInputError, match=re.escape(message)):
            call(form)


def test_a_dict_that_is_a_value_is_still_compared(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "zoo") as collection:
        collection.upsert(
            ["a", "b"], metadata=[{"range": {"gt": 5}, "or": [{"x": 1}]}, {"not": 3, "in": {"gt": 5, "y": 1}}]
        )
        assert collection.count({"range": {"$eq": {"gt": 5}}}) == 1
        assert collection.count(F("range") == {"gt": 5}) == 1
        assert collection.count({"in": {"gt": 5, "y": 1}}) == 1
        assert collection.count({"range.gt": 5}) == 1
        assert collection.count({"or": {"$eq": [{"x": 1}]}}) == 1
        assert collection.count({"not": {"$exists": True}}) == 1
        assert collection.count({"in": {}}) == 0


def test_what_this_process_has_open_is_not_said_to_be_anothers(tmp_path: Path) -> None:
    message = "already open in this process: close that collection, or use it"
    (tmp_path / "way").symlink_to(tmp_path / "zoo")
    with tiercel.open(tmp_path / "zoo") as collection:
        for path in (tmp_path / "zoo", tmp_path / "way"):
            with pytest.raises(tiercel.AlreadyOpenError, match=message):
                tiercel.open(path)
        assert len(collection) == 0
    tiercel.open(tmp_path / "way").close()
