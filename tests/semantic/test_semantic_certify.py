"""The proof of certified answers: vectors below the limit are nearer than any outside the list."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reference import METRICS, Metric, distances, tolerance

import tiercel
from tiercel.semantic.certify import limit, outside_bound, separation, slack, turned

NO_NORMS = (math.inf, 0.0)


def norms_of(vectors: np.ndarray, metric: Metric) -> tuple[float, float]:
    if metric == "l2":
        return NO_NORMS
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return float(norms.min()), float(norms.max())


def drawn(seed: int, dim: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors in clusters, some of them equal, and a query."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((6, dim))
    vectors = centres[rng.integers(0, 6, 200)] + rng.choice([0.0, 0.02, 0.3], (200, 1)) * rng.standard_normal(
        (200, dim)
    )
    return (vectors * scale).astype(np.float32), ((centres[0] + 0.1 * rng.standard_normal(dim)) * scale).astype(
        np.float32
    )


@pytest.mark.parametrize("metric", METRICS)
@given(
    seed=st.integers(0, 2**32 - 1),
    dim=st.sampled_from([1, 2, 5, 64]),
    scale=st.sampled_from([1e-30, 1e-22, 1e-3, 1.0, 1e8, 1e18]),
    keep=st.sampled_from([1, 20, 150, 200]),
    noise=st.sampled_from([0.0, 1e-9, 1e-3, 0.03, 0.3, 2.0]),
    longer=st.sampled_from([1.0, 1e-3, 7.0]),
)
def test_what_is_below_the_limit_is_nearer_than_all_that_is_outside(
    metric: Metric, seed: int, dim: int, scale: float, keep: int, noise: float, longer: float
) -> None:
    vectors, query = drawn(seed, dim, scale)
    rng = np.random.default_rng(seed)
    other = ((query.astype(np.float64) + noise * scale * rng.standard_normal(dim)) * longer).astype(np.float32)
    index = tiercel.Index(dim, metric)
    try:
        index.add(vectors)
        listed, found = (index.search(each, keep, recall=1) for each in (query, other))
    except tiercel.InvalidInputError:
        assert metric == "cosine", "a vector without a direction"
        return
    norms = norms_of(vectors, metric)
    farthest = float(listed.distances[-1]) if keep < len(vectors) else None
    known = outside_bound(metric, query, farthest, norms)
    if known is None or (metric == "dot" and not other.any()):
        return
    away = separation(metric, query, other)
    below = limit(metric, other, known, away=away, norms=norms)
    true = distances(other, vectors, metric)[0]
    rest = np.delete(true, listed.ids.astype(int))
    # By the truth, and by the distances of an exact search.
    near = index.search(other, keep, recall=1, filter=listed.ids)
    certain = near.distances[: int(near.counts)] < below
    if certain.any():
        last = int(near.ids[np.flatnonzero(certain)[-1]])
        assert np.min(rest, initial=np.inf) > true[last]
        count = int(certain.sum())
        assert np.array_equal(near.distances[:count], found.distances[:count])
        assert set(found.ids[:count].tolist()) <= set(listed.ids.tolist())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 100, 32_768])
@pytest.mark.parametrize("scale", [1e-22, 1.0, 1e15])
def test_distances_are_off_by_less_than_the_slack(metric: Metric, dim: int, scale: float, simd: str) -> None:
    rng = np.random.default_rng(dim)
    vectors = (rng.standard_normal((20, dim)) * scale).astype(np.float32)
    queries = np.concatenate([(rng.standard_normal((3, dim)) * scale).astype(np.float32), vectors[:2]])
    index = tiercel.Index(dim, metric)
    index.add(vectors)
    found = index.search(queries, 20, recall=1)
    true, stated = distances(queries, vectors, metric), tolerance(queries, vectors, metric)
    for at, query in enumerate(queries):
        order = found.ids[at].astype(int)
        off = np.abs(found.distances[at] - true[at, order])
        length = 1.0 if metric == "cosine" else float(np.linalg.norm(query.astype(np.float64)))
        if metric == "l2":
            allowed = true[at, order] * (dim / 4 + 16) * 2.0**-24 + dim * 2.0**-148
        else:
            allowed = np.full(20, slack(metric, dim, length, norms_of(vectors, metric)))
        assert (off <= allowed).all()
        assert (stated[at, order] <= allowed + 1e-44).all(), "less than twice what kernels are held to"


@given(
    cosine=st.floats(-1, 1),
    longest=st.sampled_from([1.0, 1e-9, 1e12]),
    angle=st.floats(0, math.pi),
    far=st.floats(0, 1),
)
def test_the_bound_of_products_is_the_least_there_is(cosine: float, longest: float, angle: float, far: float) -> None:
    product = cosine * longest
    away = 2 * math.sin(angle / 2)
    bound = turned(product, longest, away)
    # In the plane of both queries: any vector that is allowed.
    turns = np.linspace(-math.pi, math.pi, 2001)
    lengths = longest * np.array([[far], [1.0]])
    is_allowed = lengths * np.cos(turns) <= product
    reached = np.where(is_allowed, lengths * np.cos(turns - angle), -np.inf)
    assert reached.max() <= bound + 1e-9 * longest
    assert bound <= longest * math.cos(max(0.0, math.acos(cosine) - angle)) + 1e-6 * longest


@pytest.mark.parametrize("metric", METRICS)
def test_the_limit_is_nearer_than_the_last_by_twice_the_slack(metric: Metric) -> None:
    query = np.full(384, 0.5, np.float32)
    norms, length = (9.0, 11.0), float(np.linalg.norm(query))
    farthest = -70.0 if metric == "dot" else 0.4
    known = outside_bound(metric, query, farthest, norms)
    assert known is not None
    below = limit(metric, query, known, away=0.0, norms=norms)
    off = 0.4 * (384 / 4 + 16) * 2.0**-24 if metric == "l2" else slack(metric, 384, length, norms)
    assert farthest - below == pytest.approx(2 * off, rel=0.01)


def test_a_list_of_everything_leaves_nothing_outside() -> None:
    query = np.ones(3, np.float32)
    known = outside_bound("cosine", query, None, (1.0, 1.0))
    assert outside_bound("cosine", query, math.inf, (1.0, 1.0)) is None, "a distance that overflowed"
    assert known is not None
    assert limit("cosine", -query, known, away=2.0, norms=(1.0, 1.0)) == math.inf


def test_nothing_is_said_where_sums_may_overflow() -> None:
    query = np.full(4, 1e30, np.float32)
    assert outside_bound("dot", query, -1e20, (1.0, 1e10)) is None
    assert outside_bound("l2", query, math.nan, NO_NORMS) is None
    assert outside_bound("l2", query, -math.inf, NO_NORMS) is None
    known = outside_bound("dot", np.ones(4, np.float32), -1.0, (1.0, 1e10))
    assert known is not None
    assert limit("dot", query, known, away=0.0, norms=(1.0, 1e10)) == -math.inf
