"""Common mistakes with a collection: each changes nothing, and the message shows the fix."""

import re
from collections.abc import Callable, Iterator
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
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
    """A data frame independent of pandas: its items are its columns."""

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
        cure = 'ids: expected a str or a list of them, got Table; pass one of its columns, such as frame["id"]'
        with pytest.raises(tiercel.InvalidInputError, match=re.escape(cure)):
            call(table, *arguments)  # pyright: ignore[reportArgumentType, reportCallIssue]
    ids = ["a", "b"]
    with pytest.raises(tiercel.InvalidInputError, match=re.escape("got Table; pass frame.to_dicts()")):
        zoo.upsert(ids, metadata=table)
    with pytest.raises(tiercel.InvalidInputError, match=r"merge: .* pass frame\.to_dicts\(\)"):
        zoo.patch_metadata(ids, table)
    with pytest.raises(tiercel.InvalidInputError, match=r"texts: .* pass one of its columns"):
        zoo.upsert(ids, texts=table)
    with pytest.raises(tiercel.InvalidInputError, match=r"texts: .* pass one of its columns"):
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
            tiercel.InvalidInputError, match=r'metadata: .* got DataFrame; pass frame.to_dict\("records"\)'
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
        lambda form: zoo.count(filter=form),
        lambda form: zoo.scan(filter=form),
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
        assert collection.count(filter={"range": {"$eq": {"gt": 5}}}) == 1
        assert collection.count(filter=F("range") == {"gt": 5}) == 1
        assert collection.count(filter={"in": {"gt": 5, "y": 1}}) == 1
        assert collection.count(filter={"range.gt": 5}) == 1
        assert collection.count(filter={"or": {"$eq": [{"x": 1}]}}) == 1
        assert collection.count(filter={"not": {"$exists": True}}) == 1
        assert collection.count(filter={"in": {}}) == 0


def test_what_this_process_has_open_is_not_said_to_be_anothers(tmp_path: Path) -> None:
    message = "already open in this process: close that collection, or use it"
    (tmp_path / "way").symlink_to(tmp_path / "zoo")
    with tiercel.open(tmp_path / "zoo") as collection:
        for path in (tmp_path / "zoo", tmp_path / "way"):
            with pytest.raises(tiercel.AlreadyOpenError, match=message):
                tiercel.open(path)
        assert len(collection) == 0
    tiercel.open(tmp_path / "way").close()


def refused(call: Callable[..., object], message: str, *arguments: Any, **named: Any) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=re.escape(message)):
        call(*arguments, **named)


def test_what_stands_in_another_place_is_told_where_it_goes(zoo: Collection) -> None:
    texts = "vectors: expected a numeric array, got texts; pass them as texts="
    for vectors in (["a lynx", "an owl"], [None, "an owl"], ("a lynx", "an owl"), np.array(["a lynx", "an owl"])):
        refused(zoo.upsert, texts, ["lynx", "owl"], vectors)
        refused(zoo.update, texts, ["cat", "hen"], vectors)
    refused(zoo.upsert, texts, "lynx", "a lynx")
    for condition in (F("legs") == 4, {"legs": 4}):
        refused(zoo.delete, f"got {type(condition).__name__}; pass a filter as filter=", condition)
        cure = f"got {type(condition).__name__}; pass a filter as filter="
        for query in ("cat", [1, 0], None):
            refused(zoo.search, f"text: expected a str, {cure}", query, condition)
            refused(zoo.search_many, f"texts: expected a list, {cure}", [query], condition)
        refused(zoo.search, f"vector: expected an array or a text, {cure}", condition)
        refused(zoo.search_many, f"vectors: expected an array or a list of texts, {cure}", condition)
    cat, hen = zoo.get("cat"), zoo.get("hen")
    refused(zoo.delete, "if_sequence: expected an int, got a Match; pass match.sequence", "cat", if_sequence=cat)
    refused(zoo.upsert, "if_sequence[1]: expected an int, got a Match", ["a", "b"], if_sequence=[0, hen])
    refused(zoo.update_metadata, "if_sequence[0]: expected an int", ["cat"], [{}], if_sequence=zoo.search("cat", k=1))


@pytest.mark.parametrize(
    ("given", "meant"), [("text", "texts"), ("vector", "vectors"), ("metadatas", "metadata"), ("durability", None)]
)
def test_an_argument_by_another_name_is_told_its_own(zoo: Collection, given: str, meant: str | None) -> None:
    for name in ("upsert", "update"):
        end = f"; did you mean {meant!r}?" if meant else ""
        message = f"Collection.{name}() got an unexpected keyword argument {given!r}{end}"
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            getattr(zoo, name)("cat", **{given: "a lynx"})


