"""The writes of each batch, and the state that must follow; all of it depends only on batch
numbers.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

import tiercel

DIM = 4
SEARCHED = 20


@dataclass(frozen=True, slots=True)
class Record:
    """The expected content of a record."""

    vector: tuple[float, ...] | None
    text: str
    metadata: dict[str, Any]


State: TypeAlias = dict[str, Record]
Kind: TypeAlias = Literal["upsert", "metadata", "delete", "delete_where", "checkpoint", "compact", "wait_idle"]


class Wrong(Exception):
    """A broken promise."""


@dataclass(frozen=True, slots=True)
class Writer:
    """One thread that writes; batch `n` is always the same."""

    number: int
    seed: int
    slots: int
    """Number of records that it writes repeatedly."""
    syncs: bool
    """Whether it also runs calls that sync all earlier batches, even those acknowledged too early."""

    def id(self, slot: int) -> str:
        return f"{self.number}-{slot}"

    def plan(self, batch: int) -> tuple[Kind, list[int]]:
        """The operation of batch `batch`, and the slots it affects."""
        rng = random.Random(f"{self.seed}/{self.number}/{batch}")
        weights: dict[Kind, int] = {"upsert": 70, "metadata": 10, "delete": 8, "delete_where": 4}
        if self.syncs:
            weights |= {"checkpoint": 4, "compact": 2, "wait_idle": 2}
        kind = rng.choices(list(weights), list(weights.values()))[0]
        largest = self.slots // (8 if kind == "upsert" else 30)
        return kind, rng.sample(range(self.slots), rng.randint(1, max(largest, 2)))

    def record(self, batch: int, slot: int) -> Record:
        """The record that batch `batch` puts into a slot; every ninth has no vector."""
        vector = np.random.default_rng([self.number, batch, slot]).standard_normal(DIM, dtype=np.float32)
        text = f"writer{self.number} batch{batch} slot{slot}"
        return Record(None if (batch + slot) % 9 == 0 else tuple(vector.tolist()), text, self.metadata(batch, slot))

    def metadata(self, batch: int, slot: int) -> dict[str, Any]:
        return {"writer": self.number, "batch": batch, "slot": slot}

    def condition(self, slots: Iterable[int]) -> dict[str, Any]:
        """The filter that `delete_where` uses."""
        return {"$and": [{"writer": self.number}, {"slot": {"$in": list(slots)}}]}

    def write(self, collection: tiercel.Collection, batch: int) -> None:
        """Execute batch `batch`."""
        kind, slots = self.plan(batch)
        ids = [self.id(slot) for slot in slots]
        match kind:
            case "upsert":
                records = [self.record(batch, slot) for slot in slots]
                vectors = [record.vector for record in records]
                collection.upsert(ids, vectors, [r.text for r in records], [r.metadata for r in records])
            case "metadata":
                collection.update_metadata(ids, [self.metadata(batch, slot) for slot in slots])
            case "delete":
                collection.delete(ids)
            case "delete_where":
                collection.delete(filter=self.condition(slots))
            case "checkpoint":
                collection.checkpoint()
            case "compact":
                collection.compact()
            case _:
                collection.wait_idle()

    def apply(self, state: State, batch: int) -> None:
        """Apply batch `batch` to a state."""
        kind, slots = self.plan(batch)
        for slot in slots:
            id_ = self.id(slot)
            if kind == "upsert":
                state[id_] = self.record(batch, slot)
            elif kind == "metadata" and id_ in state:
                state[id_] = Record(state[id_].vector, state[id_].text, self.metadata(batch, slot))
            elif kind in ("delete", "delete_where"):
                state.pop(id_, None)


class History:
    """Writers, the number of batches of each that are certainly stored, and the state after those."""

    def __init__(self, writers: int, seed: int, slots: int, *, syncs: bool) -> None:
        self.writers = [Writer(number, seed, slots, syncs) for number in range(writers)]
        self.done = [0] * writers
        self.states: list[State] = [{} for _ in self.writers]

    def check(self, collection: tiercel.Collection, acknowledged: Mapping[int, int], *, all_of_it: bool) -> None:
        """Compare with a collection after a crash; `acknowledged` maps writers to numbers of
        returned batches.

        The batch in progress of each writer may be present, as a whole. Unless `all_of_it` is
        promised, the latest batches may be missing. Raises `Wrong`.
        """
        found = contents(collection)
        for writer in self.writers:
            own = {id_: record for id_, record in found.items() if id_.startswith(f"{writer.number}-")}
            returned = acknowledged.get(writer.number, self.done[writer.number])
            if all_of_it:
                self._advance(writer, returned)
            before: State = {}
            while own != self.states[writer.number] and self.done[writer.number] <= returned:
                before = dict(self.states[writer.number])
                self._advance(writer, self.done[writer.number] + 1)
            if own != self.states[writer.number]:
                raise Wrong(f"writer {writer.number}: {difference(own, before, self.states[writer.number])}")
        if len(found) != sum(map(len, self.states)):
            raise Wrong("records that nobody wrote")
        check_searches(collection, found)
        check_that_it_goes_on(collection)

    def _advance(self, writer: Writer, done: int) -> None:
        for batch in range(self.done[writer.number], done):
            writer.apply(self.states[writer.number], batch)
        self.done[writer.number] = done


def contents(collection: tiercel.Collection) -> State:
    """Read all records."""
    state: State = {}
    for match in collection.scan(include=("text", "metadata", "vector")):
        if match.id in state:
            raise Wrong(f"{match.id} is there twice")
        if match.text is None or match.metadata is None:
            raise Wrong(f"{match.id} is only partly present")
        vector = None if match.vector is None else tuple(match.vector.tolist())
        state[match.id] = Record(vector, match.text, match.metadata)
    return state


def difference(own: State, before: State, after: State) -> str:
    """Describe how a state differs from both of two."""
    lost = [id_ for id_ in before if id_ not in own and id_ in after]
    others = [id_ for id_, record in own.items() if record not in (before.get(id_), after.get(id_))]
    parts = [id_ for id_, record in own.items() if id_ not in others and record != after.get(id_)]
    return (
        f"{len(lost)} records lost, {len(others)} older or never written, {len(parts)} without the rest of their batch"
    )


def check_searches(collection: tiercel.Collection, found: State) -> None:
    """Check that searches, counts and gets agree with the records themselves."""
    if len(collection) != len(found) or collection.count() != len(found):
        raise Wrong(f"{len(collection)} and {collection.count()} records counted, {len(found)} found")
    with_vector = {id_ for id_, record in found.items() if record.vector is not None}
    nearest = collection.search([1.0] * DIM, k=len(found) + 1, recall=1)
    if set(nearest.ids) != with_vector or len(nearest) != len(with_vector):
        raise Wrong(f"{len(nearest)} of {len(with_vector)} vectors found")
    for id_ in random.Random(len(found)).sample(sorted(found), min(SEARCHED, len(found))):
        record = found[id_]
        required = " ".join(f"+{word}" for word in record.text.split())
        if id_ not in collection.search(text=required, syntax="operators", k=3).ids:
            raise Wrong(f"{id_} is not found by its text")
        if collection.count(filter=record.metadata) != 1:
            raise Wrong(f"{collection.count(filter=record.metadata)} records are found by the metadata of {id_}")
        if collection.get([id_], include=())[0] is None:
            raise Wrong(f"{id_} is not found by its id")
    if damaged := collection.verify():
        raise Wrong(f"damaged: {damaged}")


def check_that_it_goes_on(collection: tiercel.Collection) -> None:
    """Check that writes after a crash survive closing and opening."""
    collection.upsert(["probe"], [[1.0] * DIM], ["a probe"], [{"probe": True}])
    collection.close()
    with tiercel.open(collection.path) as again:
        if again.search(text="probe").ids != ["probe"] or again.count(filter={"probe": True}) != 1:
            raise Wrong("what was written after the crash is lost")
        if damaged := again.verify():
            raise Wrong(f"damaged after it was closed: {damaged}")
