"""The promise of `Collection.search_many`: the answers of single searches, together."""

import asyncio
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from texts import Letters

import tiercel
from tiercel import Expand, F, Found
from tiercel._core import CollectionCore

RNG = np.random.default_rng(5)
VECTORS = RNG.standard_normal((300, 6)).astype(np.float32)
QUERIES = RNG.standard_normal((40, 6)).astype(np.float32)
WORDS = ["red", "wine", "eel", "mud", "sleeping"]
TEXTS = [" ".join(RNG.choice(WORDS, 4)) for _ in VECTORS]
ASKED = ["red -mud", '"red wine"', "eel", "", *("wine sleeping",) * 36]


@pytest.fixture
def collection(tmp_path: Path):
    with tiercel.open(tmp_path, dim=6, durability="none") as collection:
        metadata = [{"at": at, "links": [str(at + 1), "none"]} for at in range(300)]
        collection.upsert(map(str, range(300)), VECTORS, TEXTS, metadata)
        yield collection


def content(found: Found) -> Any:
    return [(match.id, match.score, match.distance, match.text, match.highlights) for match in found], found.quality


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filter": F("at") < 50, "k": 3},
        {"syntax": "operators"},
        {"alpha": 1.0},
        {"alpha": 0.0, "syntax": "operators"},
        {"filter": F("at") < 0},
        {"recall": 1, "alpha": 0.3, "include": ["text", "highlights"]},
        {"mmr": 0.5, "expand": Expand(field="links", hops=2), "rrf_k": 60},
        {"expand": Expand(neighbours=3), "k": 1000},
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_answers_are_those_of_single_searches(collection: tiercel.Collection, options: Any, threads: int) -> None:
    for vectors, texts in ((QUERIES, None), (None, ASKED), (QUERIES, ASKED)):
        # A search by only one ranking needs its input.
        if {0.0: texts, 1.0: vectors}.get(options.get("alpha"), ASKED) is None:
            continue
        found = collection.search_many(vectors, texts, threads=threads, **options)
        for at, answer in enumerate(found):
            vector, text = None if vectors is None else vectors[at], None if texts is None else texts[at]
            assert content(answer) == content(collection.search(vector, text, **options)), at
        assert len(found) == 40


def test_a_reranker_sees_one_query_after_the_other(collection: tiercel.Collection) -> None:
    def longest(query: str, texts: Any) -> list[int]:
        seen.append(query)
        return [len(text) for text in texts]

    seen: list[str] = []
    many = collection.search_many(QUERIES, ASKED, rerank=longest, k=2)
    assert seen == ASKED
    alone = [collection.search(vector, text, rerank=longest, k=2) for vector, text in zip(QUERIES, ASKED, strict=True)]
    assert [content(found) for found in many] == [content(found) for found in alone]


def test_texts_are_embedded_where_there_is_an_embedder(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, embedder=Letters()) as collection:
        collection.upsert(["cat", "eel"], texts=["a cat sleeps", "an eel sleeps in mud"])
        texts = ["sleeping eels", "cats"]
        assert [content(found) for found in collection.search_many(texts=texts)] == [
            content(collection.search(text=text)) for text in texts
        ]


def test_an_iterator_of_parts_is_taken_beside_a_blank_text(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, embedder=Letters()) as collection:
        collection.upsert("cat", texts="a cat sleeps", metadata={"legs": 4})
        blank, found = collection.search_many(["", "cat"], include=iter(["text", "metadata"]))
        assert len(blank) == 0
        assert (found[0].text, found[0].metadata) == ("a cat sleeps", {"legs": 4})


def test_nothing_is_asked_and_nothing_is_there(collection: tiercel.Collection, tmp_path: Path) -> None:
    assert collection.search_many(np.empty((0, 6))) == collection.search_many(texts=[]) == []
    with tiercel.open(tmp_path / "empty", dim=6) as empty:
        assert [found.ids for found in empty.search_many(QUERIES[:2], ["a", "b"], mmr=0.5)] == [[], []]


