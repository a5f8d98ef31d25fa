"""The promises of `expand`, `rerank` and `mmr`, compared with plain models of them."""

import importlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiercel
from tiercel import Expand, F
from tiercel.rerank import FastEmbedReranker, SentenceTransformersReranker

COUNT = 40
RNG = np.random.default_rng(3)
VECTORS = RNG.standard_normal((COUNT, 5)).astype(np.float32)
WITHOUT = {"4", "11", "30"}
"""Records without a vector."""
WORDS = ["red", "wine", "eel", "mud"]
METRICS: list[Literal["cosine", "dot", "l2"]] = ["cosine", "dot", "l2"]
TEXTS = [" ".join(RNG.choice(WORDS, 3)) for _ in range(COUNT)]
LINKS: list[Any] = [[str(to) for to in RNG.integers(-3, COUNT, RNG.integers(0, 4))] for _ in range(COUNT)]
LINKS[7], LINKS[8], LINKS[9] = "3", ["9", 5, None, "9"], {"not": "links"}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiercel.Collection]:
    with tiercel.open(tmp_path_factory.mktemp("stages"), dim=5, durability="none") as collection:
        rows = [None if str(at) in WITHOUT else vector for at, vector in enumerate(VECTORS)]
        metadata = [{"at": at, "in": {"links": LINKS[at]}} for at in range(COUNT)]
        collection.upsert(map(str, range(COUNT)), rows, TEXTS, metadata)
        yield collection


def unit(vector: Any) -> Any:
    return vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64))


def links_of(field_links: Any) -> list[str]:
    listed = field_links if isinstance(field_links, list) else [field_links]
    return [link for link in listed if isinstance(link, str)]


def nearest(name: str, count: int, allowed: set[str]) -> list[str]:
    if name in WITHOUT:
        return []
    cosines = {other: unit(VECTORS[int(other)]) @ unit(VECTORS[int(name)]) for other in allowed - WITHOUT - {name}}
    return sorted(cosines, key=lambda other: -cosines[other])[:count]


def reached(found: dict[str, float], leads: Callable[[str], list[str]], hops: int, decay: float) -> dict[str, float]:
    """The scores of all records reached from the found ones, including these."""
    scores: dict[str, float] = {}
    for start, score in found.items():
        seen, frontier = {start}, {start}
        for hop in range(1, hops + 1):
            frontier = {to for name in frontier for to in leads(name)} - seen
            seen |= frontier
            for name in frontier:
                handed = score * decay**hop if score >= 0 else score / decay**hop
                scores[name] = max(handed, scores.get(name, -math.inf))
    return scores | found


@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 12),
    hops=st.integers(1, 4),
    decay=st.sampled_from([1.0, 0.5, 0.3]),
    below=st.sampled_from([0, 15, COUNT]),
    neighbours=st.sampled_from([None, 1, 3]),
    way=st.sampled_from(["vector", "text", "hybrid"]),
)
def test_expansion_is_that_of_a_plain_walk(
    collection: tiercel.Collection,
    seed: int,
    k: int,
    hops: int,
    decay: float,
    below: int,
    neighbours: int | None,
    way: str,
) -> None:
    rng = np.random.default_rng(seed)
    asked: dict[str, Any] = {"k": k, "recall": 1, "filter": F("at") < below}
    asked |= {"vector": rng.standard_normal(5)} if way != "text" else {}
    asked |= {"text": str(rng.choice(WORDS))} if way != "vector" else {}
    allowed = {str(at) for at in range(below)}

    def leads(name: str) -> list[str]:
        if neighbours is not None:
            return nearest(name, neighbours, allowed)
        return [link for link in links_of(LINKS[int(name)]) if link in allowed]

    plain = collection.search(**asked)
    expected = reached(dict(zip(plain.ids, plain.scores.tolist(), strict=True)), leads, hops, decay)
    field = None if neighbours else "in.links"
    found = collection.search(**asked, expand=Expand(field=field, neighbours=neighbours, hops=hops, decay=decay))
    assert len(found) == min(k, len(expected))
    assert len(set(found.ids)) == len(found)
    np.testing.assert_allclose(found.scores, [expected[name] for name in found.ids], rtol=1e-5, atol=1e-6)
    best = sorted(expected.values(), reverse=True)[: len(found)]
    np.testing.assert_allclose(found.scores, best, rtol=1e-5, atol=1e-6)


def test_expansion_keeps_to_the_constraints_of_the_text(collection: tiercel.Collection) -> None:
    found = collection.search(text="red -mud", syntax="operators", k=COUNT, expand=Expand(field="in.links", hops=3))
    assert found.ids
    assert not any("mud" in (match.text or "") for match in found)


