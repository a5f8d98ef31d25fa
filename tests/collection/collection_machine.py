"""A collection compared with a dictionary: rules for hypothesis, which draws their sequences."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from plain_filters import FILTERS, holds, outcome
from support.reference import METRICS, Metric, distances, tolerance

import tiercel

DIM: Final = 2
WORDS: Final = ["ant", "bee", "cow", "dog", "eel", "fox"]
# A graph begins beyond 8,192 vectors.
MANY: Final = 8500
ROOM: Final = 9000

SEEDS = st.integers(0, 2**32 - 1)
KS = st.sampled_from([1, 3, 10, 100])
IDS = st.lists(st.integers(0, 11).map("id{}".format), max_size=4)
COORDINATES = st.integers(-3, 3).map(lambda value: value + 0.5)
VECTORS = st.tuples(*[COORDINATES] * DIM)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
VALUES = st.sampled_from([None, True, 1, 1.0, 2, -1.5, "1", "a", "ab", "2024-05-01", [], ["a", 1], [True]])
METADATA = st.fixed_dictionaries(
    {}, optional={"a": VALUES, "b": VALUES, "c": st.fixed_dictionaries({}, optional={"d": VALUES})}
)
STORAGES = st.sampled_from(["auto", "raw", "sq8", "rabitq2", "pq2x8"])
# Words to find, required words, excluded words.
QUERIES = st.tuples(*[st.sets(st.sampled_from(WORDS), max_size=2)] * 3).filter(lambda words: words[0] | words[1])


def names(filter: Any) -> set[str]:
    """The fields that a filter names."""
    if isinstance(filter, list):
        return set[str]().union(*map(names, filter))
    if not isinstance(filter, dict):
        return set()
    inner = set[str]().union(*(names(value) for key, value in filter.items() if key.startswith("$")))
    return inner | {key for key in filter if not key.startswith("$")}


class Record(NamedTuple):
    """The expected content of a record."""

    vector: tuple[float, ...] | None
    text: str | None
    metadata: dict[str, Any] | None


RECORDS = st.builds(Record, st.none() | VECTORS, st.none() | TEXTS, st.none() | METADATA)


def is_allowed(text: str | None, query: tuple[set[str], set[str], set[str]]) -> bool:
    """Whether a text has everything that a query requires and nothing that it excludes."""
    _, required, excluded = query
    words = set((text or "").split())
    return required <= words and not excluded & words


def has_words(text: str | None, query: tuple[set[str], set[str], set[str]]) -> bool:
    """Whether a query finds a text."""
    some, required, _ = query
    return is_allowed(text, query) and bool(required or some & set((text or "").split()))


def as_query(query: tuple[set[str], set[str], set[str]]) -> str:
    some, required, excluded = (sorted(words) for words in query)
    return " ".join([*some, *(f"+{word}" for word in required), *(f"-{word}" for word in excluded)])


def patched(metadata: dict[str, Any], merge: dict[str, Any], remove: list[str]) -> dict[str, Any]:
    """Return metadata of at most two levels, with fields removed and then `merge` merged in."""
    left = {key: value for key, value in metadata.items() if key not in remove}
    inner = left.get("c")
    if isinstance(inner, dict) and "c.d" in remove:
        left["c"] = {}
    for key, value in merge.items():
        old = left.get(key)
        left[key] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    return left


class Machine(RuleBasedStateMachine):
    """A collection and its records in writing order: `many` for a graph, few for many checks."""

    # Called after each step.
    stepped: ClassVar[Callable[[], None] | None] = None

    def __init__(self, *, many: bool = False) -> None:
        super().__init__()
        self.many = many
        self.scratch = Path(tempfile.mkdtemp(prefix="tiercel-"))
        self.records: dict[str, Record] = {}
        # The batch that last wrote each of them.
        self.sequences: dict[str, int] = {}
        self.storage = "auto"
        self.copies = 0

    @initialize(metric=st.sampled_from(METRICS), seed=SEEDS)
    def make(self, metric: Metric, seed: int) -> None:
        self.metric: Metric = metric
        self.collection = tiercel.open(self.scratch / "it", dim=DIM, metric=metric, language=None, threads=1)
        if self.many:
            self.put_many(seed, MANY)
            # Otherwise each copy would build the graph itself when it is closed.
            self.collection.checkpoint()

    def teardown(self) -> None:
        if hasattr(self, "collection"):
            self.collection.close()
        shutil.rmtree(self.scratch)

    @rule(ids=IDS, data=st.data())
    def upsert(self, ids: list[str], data: st.DataObject) -> None:
        records = data.draw(st.lists(RECORDS, min_size=len(ids), max_size=len(ids)))
        self.put(ids, records)

    @precondition(lambda self: self.many)
    @rule(seed=SEEDS, count=st.sampled_from([100, 2000]))
    def upsert_many(self, seed: int, count: int) -> None:
        self.put_many(seed, count)

    def put_many(self, seed: int, count: int) -> None:
        """Once there are many records, most of the new ones replace others."""
        rng = np.random.default_rng(seed)
        ids = [f"many{number}" for number in rng.permutation(ROOM)[:count].tolist()]
        vectors = rng.standard_normal((count, DIM), dtype=np.float32)
        words = rng.choice(WORDS, count).tolist()
        values = rng.integers(0, 3, count).tolist()
        rows = zip(vectors.tolist(), words, values, strict=True)
        self.put(ids, [Record(tuple(vector), word, {"a": value}) for vector, word, value in rows])

    def put(self, ids: list[str], records: list[Record]) -> None:
        vectors = [record.vector for record in records]
        texts, metadata = [record.text for record in records], [record.metadata for record in records]
        assert self.collection.upsert(ids, vectors, texts, metadata) == len(set(ids))
        for id_, record in zip(ids, records, strict=True):
            self.records.pop(id_, None)
            self.records[id_] = record
        self.note(ids)

    def note(self, ids: list[str]) -> None:
        """Note that the newest batch wrote these ids."""
        written = {match.id: match.sequence for match in self.collection.get(ids, include=()) if match is not None}
        assert len(set(written.values())) <= 1
        assert all(sequence > max(self.sequences.values(), default=0) for sequence in written.values())
        self.sequences.update(written)

    @precondition(lambda self: not self.many)
    @rule(ids=IDS, data=st.data(), what=st.sampled_from(["upsert", "update_metadata", "delete"]))
    def write_if(self, ids: list[str], data: st.DataObject, what: str) -> None:
        """The write succeeds only if all records have the expected sequences."""
        ids = list(dict.fromkeys(ids))
        actual = [self.sequences[id_] if id_ in self.records else 0 for id_ in ids]
        expected = [data.draw(st.sampled_from([sequence] * 9 + [0, sequence + 1])) for sequence in actual]
        conflicts = [row for row in zip(ids, expected, actual, strict=True) if row[1] != row[2]]
        arguments: dict[str, Any] = {"if_sequence": expected}
        if what != "delete":
            arguments["metadata"] = [{"a": 7}] * len(ids)
        if conflicts:
            with pytest.raises(tiercel.ConflictError) as raised:
                getattr(self.collection, what)(ids, **arguments)
            assert raised.value.args[1:] == conflicts[0]
            return
        there = [id_ for id_ in ids if id_ in self.records]
        count = getattr(self.collection, what)(ids, **arguments)
        assert count == (len(ids) if what == "upsert" else len(there))
        for id_ in ids if what == "upsert" else there:
            old = self.records[id_] if what == "update_metadata" else self.records.pop(id_, None)
            if what == "upsert":
                self.records[id_] = Record(None, None, {"a": 7})
            elif what == "update_metadata" and old is not None:
                self.records[id_] = old._replace(metadata={"a": 7})
        if what != "delete":
            self.note(there if what == "update_metadata" else ids)

    @rule(ids=IDS, data=st.data())
    def update_metadata(self, ids: list[str], data: st.DataObject) -> None:
        ids = list(dict.fromkeys(ids))
        metadata = data.draw(st.lists(st.none() | METADATA, min_size=len(ids), max_size=len(ids)))
        there = [id_ for id_ in ids if id_ in self.records]
        assert self.collection.update_metadata(ids, metadata) == len(there)
        for id_, new in zip(ids, metadata, strict=True):
            if id_ in self.records:
                self.records[id_] = self.records[id_]._replace(metadata=new)
        self.note(there)

    @rule(ids=IDS, data=st.data())
    def update(self, ids: list[str], data: st.DataObject) -> None:
        ids = list(dict.fromkeys(ids))
        parts = data.draw(st.lists(RECORDS, min_size=len(ids), max_size=len(ids)))
        vectors, texts, metadata = ([part[at] for part in parts] for at in range(3))
        there = [id_ for id_ in ids if id_ in self.records]
        assert self.collection.update(ids, vectors, texts, metadata) == len(there)
        changed: list[str] = []
        for id_, part in zip(ids, parts, strict=True):
            if id_ not in self.records or part == Record(None, None, None):
                continue
            changed.append(id_)
            kept = self.records[id_]
            if part.vector is not None or part.text is not None:
                # It moves to the end.
                del self.records[id_]
            self.records[id_] = Record(*(old if new is None else new for new, old in zip(part, kept, strict=True)))
        self.note(changed)

    @rule(ids=IDS, merge=METADATA, remove=st.lists(st.sampled_from(["a", "b", "c", "c.d", "x"]), max_size=2))
    def patch_metadata(self, ids: list[str], merge: dict[str, Any], remove: list[str]) -> None:
        there = [id_ for id_ in dict.fromkeys(ids) if id_ in self.records]
        assert self.collection.patch_metadata(ids, merge, remove=remove) == len(there)
        for id_ in there:
            old = self.records[id_].metadata or {}
            self.records[id_] = self.records[id_]._replace(metadata=patched(old, merge, remove))
        self.note(there)

    @precondition(lambda self: not self.many)
    @rule()
    def clear(self) -> None:
        assert self.collection.clear() == len(self.records)
        self.records.clear()

    @rule(ids=IDS)
    def delete(self, ids: list[str]) -> None:
        there = self.records.keys() & set(ids)
        assert self.collection.delete(ids) == len(there)
        for id_ in there:
            del self.records[id_]

    @rule(filter=FILTERS)
    def delete_where(self, filter: dict[str, Any]) -> None:
        passing = self.passing(filter)
        if outcome(filter):
            with pytest.raises(tiercel.InvalidInputError, match="filter: expected a condition"):
                self.collection.delete(filter=filter)
            return
        refusal = ""
        try:
            assert self.collection.delete(filter=filter) == len(passing)
        except tiercel.InvalidInputError as error:
            refusal = str(error)
        if refusal:
            assert "expected a field that a record has" in refusal
            assert any(not self.passing({name: {"$exists": True}}) for name in names(filter))
            return
        for id_ in passing:
            del self.records[id_]

    @rule(ids=IDS)
    def get(self, ids: list[str]) -> None:
        for id_, match in zip(ids, self.collection.get(ids), strict=True):
            assert (match is not None) == (id_ in self.records) == (id_ in self.collection)
            if match is not None:
                assert self.as_record(match) == self.records[id_]

    @rule(query=VECTORS, k=KS, filter=st.none() | FILTERS, recall=st.sampled_from([1.0, None]))
    def search_by_vector(self, query: tuple[float, ...], k: int, filter: dict[str, Any] | None, recall: Any) -> None:
        found = self.collection.search(query, k=k, filter=filter, recall=recall, include=())
        passing = self.passing(filter)
        ids = [id_ for id_ in passing if passing[id_].vector is not None]
        assert len(found) == min(k, len(ids))
        if not ids:
            return
        vectors = np.array([passing[id_].vector for id_ in ids], np.float32)
        query_row = np.array([query], np.float32)
        near = distances(query_row, vectors, self.metric)[0]
        slack = tolerance(query_row, vectors, self.metric)[0]
        places = {id_: place for place, id_ in enumerate(ids)}
        rows = [places[id_] for id_ in found.ids]
        assert len(set(rows)) == len(rows)
        np.testing.assert_array_less(np.abs(found.distances - near[rows]), slack[rows] + 1e-30)
        assert (np.diff(found.distances) >= 0).all()
        if recall == 1:
            assert found.quality == "exact"
            assert (found.distances <= np.sort(near + slack)[: len(rows)]).all()

    @rule(query=QUERIES, filter=st.none() | FILTERS)
    def search_by_text(self, query: tuple[set[str], set[str], set[str]], filter: dict[str, Any] | None) -> None:
        expected = {id_ for id_, record in self.passing(filter).items() if has_words(record.text, query)}
        found = self.collection.search(
            text=as_query(query), syntax="operators", k=len(self.records) + 1, filter=filter, include=()
        )
        assert sorted(found.ids) == sorted(expected)
        assert (np.diff(found.scores) <= 0).all()

    @rule(vector=VECTORS, query=QUERIES, filter=st.none() | FILTERS)
    def search_by_both(
        self, vector: tuple[float, ...], query: tuple[set[str], set[str], set[str]], filter: dict[str, Any] | None
    ) -> None:
        found = self.collection.search(
            vector, as_query(query), syntax="operators", k=len(self.records) + 1, filter=filter
        )
        expected = {
            id_
            for id_, record in self.passing(filter).items()
            if is_allowed(record.text, query) and (record.vector is not None or has_words(record.text, query))
        }
        assert sorted(found.ids) == sorted(expected)
        for match in found:
            assert (match.text, match.metadata) == self.records[match.id][1:]

    @rule(filter=FILTERS)
    def count(self, filter: dict[str, Any]) -> None:
        assert self.collection.count(filter=filter) == len(self.passing(filter))

    @rule(filter=st.none() | FILTERS, limit=st.integers(1, 5))
    def scan(self, filter: dict[str, Any] | None, limit: int) -> None:
        expected = list(self.passing(filter))
        assert [match.id for match in self.collection.scan(filter=filter, include=())] == expected
        pages, after = [], None
        while not self.many:
            scan = self.collection.scan(filter=filter, limit=limit, after=after, include=())
            page, after = list(scan), scan.position
            assert len(page) <= limit
            if not page:
                break
            pages += page
        assert self.many or [match.id for match in pages] == expected

    @rule(down=st.booleans())
    def scan_in_order(self, down: bool) -> None:
        numbers: list[float] = []
        for match in self.collection.scan(order_by="-a" if down else "a", include=("metadata",)):
            value = (match.metadata or {}).get("a")
            if isinstance(value, int | float) and not isinstance(value, bool):
                numbers.append(value)
        assert numbers == sorted(numbers, reverse=down)

    @rule(what=st.sampled_from(["wait_idle", "checkpoint", "compact"]))
    def maintain(self, what: str) -> None:
        getattr(self.collection, what)()

    @rule(storage=STORAGES)
    def change_codes(self, storage: str) -> None:
        self.collection.compact(storage=storage)
        self.storage = storage

    @rule()
    def reopen(self) -> None:
        self.collection.close()
        self.collection = tiercel.open(self.scratch / "it", threads=1)

    @rule()
    def back_up(self) -> None:
        copy = self.copy()
        self.collection.backup(copy)
        self.check_copy(copy)

    @rule()
    def kill(self) -> None:
        """The files on disk while it is open are what a crash of the process leaves: everything."""
        copy = self.copy()
        # A crash happens at one moment, so copy again anything that was written to meanwhile.
        while True:
            before = self.written()
            shutil.copytree(self.collection.path, copy)
            if self.written() == before:
                break
            shutil.rmtree(copy)
        self.check_copy(copy)

    @invariant()
    def holds_what_was_written(self) -> None:
        if not hasattr(self, "collection"):
            return
        assert (len(self.collection), self.collection.storage) == (len(self.records), self.storage)
        if not self.many:
            self.check_all(self.collection)
        if Machine.stepped is not None:
            Machine.stepped()

    def copy(self) -> Path:
        self.copies += 1
        return self.scratch / f"copy-{self.copies}"

    def written(self) -> list[tuple[str, int, int]]:
        stats = ((path.name, path.stat()) for path in sorted(Path(self.collection.path).iterdir()))
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]

    def check_copy(self, path: Path) -> None:
        with tiercel.open(path, threads=1) as copy:
            self.check_all(copy)
            assert (copy.verify(), copy.storage) == ([], self.storage)
            assert len(copy.search(text=" ".join(WORDS), k=len(self.records) + 1)) == sum(
                bool(record.text) for record in self.records.values()
            )
        shutil.rmtree(path)

    def check_all(self, collection: tiercel.Collection) -> None:
        found = list(collection.scan(include=("text", "metadata", "vector")))
        assert [(match.id, self.as_record(match)) for match in found] == list(self.records.items())
        assert all(match.sequence == self.sequences[match.id] for match in found)

    def as_record(self, match: tiercel.Match) -> Record:
        vector = None if match.vector is None else tuple(match.vector.tolist())
        return Record(vector, match.text, match.metadata)

    def passing(self, filter: dict[str, Any] | None) -> dict[str, Record]:
        return {id_: record for id_, record in self.records.items() if filter is None or holds(filter, record.metadata)}