class Watched:
    """The core of a collection, which notes how many threads it may start."""

    def __init__(self, core: Any, threads: list[int]) -> None:
        self.core, self.threads = core, threads

    def search_many(self, *arguments: Any) -> Any:
        self.threads.append(arguments[-1])
        return self.core.search_many(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)


def test_more_than_1024_threads_count_as_1024(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def core(*arguments: Any) -> Watched:
        threads.append(arguments[6])
        return Watched(CollectionCore(*arguments), threads)

    monkeypatch.setattr("tiercel.opening.CollectionCore", core)
    with tiercel.open(tmp_path, threads=5000) as collection:
        collection.upsert(["a", "b"], np.eye(2))
        for number in (5000, 1025, 1024, 3):
            found = collection.search_many(np.eye(2), k=1, threads=number)
            assert [each.ids for each in found] == [["a"], ["b"]]
    assert threads == [1024, 1024, 1024, 1024, 3]
    index = tiercel.Index(2)
    index.add(np.eye(2), threads=5000)
    assert index.search(np.eye(2), 1, threads=5000).ids.tolist() == [[0], [1]]


def test_explained(collection: tiercel.Collection) -> None:
    plans = [found.plan for found in collection.search_many(QUERIES, filter=F("at") < 150, explain=True)]
    assert all(plan is not None and (plan["way"], plan["selectivity"]) == ("vector", 0.5) for plan in plans)


def test_asynchronously(collection: tiercel.Collection) -> None:
    found = asyncio.run(collection.asearch_many(QUERIES, k=1))
    assert [answer.ids for answer in found] == [answer.ids for answer in collection.search_many(QUERIES, k=1)]


def test_ctrl_c_stops_it(tmp_path: Path) -> None:
    finished = False
    with tiercel.open(tmp_path, dim=64, durability="none") as collection:
        vectors = np.random.default_rng(1).standard_normal((4000, 64), dtype=np.float32)
        collection.upsert(map(str, range(4000)), vectors)
        many = np.tile(vectors, (30, 1))
        timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - whether the call itself was stopped is the point
            timer.start()
            collection.search_many(many, recall=1, k=100, include=(), threads=1)
            finished = True
        timer.join()
        assert not finished
        assert collection.search_many(vectors[:1])[0].ids[0] == "0"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.search_many(), "search_many: expected vectors, texts or both, got neither"),
        (lambda c: c.search_many(QUERIES, ["a"]), "vectors: expected 1, one per text, got 40"),
        (lambda c: c.search_many(QUERIES[0]), "vectors: expected a 2-D array, got one vector"),
        (lambda c: c.search_many(np.full((2, 6), np.nan)), "vectors: expected .* row 0"),
        (lambda c: c.search_many(QUERIES[:, :5]), "vectors: expected vectors of length 6, got 5"),
        (lambda c: c.search_many(texts="red"), "texts: expected a list, got str"),
        (lambda c: c.search_many(texts=["red", 1]), r"texts\[1\]: expected a str, got int"),
        (lambda c: c.search_many(texts=["\ud800"]), r"texts\[0\]: expected Unicode text"),
        (lambda c: c.search_many(QUERIES, k=0), "k: expected an int of at least 1, got 0"),
        (lambda c: c.search_many(QUERIES, threads=0), "threads: expected an int from 1 to 9223372036854775807, got 0"),
        (lambda c: c.search_many(QUERIES, rerank=len), "rerank: expected a text to search for, got a vector alone"),
        (lambda c: c.search_many(QUERIES, filter={"$no": 1}), "filter.*: expected a field"),
    ],
)
def test_what_is_wrong_is_named(collection: tiercel.Collection, call: Any, message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        call(collection)


def test_after_closing(collection: tiercel.Collection) -> None:
    collection.close()
    with pytest.raises(tiercel.ClosedError):
        collection.search_many(QUERIES)
