"""Fusion of the rankings by vector and by text: the promises of `alpha`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiercel
from tiercel import F

METRICS: list[Literal["cosine", "dot", "l2"]] = ["cosine", "dot", "l2"]
WORDS = ["red", "wine", "eel", "mud", "fox"]
COUNT = 60


@pytest.fixture(scope="module", params=METRICS)
def collection(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tiercel.Collection]:
    """Records with a vector, a text, both or neither; some are equal."""
    rng = np.random.default_rng(4)
    path = tmp_path_factory.mktemp(request.param)
    with tiercel.open(path, dim=3, metric=request.param, durability="none") as collection:
        vectors = rng.integers(-2, 3, (COUNT, 3)) + 0.5
        rows = [None if at % 5 == 0 else vector for at, vector in enumerate(vectors)]
        texts = [None if at % 7 == 0 else " ".join(rng.choice(WORDS, rng.integers(1, 6))) for at in range(COUNT)]
        metadata = [{"at": at} for at in range(COUNT)]
        collection.upsert([str(at) for at in range(COUNT)], rows, texts, metadata)
        yield collection


def content(found: tiercel.Found) -> list[Any]:
    return [(match.id, match.score, match.distance, match.text, match.highlights) for match in found]


QUERIES = st.tuples(*[st.integers(-3, 3).map(lambda value: value + 0.25)] * 3)
TEXTS = st.lists(st.sampled_from([*WORDS, "unknown"]), min_size=1, max_size=4).map(" ".join)


@given(query=QUERIES, text=TEXTS, k=st.sampled_from([1, 3, 10, 100]), below=st.sampled_from([0, 20, COUNT]))
def test_alpha_of_one_is_the_search_by_vector_and_of_zero_the_one_by_text(
    collection: tiercel.Collection, query: tuple[float, ...], text: str, k: int, below: int
) -> None:
    asked: dict[str, Any] = {"k": k, "filter": F("at") < below, "include": ("text", "highlights")}
    by_vector, by_text = collection.search(query, **asked), collection.search(text=text, **asked)
    only_vector, only_text = (collection.search(query, text, alpha=alpha, **asked) for alpha in (1, 0))
    assert [row[:4] for row in content(only_vector)] == [row[:4] for row in content(by_vector)]
    assert content(only_text) == content(by_text)


@given(query=QUERIES, text=TEXTS, alpha=st.sampled_from([0.01, 0.3, 0.5, 0.7, 0.99]))
def test_a_record_found_by_both_is_never_below_one_found_by_one_with_the_same_scores(
    collection: tiercel.Collection, query: tuple[float, ...], text: str, alpha: float
) -> None:
    by_vector = {match.id: match.score for match in collection.search(query, k=COUNT)}
    by_text = {match.id: match.score for match in collection.search(text=text, k=COUNT)}
    fused = {match.id: match.score for match in collection.search(query, text, alpha=alpha, k=COUNT)}
    assert fused.keys() == by_vector.keys() | by_text.keys()
    least = float("-inf")
    for one, score in fused.items():
        for other, lower in fused.items():
            pairs = [(scores.get(one, least), scores.get(other, least)) for scores in (by_vector, by_text)]
            if all(mine >= theirs for mine, theirs in pairs):
                assert score >= lower
    # As documented.
    best, worst = max(by_vector.values()), min(by_vector.values())
    lowest = worst - (best - worst) / 4
    for name, score in fused.items():
        of_vector = (by_vector[name] - lowest) / (best - lowest) if name in by_vector else 0.0
        of_text = by_text[name] / max(by_text.values()) if name in by_text else 0.0
        assert score == pytest.approx(alpha * of_vector + (1 - alpha) * of_text, abs=1e-5)


def test_the_worst_of_a_ranking_is_not_like_absent(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=2) as collection:
        vectors = [None, [1, 0], [0, 1], [-1, 0.5]]
        collection.upsert(["bare", "near", "far", "both"], vectors, ["mud", None, None, "mud"])
        assert collection.search([1, 0], "mud", alpha=1).ids == ["near", "far", "both"]
        assert collection.search([1, 0], "mud", alpha=0.5).ids[0] == "both"
        assert collection.search([1, 0], "mud", alpha=0.99, k=9).ids[-1] == "bare"


def test_a_ranking_without_weight_is_not_made(tmp_path: Path) -> None:
    with tiercel.open(tmp_path, dim=2) as collection:
        collection.upsert(["a", "b"], [[1, 0], [0, 1]], ["red wine", "red mud"])
        plans = [collection.search([1, 0], "red", alpha=alpha, explain=True).plan for alpha in (0, 0.5, 1)]
        assert [plan["way"] for plan in plans if plan] == ["text", "hybrid", "vector"]
        # Requirements of the text still apply.
        assert collection.search([1, 0], "red -wine", syntax="operators", alpha=1).ids == ["b"]
        assert collection.search([1, 0], 'red "no such"', syntax="operators", alpha=0).ids == ["a", "b"]


def test_weighted_fusion_is_asked_for_by_its_name_or_by_alpha(collection: tiercel.Collection) -> None:
    query, text = [0.25, 1.25, -0.75], " ".join(WORDS)
    weighted, by_rank = (collection.search(query, text, fusion=fusion, k=COUNT) for fusion in ("weighted", "rrf"))
    assert weighted == collection.search(query, text, alpha=0.5, k=COUNT)
    assert by_rank == collection.search(query, text, k=COUNT) == collection.search(query, text, rrf_k=5, k=COUNT)
    assert weighted != by_rank != collection.search(query, text, rrf_k=60, k=COUNT)
    assert collection.search(query, text, fusion="weighted", alpha=0) == collection.search(query, text, alpha=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "dbsf"}, "fusion: expected 'rrf' or 'weighted', got 'dbsf'"),
        ({"fusion": ["rrf"]}, "fusion: expected 'rrf' or 'weighted', got"),
        (
            {"fusion": "rrf", "alpha": 0.5},
            "alpha: expected fusion='weighted' beside it, got fusion='rrf' and alpha=0.5",
        ),
        ({"fusion": "weighted", "rrf_k": 5}, "rrf_k: expected fusion='rrf' beside it, got weighted fusion and rrf_k=5"),
        ({"alpha": 0.5, "rrf_k": 5.0}, "rrf_k: expected fusion='rrf' beside it, got weighted fusion and rrf_k=5.0"),
    ],
)
def test_fusion_refuses_what_would_have_no_effect(collection: tiercel.Collection, options: Any, message: str) -> None:
    for call in (
        lambda: collection.search([1, 0, 0], "red", **options),
        lambda: collection.search_many([[1, 0, 0]], ["red"], **options),
    ):
        with pytest.raises(tiercel.InvalidInputError, match=message):
            call()
