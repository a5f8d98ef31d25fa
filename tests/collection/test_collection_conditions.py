"""Writes that require an unchanged record: `if_sequence`, and deletion by a filter."""

import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import tiercel
from tiercel import ConflictError, F


@pytest.fixture
def shelf(tmp_path: Path):
    with tiercel.open(tmp_path / "shelf", dim=2, durability="none") as collection:
        collection.upsert(["a", "b"], [[1, 0], [0, 1]], ["one", "two"], [{"n": 1}, {"n": 2}])
        yield collection


def sequences(collection: tiercel.Collection, *ids: str) -> list[int]:
    return [0 if match is None else match.sequence for match in collection.get(ids, include=())]


def contents(collection: tiercel.Collection) -> list[tuple[object, ...]]:
    return [(match.id, match.text, match.metadata, match.sequence) for match in collection.scan()]


def test_whatever_reads_a_record_tells_which_batch_wrote_it(shelf: tiercel.Collection) -> None:
    shelf.update_metadata(["b"], [{"n": 3}])
    expected = {"a": 1, "b": 2}
    for matches in (
        list(shelf.scan()),
        shelf.get(["a", "b"]),
        shelf.search([1, 1]),
        shelf.search(text="one two", include=()),
    ):
        assert {match.id: match.sequence for match in matches if match is not None} == expected
    path = shelf.path
    shelf.compact()
    shelf.close()
    with tiercel.open(path) as again:
        assert sequences(again, "a", "b", "c") == [1, 2, 0]


def test_a_write_counts_if_the_records_are_as_they_were_read(shelf: tiercel.Collection) -> None:
    a, b = sequences(shelf, "a", "b")
    assert shelf.upsert(["a", "c"], metadata=[{"n": 4}, None], if_sequence=[a, 0]) == 2
    assert shelf.update_metadata(["b"], [{"n": 5}], if_sequence=b) == 1
    assert shelf.delete(["a", "c"], if_sequence=sequences(shelf, "a", "c")) == 2
    assert [(match.id, match.metadata) for match in shelf.scan()] == [("b", {"n": 5})]


@pytest.mark.parametrize(
    ("write", "conflict"),
    {
        "changed": (lambda shelf: shelf.upsert(["x", "b"], if_sequence=[0, 1]), ("b", 1, 2)),
        "there": (lambda shelf: shelf.upsert(["b", "a"], if_sequence=0), ("b", 0, 2)),
        "gone": (lambda shelf: shelf.delete(["a", "x"], if_sequence=[1, 1]), ("x", 1, 0)),
        "metadata": (lambda shelf: shelf.update_metadata(["a"], [None], if_sequence=7), ("a", 7, 1)),
        "twice": (lambda shelf: shelf.upsert(["a", "a"], if_sequence=[1, 2]), ("a", 2, 1)),
    }.values(),
)
def test_a_conflict_is_named_and_changes_nothing(
    shelf: tiercel.Collection, write: Callable[[tiercel.Collection], int], conflict: tuple[str, int, int]
) -> None:
    shelf.update_metadata(["b"], [{"n": 3}])
    before = contents(shelf)
    with pytest.raises(ConflictError, match=f"record '{conflict[0]}'") as raised:
        write(shelf)
    assert (raised.value.id, raised.value.expected, raised.value.actual) == conflict
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.args) == (str(raised.value), raised.value.args)
    assert contents(shelf) == before
    assert shelf.upsert(["new"]) == 1
    assert sequences(shelf, "new") == [3], "a refused batch has no number"


@pytest.mark.parametrize(
    ("write", "message"),
    {
        "negative": (lambda shelf: shelf.upsert(["a"], if_sequence=-1), r"if_sequence: expected an int from 0"),
        "no int": (lambda shelf: shelf.delete(["a"], if_sequence="1"), r"if_sequence: expected an int from 0"),
        "few": (
            lambda shelf: shelf.delete(["a", "b"], if_sequence=[1]),
            r"if_sequence: expected 2, one for each id, got 1",
        ),
        "bool": (lambda shelf: shelf.update_metadata(["a"], [None], if_sequence=[True]), r"if_sequence\[0\]: expected"),
        "filter": (
            lambda shelf: shelf.delete(filter=F("n") == 1, if_sequence=1),
            "if_sequence: expected ids beside it",
        ),
    }.values(),
)
def test_what_is_no_sequence_is_refused(
    shelf: tiercel.Collection, write: Callable[[tiercel.Collection], int], message: str
) -> None:
    before = contents(shelf)
    with pytest.raises(tiercel.InvalidInputError, match=message):
        write(shelf)
    assert contents(shelf) == before


def test_no_update_of_many_threads_is_lost(shelf: tiercel.Collection) -> None:
    each, threads, conflicts = 40, 4, []

    def add() -> None:
        for _ in range(each):
            while True:
                (read,) = shelf.get(["a"])
                assert read is not None
                assert read.metadata is not None
                try:
                    shelf.update_metadata(["a"], [{"n": read.metadata["n"] + 1}], if_sequence=read.sequence)
                    break
                except ConflictError as conflict:
                    conflicts.append(conflict)

    workers = [threading.Thread(target=add) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    (counted,) = shelf.get(["a"])
    assert counted is not None
    assert counted.metadata == {"n": 1 + each * threads}
    assert all(conflict.actual > conflict.expected for conflict in conflicts)
