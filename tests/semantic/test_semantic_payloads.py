"""Payloads by query vector: for the same query always, for a near one only within limits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel.semantic import PayloadCache

payloads = tiercel.SemanticCache.payloads


def turned(degrees: float) -> list[float]:
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees))), 0.0]


def test_the_same_query_gets_its_payload() -> None:
    cache = payloads(dim=3)
    answer = object()
    cache.put([1, 0, 0], answer)
    hit = cache.get(np.array([1.0, 0.0, 0.0]))
    assert hit is not None
    assert hit.payload is answer
    assert (hit.quality, hit.distance, hit.namespace) == ("exact", 0.0, "")
    assert cache.get(turned(0.1)) is None
    cache.put([1, 0, 0], None)
    assert cache.get([1, 0, 0]) is not None
    assert cache.get([1, 0, 0]).payload is None  # type: ignore[union-attr]
    assert (cache.stats()["exact"], cache.stats()["misses"], cache.stats()["entries"]) == (3, 1, 1)


def test_a_near_query_gets_it_within_the_threshold() -> None:
    cache = payloads(dim=3, threshold=0.01, audit=0)
    cache.put(turned(0), "a")
    hit = cache.get(turned(8))
    assert hit is not None
    assert (hit.payload, hit.quality) == ("a", "approximate")
    assert hit.distance == pytest.approx(1 - np.cos(np.radians(8)), abs=1e-6)
    assert cache.get(turned(9)) is None


@pytest.mark.parametrize(("metric", "near"), [("l2", 0.09), ("dot", 0.0), ("cosine", 0.0)])
def test_distances_are_of_the_metric(metric: Any, near: float) -> None:
    cache = payloads(dim=2, metric=metric, threshold=0.1, audit=0)
    cache.put([1, 0], "a")
    hit = cache.get([1.3, 0])
    assert hit is not None
    assert hit.distance == pytest.approx(near, abs=1e-6)


def test_an_equal_vector_with_another_text_is_another_query() -> None:
    cache = payloads(dim=3, threshold=0.1, audit=0)
    cache.put([1, 0, 0], "on", text="turn it on")
    assert cache.get([1, 0, 0], text="turn it off") is None
    assert cache.get([1, 0, 0]) is None
    assert cache.get([1, 0, 0], text="Turn it on!").quality == "approximate"  # type: ignore[union-attr]
    assert cache.get([1, 0, 0], text="turn it on").quality == "exact"  # type: ignore[union-attr]


def test_equal_vectors_with_different_texts_have_a_payload_each() -> None:
    cache = payloads(dim=3)
    texts = ("turn it on", "Turn it on", "", None)
    for text in texts:
        cache.put([1, 0, 0], f"about {text}", text=text)
    for text in texts:
        assert cache.get([1, 0, 0], text=text).payload == f"about {text}"  # type: ignore[union-attr]
    assert cache.stats()["entries"] == len(texts)
    cache.put([1, 0, 0], "replaced", text="turn it on")
    assert cache.get([1, 0, 0], text="turn it on").payload == "replaced"  # type: ignore[union-attr]
    assert cache.stats()["entries"] == len(texts)


def test_a_namespace_never_gets_what_another_put() -> None:
    cache = payloads(dim=3, threshold=2.0, audit=0)
    cache.put([1, 0, 0], "ada's", namespace="ada")
    assert cache.get([1, 0, 0], namespace="bob") is None
    assert cache.get([1, 0, 0]) is None
    assert cache.get(turned(1), namespace="ada").payload == "ada's"  # type: ignore[union-attr]


def test_hits_are_held_back_and_compared_with_what_is_put_instead() -> None:
    cache = payloads(dim=3, threshold=0.1, audit=1.0)
    cache.put(turned(0), "a")
    for degrees, payload in [(1, "a"), (2, "b"), (3, "a")]:
        assert cache.get(turned(degrees)) is None
        cache.put(turned(degrees), payload)
    stats = cache.stats()
    # The third is compared with that of the second, which lies nearer.
    assert (stats["audited"], stats["wrong"]) == (3, 2)
    assert stats["false_rate"][0] > 0.2
    cache.put(turned(50), "c")
    assert cache.stats()["audited"] == 3, "nothing was held back for this"


def test_whether_payloads_are_the_same_is_for_the_user_to_say() -> None:
    cache = payloads(dim=3, threshold=0.1, audit=1.0, same=lambda one, other: one.lower() == other.lower())
    cache.put(turned(0), "Yes")
    assert cache.get(turned(1)) is None
    cache.put(turned(1), "yes")
    assert (cache.stats()["audited"], cache.stats()["wrong"]) == (1, 0)


def test_reports_count_as_comparisons() -> None:
    cache = payloads(dim=3, threshold=0.1, audit=0)
    cache.put(turned(0), "a")
    exact, near = cache.get(turned(0)), cache.get(turned(1))
    assert exact is not None
    assert near is not None
    cache.report(exact, False)
    assert cache.stats()["audited"] == 0, "a payload of the very query is no matter of distance"
    cache.report(near, False)
    cache.report(near, True)
    assert (cache.stats()["audited"], cache.stats()["wrong"]) == (2, 1)


def test_a_target_of_errors_finds_the_threshold() -> None:
    """Labels by half circle: near its edge, a near query has the other label."""
    cache = payloads(dim=3, max_error=0.05, seed=3)
    rng = np.random.default_rng(1)
    wrong = given = 0
    for round_ in range(1500):
        degrees = rng.uniform(0, 360)
        label = degrees < 180
        hit = cache.get(turned(degrees))
        if hit is None:
            cache.put(turned(degrees), label)
            continue
        assert round_ > 70, "nothing is known yet"
        given += hit.quality == "approximate"
        wrong += hit.payload != label
    assert given > 500
    assert wrong / given < 0.05
    assert cache.stats()["thresholds"][""] > 0.0
    assert cache.stats()["approximate"] == given


def test_entries_are_bounded() -> None:
    cache = payloads(dim=3, entries=20)
    for degrees in range(100):
        cache.put(turned(degrees), degrees)
        assert cache.get(turned(0)).payload == 0  # type: ignore[union-attr]
    assert cache.stats()["entries"] <= 20
    assert cache.get(turned(99)) is not None
    assert cache.get(turned(50)) is None
    large = payloads(dim=3, bytes=100_000)
    large.put(turned(0), b"x" * 60_000)
    assert large.get(turned(0)) is None, "too large for this cache"
    large.clear()
    assert large.stats()["bytes"] == 0


def test_zeros_under_dot_are_refused_rather_than_lost() -> None:
    cache = payloads(dim=3, metric="dot", threshold=2.0, audit=0)
    for call in (cache.get, lambda vector: cache.put(vector, "a")):
        with pytest.raises(tiercel.InvalidInputError, match="vector: expected one with a direction under dot, got one"):
            call([0, 0, 0])


def test_arrays_are_compared_by_their_values() -> None:
    cache = payloads(dim=3, threshold=0.1, audit=1.0)
    cache.put(turned(0), np.arange(3))
    for degrees, payload in [(1, np.arange(3)), (2, np.arange(4)), (3, "text")]:
        assert cache.get(turned(degrees)) is None
        cache.put(turned(degrees), payload)
        assert cache.get(turned(degrees)).payload is payload  # type: ignore[union-attr]
    assert (cache.stats()["audited"], cache.stats()["wrong"]) == (3, 2)


def test_a_judgement_that_fails_is_none_and_the_payload_is_kept() -> None:
    def same(one: object, other: object) -> bool:
        raise OSError("the judge is unavailable")

    cache = payloads(dim=3, threshold=0.1, audit=1.0, same=same)
    cache.put(turned(0), "a")
    assert cache.get(turned(1)) is None
    cache.put(turned(1), "b")
    assert cache.get(turned(1)).payload == "b"  # type: ignore[union-attr]
    assert cache.stats()["audited"] == 0


def test_what_is_held_back_is_compared_with_what_is_put_for_the_same_text() -> None:
    cache = payloads(dim=3, threshold=0.1, audit=1.0)
    cache.put(turned(0), "a", text="alpha")
    assert cache.get(turned(1), text="alpha") is None
    cache.put(turned(1), "b", text="beta")
    assert cache.stats()["audited"] == 0
    cache.put(turned(1), "a", text="alpha")
    assert (cache.stats()["audited"], cache.stats()["wrong"]) == (1, 0)


@pytest.mark.parametrize("wrap", [lambda text: {"answer": text}, lambda text: [(text,)], lambda text: {text}])
def test_what_is_in_a_payload_counts_as_bytes(wrap: Callable[[str], object]) -> None:
    cache = payloads(dim=3, bytes=1 << 20)
    for at in range(60):
        cache.put(turned(at), wrap(chr(97 + at) * 50_000))
    assert 0 < cache.stats()["entries"] < 25
    round_: list[object] = []
    round_.append(round_)
    cache.put(turned(70), round_)
    assert cache.get(turned(70)).payload is round_  # type: ignore[union-attr]


def test_texts_count_as_bytes() -> None:
    cache = payloads(dim=3, bytes=1 << 20)
    for at in range(60):
        cache.put(turned(at), "a", text=" ".join(f"w{at}x{word}" for word in range(10_000)))
    assert 0 < cache.stats()["entries"] < 20
    assert cache.stats()["bytes"] <= 1 << 20


BAD: dict[str, Callable[[PayloadCache], object]] = {
    "vector: expected vectors of length 3, got 2": lambda cache: cache.get([1, 2]),
    "vector: expected finite values of float32, got inf at column 0": lambda cache: cache.put([np.inf, 0, 0], 1),
    "vector: expected a vector with a direction under cosine": lambda cache: cache.get([0, 0, 0]),
    "text: expected a str, got int": lambda cache: cache.get([1, 0, 0], text=1),  # type: ignore[arg-type]
    "namespace: expected a str, got NoneType": lambda cache: cache.get([1, 0, 0], namespace=None),  # type: ignore[arg-type]
    "hit: expected a Hit, got str": lambda cache: cache.report("a", True),  # type: ignore[arg-type]
    "dim: expected an int from 1 to 32768": lambda _: payloads(0),
    "metric: expected 'cosine' or 'dot' or 'l2', got array": lambda _: payloads(3, np.array([1, 2])),  # type: ignore[arg-type]
    "metric: expected 'cosine' or 'dot' or 'l2', got 'hamming'": lambda _: payloads(3, "hamming"),  # type: ignore[arg-type]
    "same: expected a callable": lambda _: payloads(3, same=1),  # type: ignore[arg-type]
    "threshold: expected a number": lambda _: payloads(3, threshold=np.nan),
}


@pytest.mark.parametrize("message", BAD)
def test_a_wrong_argument_is_named(message: str) -> None:
    cache = payloads(3)
    with pytest.raises(tiercel.InvalidInputError) as caught:
        BAD[message](cache)
    assert str(caught.value).startswith(message)
    assert cache.stats()["entries"] == 0
