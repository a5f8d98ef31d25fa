"""Results are sequences that can be pickled, copied, compared, written as JSON and displayed."""

import copy
import json
import math
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel import Match, Neighbour
from tiercel.semantic.payloads import Hit

POINTS = [[0, 0], [3, 4], [6, 8], [30, 40]]
ALL: Any = ["text", "metadata", "vector", "highlights"]
READ: Any = ["text", "metadata", "vector"]


@pytest.fixture
def index() -> tiercel.Index:
    index = tiercel.Index(2, "l2")
    index.add(POINTS, ids=[7, 8, 9, 2**64 - 2])
    return index


@pytest.fixture
def pets(tmp_path: Path):
    with tiercel.open(tmp_path / "pets", dim=2, durability="none") as collection:
        texts, metadata = ["a cat <b>sleeps</b>", "a hen", None], [{"legs": 4}, {"legs": 2}, None]
        collection.upsert(["cat", "hen", "owl"], [[1, 0], [1, 1], None], texts, metadata)
        yield collection


def payload(index: tiercel.Index, _: tiercel.Collection) -> Any:
    payloads = tiercel.SemanticCache.payloads(dim=2)
    payloads.put([1, 0], np.arange(3))
    return payloads.get([1, 0])


ANSWERS: dict[str, Callable[[tiercel.Index, tiercel.Collection], Any]] = {
    "nearest of one": lambda index, pets: index.search([0, 0], 3),
    "nearest of many": lambda index, pets: index.search(POINTS[:2], 2),
    "nearest of none": lambda index, pets: index.search(np.empty((0, 2)), 2),
    "fewer than asked for": lambda index, pets: index.search([0, 0], 4, filter=[8]),
    "within of one": lambda index, pets: index.range_search([0, 0], 25),
    "within of many": lambda index, pets: index.range_search(POINTS, 25),
    "within of none": lambda index, pets: index.range_search(np.empty((0, 2)), 25),
    "found": lambda index, pets: pets.search([1, 0], "cat", include=ALL, explain=True),
    "found nothing": lambda index, pets: pets.search(text="nothing"),
    "found by a cache": lambda index, pets: tiercel.QueryCache(pets).search([1, 0], include=ALL),
    "certified": lambda index, pets: tiercel.SemanticCache(index, keep=4).search([0, 0], 1),
    "match": lambda index, pets: pets.search([1, 0], include=ALL)[0],
    "record": lambda index, pets: pets.get("cat", include=READ),
    "scanned": lambda index, pets: next(pets.scan(include=READ)),
    "payload": payload,
    "neighbour": lambda index, pets: index.search([0, 0], 1)[0],
}
TABLES = [name for name in ANSWERS if name not in {"match", "record", "scanned", "payload", "neighbour"}]