def test_expansion_ends_where_nothing_leads_on(collection: tiercel.Collection) -> None:
    plain = collection.search(text="red")
    for field in ("at", "none", "in", "in.links.deeper"):
        assert collection.search(text="red", expand=Expand(field=field, hops=16)).ids == plain.ids


def test_a_reached_record_has_no_distance(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=2) as collection:
        collection.upsert(["a", "b"], [[1, 0], None], metadata=[{"next": "b"}, {"next": ["a", "b"]}])
        found = collection.search([2, 0], expand=Expand(field="next", hops=16, decay=0.25))
        assert [(match.id, match.score, match.distance) for match in found] == [("a", 1.0, 0.0), ("b", 0.25, None)]


def test_expansion_is_bounded(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, durability="none") as collection:
        names = [str(at) for at in range(12_000)]
        collection.upsert(["hub", *names], texts=["hub", *[None] * 12_000], metadata=[{"to": names}, *[None] * 12_000])
        found = collection.search(text="hub", k=20_000, expand=Expand(field="to", hops=2), include=())
        assert len(found) == 10_001


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tiercel.Collection]]:
    """The same vectors and texts under each metric."""
    with ExitStack() as stack:
        collections: dict[str, tiercel.Collection] = {}
        for metric in METRICS:
            path = tmp_path_factory.mktemp(metric)
            collection = stack.enter_context(tiercel.open(path, dim=5, metric=metric, durability="none"))
            rows = [None if str(at) in WITHOUT else vector for at, vector in enumerate(VECTORS)]
            collection.upsert(map(str, range(COUNT)), rows, TEXTS)
            collections[metric] = collection
        yield collections


def similarity(metric: str, one: Any, other: Any) -> float:
    if metric == "l2":
        return -float(((one.astype(np.float64) - other.astype(np.float64)) ** 2).sum())
    if metric == "cosine":
        one, other = unit(one), unit(other)
    return float(one.astype(np.float64) @ other.astype(np.float64))


@settings(max_examples=settings.default.max_examples // 2)
@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 50),
    mmr=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    way=st.sampled_from(["vector", "text", "hybrid", "weighted"]),
    metric=st.sampled_from(METRICS),
    reranks=st.booleans(),
)
def test_diversity_is_that_of_the_formula(
    measured: dict[str, tiercel.Collection], seed: int, k: int, mmr: float, way: str, metric: str, reranks: bool
) -> None:
    rng, collection = np.random.default_rng(seed), measured[metric]
    query = rng.standard_normal(5).astype(np.float32)
    asked: dict[str, Any] = {"recall": 1} | ({"alpha": 0.3} if way == "weighted" else {})
    asked |= {"vector": query} if way != "text" else {}
    asked |= {"text": "red wine"} if way != "vector" or reranks else {}
    asked |= {"alpha": 1} if way == "vector" and reranks else {}
    asked |= {"rerank": by_letters} if reranks else {}
    ranked = collection.search(**asked, k=COUNT)
    scores = dict(zip(ranked.ids, ranked.scores.tolist(), strict=True))
    by_vector = way == "vector" and not reranks
    relevance, kind = dict(scores), metric if by_vector else "cosine"
    if not by_vector and not reranks:
        relevance = {name: score / max(scores.values()) for name, score in scores.items()}
    if by_vector:
        for name, score in scores.items():
            assert score == pytest.approx(similarity(metric, VECTORS[int(name)], query), abs=1e-4)

    def likeness(one: str, other: str) -> float:
        return 0.0 if {one, other} & WITHOUT else similarity(kind, VECTORS[int(one)], VECTORS[int(other)])

    def gain(name: str) -> float:
        return mmr * relevance[name] - (1 - mmr) * max((likeness(name, other) for other in chosen), default=0.0)

    found = collection.search(**asked, k=k, mmr=mmr)
    assert found.scores.tolist() == [scores[name] for name in found.ids]
    chosen: list[str] = []
    for name in found.ids:
        assert gain(name) >= max(map(gain, scores.keys() - set(chosen))) - 1e-4
        chosen.append(name)
    assert len(set(chosen)) == min(k, len(scores))


def by_letters(_query: str, texts: Sequence[str]) -> list[float]:
    return [text.count("e") / 4 - text.count("d") for text in texts]


def test_a_copy_is_not_diverse(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=2) as collection:
        collection.upsert(["one", "copy", "other"], [[1, 0], [1, 0], [0.8, 0.6]])
        assert collection.search([1, 0.1], k=2, mmr=0.5).ids == ["one", "other"]


