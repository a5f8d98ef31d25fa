"""Any sequence of calls to a semantic cache over a changing target: every answer is true."""

import tempfile
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.reference import METRICS, Metric
from truth import check_true

import tiercel
from tiercel import F

SEEDS = st.integers(0, 2**32 - 1)
NOISE = st.sampled_from([0.0, 1e-6, 0.01, 0.1, 1.0])
USERS = st.sampled_from(["", "ada"])


class IndexMachine(RuleBasedStateMachine):
    """An index and a cache over it, compared with a dictionary of vectors."""

    @initialize(
        metric=st.sampled_from(METRICS),
        dim=st.sampled_from([1, 2, 3, 16]),
        scale=st.sampled_from([1e-18, 1.0, 1e12]),
        keep=st.sampled_from([1, 5, 40]),
        entries=st.sampled_from([2, 100]),
        seed=SEEDS,
    )
    def make(self, metric: Metric, dim: int, scale: float, keep: int, entries: int, seed: int) -> None:
        self.metric, self.dim, self.scale = metric, dim, scale
        self.index = tiercel.Index(dim, metric)
        self.cache = tiercel.SemanticCache(self.index, keep=keep, entries=entries)
        self.there: dict[int, np.ndarray] = {}
        self.queries = [self.drawn(np.random.default_rng(seed), 1)[0]]
        self.add(seed, 60, range(60))

    def drawn(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Vectors of few values, so that many are equal or equally far."""
        rows = rng.integers(-2, 3, (count, self.dim)) + np.where(
            rng.random((count, 1)) < 0.5, 0.0, rng.random((count, self.dim))
        )
        rows[~rows.any(axis=1)] = 0.5
        return (rows * self.scale).astype(np.float32)

    @rule(seed=SEEDS, count=st.sampled_from([1, 5, 30]), ids=st.just(None))
    def add(self, seed: int, count: int, ids: range | None) -> None:
        rng = np.random.default_rng(seed)
        chosen = np.array(ids) if ids is not None else rng.choice(200, count, replace=False)
        self.index.delete(chosen)
        rows = self.drawn(rng, len(chosen)) * rng.choice([1.0, 1.0, 8.0]).astype(np.float32)
        self.index.add(rows, ids=chosen)
        self.there |= dict(zip(chosen.tolist(), rows, strict=True))

    @rule(seed=SEEDS, count=st.sampled_from([1, 5, 50]))
    def remove(self, seed: int, count: int) -> None:
        gone = np.random.default_rng(seed).choice(200, count, replace=False)
        self.index.delete(gone)
        for id_ in gone.tolist():
            self.there.pop(id_, None)

    @rule()
    def optimize(self) -> None:
        self.index.optimize()

    @rule(
        seed=SEEDS, noise=NOISE, k=st.sampled_from([1, 3, 10]), how=st.sampled_from(["all", "ids", "mask"]), user=USERS
    )
    def search(self, seed: int, noise: float, k: int, how: str, user: str) -> None:
        rng = np.random.default_rng(seed)
        query = self.queries[rng.integers(len(self.queries))] + (noise * self.scale * rng.standard_normal(self.dim))
        query = query.astype(np.float32)
        if not query.any():
            query[0] = self.scale
        self.queries = [*self.queries[-5:], query]
        allowed = {id_ for id_ in self.there if how == "all" or id_ % 3 > seed % 2}
        filter_: Any = {"all": None, "ids": sorted(allowed), "mask": np.isin(self.index.ids, sorted(allowed))}[how]
        matches = self.cache.search(query, k, filter=filter_, user=user)
        exact = self.index.search(query, k, filter=filter_, recall=1)
        count = int(matches.counts)
        assert matches.quality in {"exact", "certified"}
        assert np.array_equal(matches.distances, exact.distances)
        assert (count, matches.ids.shape) == (int(exact.counts), exact.ids.shape)
        assert (matches.ids[count:] == 2**64 - 1).all()
        there = {id_: self.there[id_] for id_ in allowed}
        check_true(matches.ids[:count].tolist(), matches.distances[:count], query, there, self.metric)


def test_any_sequence_of_calls_over_an_index() -> None:
    run_state_machine_as_test(IndexMachine)


class CollectionMachine(RuleBasedStateMachine):
    """A collection and a cache over it, compared with a dictionary of vectors and years."""

    @initialize(metric=st.sampled_from(METRICS), keep=st.sampled_from([1, 5, 40]), seed=SEEDS)
    def make(self, metric: Metric, keep: int, seed: int) -> None:
        self.metric: Metric = metric
        self.directory = tempfile.TemporaryDirectory()
        self.collection = tiercel.open(self.directory.name, dim=3, metric=metric, durability="none", threads=1)
        self.cache = tiercel.SemanticCache(self.collection, keep=keep)
        self.there: dict[str, tuple[np.ndarray, int]] = {}
        self.queries = [np.ones(3, np.float32)]
        self.upsert(seed, 60)

    def teardown(self) -> None:
        if hasattr(self, "collection"):
            self.collection.close()
            self.directory.cleanup()

    @rule(seed=SEEDS, count=st.sampled_from([1, 5, 30]))
    def upsert(self, seed: int, count: int) -> None:
        rng = np.random.default_rng(seed)
        ids = [f"id{number}" for number in rng.choice(100, count, replace=False)]
        rows = (rng.integers(-3, 3, (count, 3)) + 0.5).astype(np.float32)
        years = rng.integers(0, 3, count).tolist()
        self.collection.upsert(ids, rows, metadata=[{"year": year} for year in years])
        self.there |= dict(zip(ids, zip(rows, years, strict=True), strict=True))

    @rule(seed=SEEDS, count=st.sampled_from([1, 5, 30]))
    def delete(self, seed: int, count: int) -> None:
        gone = [f"id{number}" for number in np.random.default_rng(seed).choice(100, count, replace=False)]
        self.collection.delete(gone)
        for id_ in gone:
            self.there.pop(id_, None)

    @rule(seed=SEEDS)
    def update_metadata(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        ids, year = [f"id{number}" for number in rng.choice(100, 5, replace=False)], int(rng.integers(0, 3))
        self.collection.update_metadata(ids, [{"year": year}] * 5)
        self.there |= {id_: (self.there[id_][0], year) for id_ in ids if id_ in self.there}

    @rule(compact=st.booleans())
    def settle(self, compact: bool) -> None:
        self.collection.compact() if compact else self.collection.wait_idle()

    @rule(seed=SEEDS, noise=NOISE, k=st.sampled_from([1, 3, 10]), year=st.none() | st.integers(0, 2), user=USERS)
    def search(self, seed: int, noise: float, k: int, year: int | None, user: str) -> None:
        rng = np.random.default_rng(seed)
        query = self.queries[rng.integers(len(self.queries))] + (noise * rng.standard_normal(3)).astype(np.float32)
        self.queries = [*self.queries[-5:], query]
        filter_ = None if year is None else F("year") == year
        found = self.cache.search(query, k, filter=filter_, user=user)
        exact = self.collection.search(query, k=k, filter=filter_, recall=1)
        assert found.quality in {"exact", "certified"}
        assert np.array_equal(found.distances, exact.distances)
        there = {id_: row for id_, (row, its) in self.there.items() if year in {None, its}}
        check_true(found.ids, found.distances, query, there, self.metric)
        assert all(match.metadata == {"year": self.there[match.id][1]} for match in found)


def test_any_sequence_of_calls_over_a_collection() -> None:
    run_state_machine_as_test(CollectionMachine)