@pytest.mark.parametrize("make", ANSWERS.values(), ids=ANSWERS)
def test_answers_are_copied_pickled_and_compared(
    index: tiercel.Index, pets: tiercel.Collection, make: Callable[..., Any]
) -> None:
    answer = make(index, pets)
    copies = [copy.copy(answer), copy.deepcopy(answer)]
    copies += [pickle.loads(pickle.dumps(answer, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for copied in copies:
        assert type(copied) is type(answer)
        assert copied == answer
        assert (copied != answer) is False
        assert [copied].index(answer) == 0
        assert getattr(copied, "quality", "") == getattr(answer, "quality", "")
    assert make(index, pets) == answer
    assert answer != make(index, pets).to_dict()


@pytest.mark.parametrize("name", TABLES)
def test_answers_are_sequences(index: tiercel.Index, pets: tiercel.Collection, name: str) -> None:
    answer = ANSWERS[name](index, pets)
    listed = [*answer]
    assert isinstance(answer, Sequence)
    assert len(answer) == len(listed)
    assert [answer[at] for at in range(len(answer))] == listed
    assert [answer[at] for at in range(-len(answer), 0)] == listed
    assert [*reversed(answer)] == listed[::-1]
    for places in (slice(None), slice(1, None), slice(None, None, -1), slice(5, 1), slice(-2, None, 2)):
        assert answer[places] == listed[places]
    for at in (len(answer), -len(answer) - 1, 10**30):
        with pytest.raises(IndexError, match=f"^{type(answer).__name__}: index out of range$"):
            answer[at]
    with pytest.raises(TypeError, match=f"^{type(answer).__name__}: expected an int or a slice as the index, got str$"):
        answer["a"]
    for at, each in enumerate(listed):
        assert each in answer
        assert answer.index(each) <= at
        assert answer.count(each) >= 1
    with pytest.raises(ValueError, match=r"^"):
        answer.index("nobody")
    assert "nobody" not in answer


@pytest.mark.parametrize("make", ANSWERS.values(), ids=ANSWERS)
def test_answers_are_json(index: tiercel.Index, pets: tiercel.Collection, make: Callable[..., Any]) -> None:
    answer = make(index, pets)
    if isinstance(answer, Hit):
        assert answer.to_dict()["payload"].tolist() == [0, 1, 2]
        return
    document = answer.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    if isinstance(answer, Sequence) and hasattr(answer, "to_list"):
        rows = answer.to_list()
        assert json.loads(json.dumps(rows, allow_nan=False)) == rows == document["matches"]
        assert document["quality"] == answer.quality
        assert len(rows) == len(answer)


def test_what_the_elements_of_an_index_are(index: tiercel.Index) -> None:
    one, many = index.search([0, 0], 4, filter=[7, 8]), index.search(POINTS, 1)
    assert one.ids.shape == (4,)
    assert [*one] == [Neighbour(7, 0.0), Neighbour(8, 25.0)]
    assert one.to_list() == [{"id": 7, "distance": 0.0}, {"id": 8, "distance": 25.0}]
    assert [[near.id for near in row] for row in many] == [[7], [8], [9], [2**64 - 2]]
    assert many[1] == index.search(POINTS[1], 1)
    assert (many[1].ids.shape, many[1].counts.shape) == ((1,), ())
    within = index.range_search(POINTS, 25)
    assert [[near.id for near in row] for row in within] == [[7, 8], [8, 7, 9], [9, 8], [2**64 - 2]]
    assert within[1] == index.range_search(POINTS[1], 25)
    assert not index.search([0, 0], 1, filter=[])
    assert index.search([0, 0], 1) != index.search([[0, 0]], 1)
    assert index.search([0, 0], 1) != index.search([0, 0], 2)
    assert index.range_search([0, 0], 1) != index.range_search([[0, 0]], 1)


def test_a_pickle_that_is_none_is_refused(index: tiercel.Index) -> None:
    matches = index.search(POINTS, 2)
    restore, (ids, distances, counts, quality) = matches.__reduce__()
    assert restore(ids, distances, counts, quality) == matches
    for wrong in (
        (ids[:, :1].copy(), distances, counts, quality),
        (ids, distances, counts[:1], quality),
        (ids, distances, counts + np.uint64(1), quality),
        (ids[0], distances[0], counts, quality),
        (ids, distances, counts, "good"),
    ):
        with pytest.raises(tiercel.InvalidInputError, match="Matches: expected arrays that belong together"):
            restore(*wrong)


def ids_of(answers: list[Any]) -> list[list[Any]]:
    return [[each.id for each in answer] for answer in answers]


def test_answers_go_through_a_pool_of_processes(index: tiercel.Index, pets: tiercel.Collection) -> None:
    answers = [index.search([0, 0], 2), index.range_search([0, 0], 1), pets.search([1, 0], k=1)]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(ids_of, answers).result() == [[7, 8], [7], ["cat"]]


def test_there_is_no_score_where_nothing_was_ranked(pets: tiercel.Collection) -> None:
    assert [match.score for match in pets.scan()] == [None, None, None]
    assert [match and match.score for match in pets.get(["cat", "nobody"])] == [None, None]
    found = pets.search([1, 0], "cat", filter={"legs": {"$exists": True}}, rerank=lambda _, texts: [1.0] * len(texts))
    assert [match.score for match in found] == [1.0, 1.0]
    pets.upsert("ant", [1, 0.5])
    unscored = pets.search([1, 0], "cat", rerank=lambda _, texts: [1.0] * len(texts))[-1]
    assert (unscored.id, unscored.score) == ("ant", None)


def test_what_is_beyond_float32_is_none_in_json(tmp_path: Path) -> None:
    index = tiercel.Index(1, "l2")
    index.add([[3e38], [-3e38]])
    assert [near["distance"] for near in index.search([3e38], 2).to_list()] == [0.0, None]
    with tiercel.open(tmp_path / "far", dim=1, metric="l2") as collection:
        collection.upsert(["near", "far"], [[3e38], [-3e38]])
        found = collection.search([3e38])
        assert found.distances.tolist() == [0.0, math.inf]
        assert [(each["score"], each["distance"]) for each in found.to_list()] == [(0.0, 0.0), (None, None)]


def test_matches_differ_in_any_field(pets: tiercel.Collection) -> None:
    cat = pets.search([1, 0], "cat", include=ALL)[0]
    for change in (
        {"id": "hen"},
        {"score": None},
        {"text": None},
        {"metadata": {}},
        {"vector": None},
        {"vector": np.float32([1, 1])},
        {"vector": np.float32([1])},
        {"highlights": []},
        {"sequence": 9},
    ):
        other = Match(**cat._asdict() | change)  # type: ignore[arg-type]
        assert cat != other
        assert (cat == other) is False
    assert pets.search([1, 0]) != pets.search([1, 1])


def test_matches_are_compared_as_the_tuples_that_they_are(pets: tiercel.Collection) -> None:
    cat, again = (pets.search([1, 0], include=ALL)[0] for _ in range(2))
    assert cat == tuple(again)
    assert tuple(again) == cat
    assert [tuple(again)].index(cat) == 0
    assert (cat != tuple(again)) is False
    assert cat != tuple(again)[:-1]
    assert cat != ("cat",)
    assert sorted([cat, again]) == [cat, again]
    assert max(cat, again) == cat
    assert min(pets.get(["hen", "cat"], include=READ)).id == "cat"  # type: ignore[type-var]
    assert cat <= again
    assert cat >= tuple(again)
    assert not cat < again
    assert not cat > again
    assert cat._replace(vector=np.float32([0, 9])) < cat
    with pytest.raises(TypeError, match="'<' not supported"):
        assert cat < "cat"  # pyright: ignore[reportOperatorIssue]


def test_whether_a_match_can_be_hashed_does_not_hang_on_what_it_brings(
    index: tiercel.Index, pets: tiercel.Collection
) -> None:
    hits = [payload(index, pets), Hit("payload", "exact", 0.0, "")]
    for match in (pets.search([1, 0], include=[])[0], pets.search([1, 0], include=ALL)[0], *hits):
        with pytest.raises(TypeError, match="unhashable type"):
            hash(match)
    assert hits[0] == tuple(payload(index, pets))
    assert hits[0] != (1, 2)


@pytest.mark.parametrize("name", TABLES)
def test_jupyter_shows_a_table(index: tiercel.Index, pets: tiercel.Collection, name: str) -> None:
    answer = ANSWERS[name](index, pets)
    table = answer._repr_html_()
    is_batch = name.endswith(("many", "none"))
    elements = [each for row in answer for each in row] if is_batch else [*answer]
    assert table.count("<tr>") == 1 + len(elements)
    assert "<b>" not in table
    if name == "found":
        assert "a cat &lt;b&gt;sleeps&lt;/b&gt;" in table


def test_a_table_is_short() -> None:
    index = tiercel.Index(1, "l2")
    index.add(np.arange(1000)[:, None])
    table = index.search([0], 1000)._repr_html_()
    assert table.count("<tr>") == 51
    assert "and 950 more" in table
