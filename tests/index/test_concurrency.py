"""Searches from many threads beside a writer: each answer is true of one state meanwhile."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.reference import Metric, Truth

import tiercel

DIM, K, SEARCHERS, END = 4, 10, 8, 9500
# Vectors by id: any state of the index is a set of ids.
VECTORS = np.random.default_rng(1).standard_normal((END, DIM), dtype=np.float32)
QUERIES = np.random.default_rng(2).standard_normal((40, DIM), dtype=np.float32)

Change = Callable[[tiercel.Index], object]


def adds(first: int, last: int) -> Change:
    return lambda index: index.add(VECTORS[first:last], ids=np.arange(first, last), threads=1)


def removes(ids: range) -> Change:
    return lambda index: index.delete(ids)


@dataclass
class Step:
    """A change, and the ids in the index after it."""

    change: Change
    ids: np.ndarray


def steps() -> list[Step]:
    """Batches of all sizes, past those that fit a codec and begin a graph, with deletes between."""
    ends = [700, 701, 1020, 1030, 2500, 6000, 8300, 8700, 8701, END]
    there: set[int] = set(range(500))
    made = []
    for first, last in zip([500, *ends], ends, strict=False):
        there |= set(range(first, last))
        made.append(Step(adds(first, last), np.array(sorted(there))))
        gone = range(first // 2, last, 9)
        there -= set(gone)
        made.append(Step(removes(gone), np.array(sorted(there))))
    back = sorted(set(range(END)) - there)
    made.append(Step(lambda index: index.add(VECTORS[back], ids=back, threads=1), np.arange(END)))
    made.append(Step(lambda index: index.optimize(threads=1), np.arange(END)))
    made.append(Step(removes(range(0, END, 2)), np.arange(1, END, 2)))
    return made


@dataclass
class Answer:
    """A search: the changes done before it, those begun by its end, and its result."""

    done: int
    begun: int
    query: int
    settings: dict[str, Any]
    matches: tiercel.Matches


class Traffic:
    """One writer, many searchers."""

    def __init__(self, index: tiercel.Index, changes: list[Step]) -> None:
        self.index, self.changes = index, changes
        self.begun = self.done = 0
        self.over = threading.Event()
        self.answered = threading.Condition()
        self.answers: list[list[Answer]] = [[] for _ in range(SEARCHERS)]
        self.errors: list[BaseException] = []

    def count(self) -> int:
        return sum(len(answers) for answers in self.answers)

    def write(self) -> None:
        for step in self.changes:
            # However few processors there are, searches run between any two changes.
            with self.answered:
                enough = self.count() + SEARCHERS
                assert self.answered.wait_for(lambda enough=enough: self.errors or self.count() >= enough, timeout=60)
            self.begun += 1
            step.change(self.index)
            self.done += 1

    def search(self, number: int) -> None:
        settings: list[dict[str, Any]] = [{"recall": 1}, {"ef_search": 200}, {}, {"recall": 1}]
        turn = number
        while not self.over.is_set():
            query, chosen, done = turn % len(QUERIES), settings[turn % len(settings)], self.done
            matches = self.index.search(QUERIES[query], K, **chosen)
            with self.answered:
                self.answers[number].append(Answer(done, self.begun, query, chosen, matches))
                self.answered.notify_all()
            turn += 7

    def guarded(self, call: Callable[..., None], *arguments: int) -> None:
        try:
            call(*arguments)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.errors.append(error)

    def run(self) -> list[Answer]:
        searchers = [threading.Thread(target=self.guarded, args=(self.search, at)) for at in range(SEARCHERS)]
        for thread in searchers:
            thread.start()
        self.guarded(self.write)
        self.over.set()
        for thread in searchers:
            thread.join()
        assert self.errors == []
        return [answer for answers in self.answers for answer in answers]


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_every_answer_is_true_of_a_state_meanwhile(simd: str, metric: Metric) -> None:
    index = tiercel.Index(DIM, metric, m=8, ef_construction=40)
    index.add(VECTORS[:500])
    changes = steps()
    states = [np.arange(500), *(step.ids for step in changes)]
    answers = Traffic(index, changes).run()
    np.testing.assert_array_equal(np.sort(index.ids), states[-1])
    assert index.stats()["linked"] > 8192
    everything = Truth(np.arange(len(VECTORS)), VECTORS, QUERIES, metric)
    recalls = []
    # Checking all of them may take too long.
    for at in np.random.default_rng(3).permutation(len(answers))[:1500]:
        answer = answers[at]
        query = slice(answer.query, answer.query + 1)
        possible = [everything.among(state, query) for state in states[answer.done : answer.begun + 1]]
        exact = answer.settings == {"recall": 1}
        assert any(is_answer_of(truth, answer.matches, exact) for truth in possible)
        if not exact:
            recalls.append(max(recall_in(truth, answer.matches) for truth in possible))
    assert len(recalls) >= len(changes)
    assert np.mean(recalls) >= 0.95


def is_answer_of(truth: Truth, matches: tiercel.Matches, exact: bool) -> bool:
    """Whether a state explains an answer: distinct known ids, true distances, complete if exact."""
    try:
        if exact:
            truth.check_exact(matches, K)
        else:
            assert [len(row) for row in truth.found(matches)] == [min(K, len(truth.ids))]
    except AssertionError:
        return False
    return True


def recall_in(truth: Truth, matches: tiercel.Matches) -> float:
    return truth.recall(matches, K) if is_answer_of(truth, matches, exact=False) else 0.0


def test_everything_may_be_called_at_once(simd: str) -> None:
    index = tiercel.Index(DIM, "l2", m=8, ef_construction=40)
    index.add(VECTORS[:2000])
    calls: list[Callable[[int], object]] = [
        lambda turn: index.add(VECTORS[:200] + 1, ids=10_000 * (turn + 1) + np.arange(200), threads=2),
        lambda turn: index.delete(10_000 * (turn + 1) + np.arange(0, 200, 3)),
        lambda _: index.search(QUERIES, K, threads=2),
        lambda turn: index.search(QUERIES, K, filter=np.arange(turn, 2000)),
        lambda _: index.range_search(QUERIES, 0.5),
        lambda _: tiercel.Index.from_bytes(index.to_bytes()),
        lambda _: index.optimize(threads=2),
        lambda _: (len(index), index.ids, list(index), 5 in index, index.stats(), repr(index)),
        lambda _: index.get(np.arange(0, 2000, 7)),
    ]
    errors: list[BaseException] = []

    def repeat(call: Callable[[int], object]) -> None:
        try:
            for turn in range(40):
                call(turn)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    ids = index.ids
    assert len(set(ids.tolist())) == len(ids)
    assert ids[:2000].tolist() == list(range(2000))
    np.testing.assert_array_equal(index.get(ids[:2000]), VECTORS[:2000])
    np.testing.assert_array_equal(index.get(ids[2000:]), VECTORS[ids[2000:] % 10_000] + 1)
    Truth(ids, np.array(index.get(ids)), QUERIES, "l2").check_exact(index.search(QUERIES, K, recall=1), K)