def test_mmr_of_one_changes_nothing(collection: tiercel.Collection) -> None:
    for asked in ({"text": "red wine"}, {"vector": VECTORS[0], "text": "eel"}):
        assert collection.search(**asked, mmr=1).ids == collection.search(**asked).ids


def shortest(_query: str, texts: Sequence[str]) -> list[float]:
    return [-len(text) for text in texts]


def test_a_reranker_orders_the_best_candidates(collection: tiercel.Collection) -> None:
    seen: list[tuple[str, list[str]]] = []

    def by_mud(query: str, texts: Any) -> Any:
        seen.append((query, list(texts)))
        return np.array([text.count("mud") for text in texts], np.int8)

    found = collection.search(VECTORS[0], "red -wine", k=4, rerank=by_mud)
    plain = collection.search(VECTORS[0], "red -wine", k=COUNT)
    assert seen == [("red -wine", [match.text for match in plain])]
    expected = sorted(plain, key=lambda match: -(match.text or "").count("mud"))[:4]
    assert found.ids == [match.id for match in expected]
    assert [match.distance for match in found] == [match.distance for match in expected]
    assert found.scores.tolist() == [(match.text or "").count("mud") for match in expected]


@pytest.mark.parametrize(
    ("options", "depth"), [({}, 100), ({"k": 30}, 120), ({"k": 3, "rerank_depth": 5}, 5), ({"rerank_depth": 2}, 10)]
)
def test_how_many_a_reranker_sees(tmp_path: Path, options: Any, depth: int) -> None:
    def count(_query: str, texts: Sequence[str]) -> list[float]:
        counts.append(len(texts))
        return shortest("", texts)

    counts: list[int] = []
    with tiercel.open(tmp_path, durability="none") as collection:
        collection.upsert(map(str, range(200)), texts=["red " * (at + 1) for at in range(200)])
        collection.search(text="red", rerank=count, **options)
        collection.search(text="red", rerank=count, mmr=0.5, **options)
    assert counts == [depth, depth]


def test_records_without_a_text_come_after_those_with_one(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=2) as collection:
        collection.upsert(list("abcd"), [[9, 1], [9, 2], [9, 3], [9, 4]], [None, "longer", None, "short"])
        found = collection.search([9, 0], "x", rerank=shortest)
        assert found.ids == ["d", "b", "a", "c"]
        assert found.scores.tolist() == [-5, -6, -math.inf, -math.inf]
        assert collection.search([9, 0], "x", rerank=shortest, mmr=1).ids == found.ids
        collection.delete(["b", "d"])
        assert collection.search([9, 0], "x", rerank=shortest).ids == ["a", "c"]


def test_a_reranker_may_use_the_collection(tmp_path: Path) -> None:
    def busy(_query: str, texts: Sequence[str]) -> list[float]:
        collection.upsert(["new"], texts=["red"])
        assert collection.search(text="red", k=1)
        return shortest("", texts)

    with tiercel.open(tmp_path) as collection:
        collection.upsert(["a"], texts=["red wine"])
        assert collection.search(text="red", rerank=busy).ids == ["a"], "as it was when the search began"
        with pytest.raises(tiercel.ClosedError):
            collection.search(text="red", rerank=lambda _query, texts: (collection.close(), shortest("", texts))[1])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([1.0], "expected 2 scores, one per text, got shape \\(1,\\)"),
        ([[1.0], [2.0]], "got shape \\(2, 1\\)"),
        (3.0, "got shape \\(\\)"),
        (None, "expected 2 numbers, got NoneType"),
        ("ab", "expected 2 numbers"),
        ([True, False], "expected 2 numbers, got values of type bool"),
        ([1.0, math.nan], "expected finite scores, got nan for text 1"),
        ([1e300, 0], "expected finite scores, got inf for text 0"),
        (["a", "b"], "expected 2 numbers"),
        ([[1.0], [2.0, 3.0]], "expected a numeric array, got list"),
    ],
)
def test_bad_scores_are_refused(tmp_path: Path, returned: Any, message: str) -> None:
    with tiercel.open(tmp_path) as collection:
        collection.upsert(["a", "b"], texts=["red", "red wine"])
        with pytest.raises(tiercel.InvalidInputError, match=f"rerank: .*{message}"):
            collection.search(text="red", rerank=lambda _query, _texts: returned)
        assert collection.search(text="red", rerank=lambda _query, texts: (len(text) for text in texts)).ids == [
            "b",
            "a",
        ]  # pyright: ignore[reportArgumentType]


def test_errors_of_a_reranker_are_its_own(collection: tiercel.Collection) -> None:
    def fails(_query: str, _texts: Sequence[str]) -> list[float]:
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        collection.search(text="red", rerank=fails)
    assert collection.search(text="none of them", rerank=fails).ids == []


