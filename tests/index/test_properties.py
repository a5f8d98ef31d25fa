"""Any sequence of calls answers like a dictionary of vectors searched with numpy."""

import copy
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.reference import METRICS, PADDING, Metric, Truth

import tiercel

# A codec is fitted beyond 1,024 vectors, and again when they have doubled.
COUNTS = st.sampled_from([0, 1, 2, 3, 10, 40, 40, 400, 400, 1100])
SEEDS = st.integers(0, 2**32 - 1)
KS = st.integers(1, 30)
STORAGES = ["auto", "sq4", "sq8", "rabitq1", "rabitq2", "rabitq3", "rabitq4", "f16", "bf16", "raw"]
ROOM = 4000


class Model(RuleBasedStateMachine):
    """An index compared with its expected vectors, by id, in the order of addition."""

    def __init__(self, metric: Metric, dtype: Any) -> None:
        super().__init__()
        self.metric: Metric = metric
        self.dtype = dtype
        self.vectors: dict[int, np.ndarray] = {}
        self.next = 0
        self.interrupted = False

    @initialize(dim=st.integers(1, 9), storage=st.sampled_from(STORAGES), seed=SEEDS)
    def make(self, dim: int, storage: Any, seed: int) -> None:
        self.dim = dim
        self.index = tiercel.Index(dim, self.metric, self.dtype, storage, m=4, ef_construction=20, seed=seed)

    def rows(self, seed: int, count: int) -> np.ndarray:
        """Vectors valid for all metrics; every second seed uses few values for equal distances."""
        rng = np.random.default_rng(seed)
        if seed % 2:
            return rng.integers(-2, 3, (count, self.dim)).astype(np.float32) + np.float32(0.5)
        return rng.standard_normal((count, self.dim), dtype=np.float32)

    def ids(self) -> np.ndarray:
        return np.array(list(self.vectors), np.uint64)

    def kept(self) -> np.ndarray:
        return np.array(list(self.vectors.values()), np.float32).reshape(-1, self.dim)

    def truth(self, queries: np.ndarray, rows: Any = slice(None)) -> Truth:
        return Truth(self.ids()[rows], self.kept()[rows], queries, self.metric)

    def remember(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        rounded = vectors.astype(np.float16).astype(np.float32) if self.dtype == "f16" else vectors
        self.vectors.update(zip(ids.tolist(), rounded, strict=True))
        self.next = max([self.next, *(ids + np.uint64(1)).tolist()])

    @precondition(lambda self: len(self.vectors) < ROOM)
    @rule(seed=SEEDS, count=COUNTS, threads=st.sampled_from([None, 1, 2]))
    def add_counted(self, seed: int, count: int, threads: int | None) -> None:
        vectors = self.rows(seed, count)
        ids = self.index.add(vectors, threads=threads)
        # A call that was interrupted late has used up its ids.
        first = int(ids[0]) if self.interrupted and count else self.next
        assert first >= self.next
        assert ids.tolist() == list(range(first, first + count))
        self.remember(ids, vectors)

    @precondition(lambda self: len(self.vectors) < ROOM)
    @rule(seed=SEEDS, count=COUNTS, top=st.sampled_from([2000, 10_000, 2**50]))
    def add_given(self, seed: int, count: int, top: int) -> None:
        # Removed ids are also added again.
        drawn = np.random.default_rng(seed + 1).integers(0, top, count, dtype=np.uint64)
        ids = np.array([one for one in dict.fromkeys(drawn.tolist()) if one not in self.vectors], np.uint64)
        vectors = self.rows(seed, len(ids))
        np.testing.assert_array_equal(self.index.add(vectors, ids), ids)
        self.remember(ids, vectors)

    @precondition(lambda self: self.vectors)
    @rule(seed=SEEDS, count=st.integers(1, 5), data=st.data())
    def add_what_is_refused(self, seed: int, count: int, data: st.DataObject) -> None:
        vectors, ids = self.rows(seed, count), np.arange(self.next, self.next + count, dtype=np.uint64)
        row = data.draw(st.integers(0, count - 1))
        match data.draw(st.sampled_from(["nan", "taken", "reserved", "length"])):
            case "nan":
                vectors[row, seed % self.dim] = np.nan
            case "taken":
                ids[row] = data.draw(st.sampled_from(list(self.vectors)))
            case "reserved":
                ids[row] = PADDING
            case _:
                ids = ids[1:]
        with pytest.raises((tiercel.InvalidInputError, tiercel.ConflictError)):
            self.index.add(vectors, ids)

    @precondition(lambda self: len(self.vectors) < ROOM)
    @rule(seed=SEEDS, count=COUNTS)
    def add_what_is_interrupted(self, seed: int, count: int) -> None:
        def interrupt(done: int, total: int) -> None:
            raise InterruptedError

        self.interrupted = True
        vectors, before = self.rows(seed, count), len(self.index)
        with pytest.raises(InterruptedError):
            self.index.add(vectors, progress=interrupt)
        assert len(self.index) - before in (0, count)
        if len(self.index) > before:
            # It came with the last report, when all were added.
            self.remember(self.index.ids[-count:], vectors)

    @precondition(lambda self: self.vectors)
    @rule(seed=SEEDS, share=st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0]))
    def remove(self, seed: int, share: float) -> None:
        rng = np.random.default_rng(seed)
        gone = rng.permutation(self.ids())[: round(share * len(self.vectors))]
        unknown = [self.next, 2**64 - 1]
        assert self.index.delete(np.concatenate([gone, gone[:2], np.array(unknown, np.uint64)])) == len(gone)
        for one in gone.tolist():
            del self.vectors[one]

    @rule(seed=SEEDS, k=KS, count=st.integers(1, 5))
    def search_exactly(self, seed: int, k: int, count: int) -> None:
        queries = self.rows(seed, count)
        self.truth(queries).check_exact(self.index.search(queries, k, recall=1), k)

    @rule(seed=SEEDS, k=KS, ef=st.sampled_from([None, 1, 30, 10**6]))
    def search(self, seed: int, k: int, ef: int | None) -> None:
        queries = self.rows(seed, 2)
        matches = self.index.search(queries, k, ef_search=ef)
        truth = self.truth(queries)
        if matches.quality == "exact":
            truth.check_exact(matches, k)
        else:
            assert [len(row) for row in truth.found(matches)] == [min(k, len(self.vectors))] * 2

    @precondition(lambda self: self.vectors)
    @rule(seed=SEEDS, k=KS, share=st.sampled_from([0.0, 0.01, 0.3, 0.9, 1.0]), by=st.sampled_from(["mask", "ids"]))
    def search_among_some(self, seed: int, k: int, share: float, by: str) -> None:
        mask = np.random.default_rng(seed).random(len(self.vectors)) < share
        allowed = (
            mask if by == "mask" else np.append(np.random.default_rng(seed).permutation(self.ids()[mask]), PADDING)
        )
        queries = self.rows(seed, 2)
        truth = self.truth(queries, np.flatnonzero(mask))
        truth.check_exact(self.index.search(queries, k, recall=1, filter=allowed), k)
        found = truth.found(self.index.search(queries, k, filter=allowed))
        assert [len(row) for row in found] == [min(k, np.count_nonzero(mask))] * 2
        self.check_range(queries, truth, allowed)

    @rule(seed=SEEDS)
    def search_a_range(self, seed: int) -> None:
        queries = self.rows(seed, 3)
        self.check_range(queries, self.truth(queries), None)

    def check_range(self, queries: np.ndarray, truth: Truth, allowed: np.ndarray | None) -> None:
        radius = float(np.median(truth.low)) if truth.low.size else 0.0
        matches = self.index.range_search(queries, radius, filter=allowed)
        for query in range(len(queries)):
            part = slice(int(matches.offsets[query]), int(matches.offsets[query + 1]))
            places = truth.places(matches.ids[part]).tolist() if matches.ids[part].size else []
            assert len(set(places)) == len(places)
            low, high = truth.low[query], truth.high[query]
            assert set(np.flatnonzero(high < radius)) <= set(places) <= set(np.flatnonzero(low <= radius))
            assert ((low[places] <= matches.distances[part]) & (matches.distances[part] <= high[places])).all()

    @rule(seed=SEEDS)
    def get(self, seed: int) -> None:
        some = np.random.default_rng(seed).permutation(self.ids())[:50]
        given = np.array([self.vectors[one] for one in some.tolist()]).reshape(-1, self.dim)
        np.testing.assert_array_equal(np.array(self.index.get(some)).reshape(-1, self.dim), given)
        assert self.index.get([*some[:3], self.next])[-1] is None

    @rule(way=st.sampled_from(["file", "bytes", "pickle", "copy", "deepcopy"]))
    def replace(self, way: str) -> None:
        before = self.index
        match way:
            case "file":
                with tempfile.TemporaryDirectory() as directory:
                    path = Path(directory) / "index"
                    before.save(path)
                    self.index = tiercel.Index.load(path)
            case "bytes":
                self.index = tiercel.Index.from_bytes(before.to_bytes())
            case "pickle":
                self.index = pickle.loads(pickle.dumps(before))
            case "copy":
                self.index = copy.copy(before)
            case _:
                self.index = copy.deepcopy(before)
        assert self.index.to_bytes() == before.to_bytes()
        before.delete(before.ids)

    @rule()
    def optimize(self) -> None:
        self.index.optimize()

    @invariant()
    def holds_what_was_added(self) -> None:
        if hasattr(self, "index"):
            assert len(self.index) == len(self.vectors)
            assert self.index.ids.tolist() == list(self.vectors)
            assert self.next not in self.index


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("metric", METRICS)
def test_any_sequence_of_calls(simd: str, metric: Metric, dtype: str) -> None:
    run_state_machine_as_test(lambda: Model(metric, dtype))