def test_a_search_by_one_ranking_alone_needs_what_that_ranks_by(zoo: Collection) -> None:
    text = "alpha: expected a text beside 0, which is the search by text alone, got only a vector"
    refused(zoo.search, text, [1, 0], alpha=0)
    refused(zoo.search_many, text, [[1, 0]], alpha=0)
    vector = "alpha: expected a vector beside 1.0, which is the search by vector alone, got only a text"
    refused(zoo.search, vector, "cat", alpha=1.0)
    refused(zoo.search_many, vector, ["cat"], alpha=1.0)
    assert zoo.search([1, 0], alpha=0.5, k=1).ids == zoo.search("cat", alpha=0.5).ids == ["cat"]


@pytest.mark.parametrize("gap", [float("nan"), np.float32("nan"), np.datetime64("NaT"), "pandas.NA", "pandas.NaT"])
def test_a_missing_value_is_called_so(zoo: Collection, gap: Any) -> None:
    if isinstance(gap, str):
        gap = getattr(pytest.importorskip("pandas"), gap.removeprefix("pandas."))
    got = {"NAType": "pandas.NA", "NaTType": "NaT", "datetime64": "NaT"}.get(type(gap).__name__, "nan")
    ids = ["a", "b"]
    refused(
        zoo.upsert, f"texts[1]: expected a str, got {got}; a missing value is None (record 'b')", ids, texts=["x", gap]
    )
    refused(
        zoo.upsert,
        f"vectors[1]: expected a vector, got {got}; a missing value is None (record 'b')",
        ids,
        [[1, 0], gap],
    )
    refused(zoo.update, f"vectors[0]: expected a vector, got {got}", ids, [gap, None])
    refused(
        zoo.upsert, f"ids[1]: expected a str, got {got}: a value is missing, and every record has an id", ["a", gap]
    )


def test_an_id_that_is_none_is_missing(zoo: Collection) -> None:
    refused(zoo.upsert, "ids[1]: expected a str, got None: a value is missing, and every record has an id", ["a", None])


@pytest.mark.parametrize(
    "join",
    [
        lambda: F("legs") > 500 & F("even"),  # pyright: ignore[reportOperatorIssue]
        lambda: F("legs") > 500 | (F("even") == True),  # noqa: E712  # pyright: ignore[reportOperatorIssue]
        lambda: (F("legs") > 500) & F("even"),  # pyright: ignore[reportOperatorIssue]
        lambda: F("even") & (F("legs") > 500),
        lambda: F("even") or (F("legs") > 500),
        lambda: not F("even"),
        lambda: ~F("even"),
    ],
)
def test_a_comparison_without_brackets_is_told_to_have_some(join: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"write each comparison in parentheses, as in \(F\("):
        join()


def test_in_before_a_field_is_told_to_be_contains() -> None:
    with pytest.raises(TypeError, match=re.escape("write F('tags').contains('new')")):
        assert "new" in F("tags")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("limit", "k"),
        ("top_k", "k"),
        ("n_results", "k"),
        ("where", "filter"),
        ("query", "text"),
        ("embedding", "vector"),
    ],
)
def test_arguments_of_other_libraries_are_told_their_name_here(zoo: Collection, name: str, meant: str) -> None:
    wrong: Any = {name: 5}
    with pytest.raises(TypeError, match=rf"search\(\) got an unexpected .* '{name}'; did you mean '{meant}'\?"):
        zoo.search("cat", **wrong)
    meant = {"text": "texts", "vector": "vectors"}.get(meant, meant)
    with pytest.raises(TypeError, match=rf"search_many\(\) got an unexpected .* '{name}'; did you mean '{meant}'\?"):
        zoo.search_many(["cat"], **wrong)
    with pytest.raises(TypeError, match=r"'includes'; did you mean 'include'\?"):
        zoo.search("cat", includes=[])  # pyright: ignore[reportArgumentType]


def test_a_number_in_the_place_of_a_text_is_told_to_be_k(zoo: Collection) -> None:
    for query in ("cat", [1, 0], None):
        refused(zoo.search, "text: expected a str, got int; pass the number of results as k=5", query, 5)


def test_many_texts_are_sent_to_search_many(zoo: Collection) -> None:
    for texts in (["cat", "hen"], ("cat",)):
        refused(zoo.search, "vector: expected an array or a text, got texts; search_many takes many", texts)


def test_a_time_of_day_is_told_what_will_do(zoo: Collection) -> None:
    refused(zoo.upsert, "a date, a datetime, a Decimal", "a", metadata={"t": time(3, 4)})