class CrossEncoder:
    """Like the class of sentence-transformers."""

    def __init__(self, name: str) -> None:
        self.name = name

    def predict(self, pairs: list[tuple[str, str]], show_progress_bar: bool | None = None) -> Any:
        assert show_progress_bar is False
        return np.array([-len(text) for _query, text in pairs], np.float32)


class TextCrossEncoder:
    """Like the class of fastembed."""

    def __init__(self, model_name: str) -> None:
        self.name = model_name

    def rerank(self, _query: str, documents: list[str]) -> Iterator[float]:
        return (float(-len(text)) for text in documents)


@pytest.mark.parametrize(
    ("adapter", "model", "name"),
    [
        (SentenceTransformersReranker, CrossEncoder, "sentence_transformers"),
        (FastEmbedReranker, TextCrossEncoder, "fastembed.rerank.cross_encoder"),
    ],
)
def test_adapters(
    collection: tiercel.Collection, monkeypatch: pytest.MonkeyPatch, adapter: Any, model: Any, name: str
) -> None:
    expected = collection.search(text="red", rerank=shortest).ids
    assert collection.search(text="red", rerank=adapter(model("given"))).ids == expected
    parts = name.split(".")
    packages = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    for package in packages:
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    setattr(importlib.import_module(name), model.__name__, model)
    assert collection.search(text="red", rerank=adapter("by name")).ids == expected
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match="is not installed: pip install"):
        adapter("by name")


def test_all_stages_together(collection: tiercel.Collection) -> None:
    found = collection.search(
        VECTORS[0],
        "red",
        k=5,
        filter=F("at") < 30,
        expand=Expand(neighbours=2),
        rerank=shortest,
        mmr=0.5,
        explain=True,
    )
    assert found.plan is not None
    names = [stage["name"] for stage in found.plan["stages"]]
    assert set(names[1:3]) == {"vector", "text"}
    assert names[:1] + names[3:] == ["filter", "fusion", "expand", "rerank", "mmr", "records"]
    assert all(stage["seconds"] >= 0 and stage["count"] >= 5 for stage in found.plan["stages"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Expand, "Expand: expected field or neighbours, got neither"),
        (lambda: Expand("links", 3), "Expand: expected field or neighbours, got both"),
        (lambda: Expand(""), "field: expected the name of a field, got an empty str"),
        (lambda: Expand(3), "field: expected a str, got int"),  # pyright: ignore[reportArgumentType]
        (lambda: Expand(neighbours=0), "neighbours: expected an int from 1 to 256, got 0"),
        (lambda: Expand("links", hops=17), "hops: expected an int from 1 to 16, got 17"),
        (lambda: Expand("links", hops=True), "hops: expected an int from 1 to 16, got True"),
        (lambda: Expand("links", decay=0), "decay: expected a number above 0 and at most 1, got 0"),
        (lambda: Expand("links", decay=1.5), "decay: expected a number from 0.0 to 1.0, got 1.5"),
        (lambda: Expand("links", decay=math.nan), "decay: expected a number"),
    ],
)
def test_expansions_that_are_none(make: Callable[[], Expand], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mmr": 1.5}, "mmr: expected a number from 0.0 to 1.0, got 1.5"),
        ({"mmr": True}, "mmr: expected a number"),
        ({"mmr": math.nan}, "mmr: expected a number"),
        ({"expand": "links"}, "expand: expected a tiercel.Expand, got str"),
        ({"rerank": "model"}, "rerank: expected a callable"),
        ({"rerank_depth": 10}, "rerank_depth: expected rerank beside it, got 10 alone"),
        ({"rerank": shortest, "rerank_depth": 0}, "rerank_depth: expected an int from 1 to 100000, got 0"),
        ({"rerank": shortest, "rerank_depth": np.array([1])}, "rerank_depth: expected an int"),
        ({"explain": None}, "explain: expected a bool, got NoneType"),
        ({"include": np.array(3)}, "include: expected a list, got ndarray"),
        ({"include": ["score"]}, "include: expected any of 'text', 'metadata', 'vector', 'highlights', got 'score'"),
        ({"include": np.zeros((2, 2))}, "include: expected any of 'text', .* got array"),
    ],
)
def test_options_that_are_none(collection: tiercel.Collection, options: Any, message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        collection.search(VECTORS[0], "red", **options)


def test_a_reranker_needs_a_text(collection: tiercel.Collection) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="rerank: expected a text to search for, got a vector alone"):
        collection.search(VECTORS[0], rerank=shortest)
