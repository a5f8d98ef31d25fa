"""The same input and seed make the same index, byte for byte, whatever it was made on."""

from typing import Any

import numpy as np
import pytest
from container import sections
from reference import METRICS, Metric

import tiercel

COUNT, DIM = 9000, 8
STORAGES = ["sq4", "sq8", "raw"]


def rows(count: int = COUNT, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)


def build(metric: Metric, storage: Any, threads: int | None, seed: int = 0) -> tiercel.Index:
    """An index with a graph, made in several calls, with deletes between them."""
    index = tiercel.Index(DIM, metric, storage=storage, m=8, ef_construction=60, seed=seed)
    index.add(rows(5000), threads=threads)
    index.remove(np.arange(0, 5000, 7))
    index.add(rows(COUNT, seed=2), threads=threads)
    index.remove(np.arange(5000, COUNT, 11))
    index.add(rows(10, seed=3), threads=threads)
    index.optimize(threads=threads)
    return index


def content(index: tiercel.Index, *but: tuple[int, int]) -> bytes:
    """The bytes of the file, but for the time the build took, other parts of META by offset and length, and their checksum."""
    data = bytearray(index.to_bytes())
    (_, start, _), *_ = sections(bytes(data))
    for offset, length in ((72, 12), *but):
        data[start + offset : start + offset + length] = bytes(length)
    return bytes(data)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("storage", ["auto", *STORAGES])
def test_threads_do_not_show(simd: str, storage: str, metric: Metric) -> None:
    one = content(build(metric, storage, threads=1))
    for threads in (2, 5, None):
        assert content(build(metric, storage, threads)) == one


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("storage", ["sq4", "sq8"])
def test_instruction_sets_do_not_show(simd: str, storage: str, metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    forced = build(metric, storage, None)
    monkeypatch.delenv("TIERCEL_SIMD")
    best = build(metric, storage, None)
    assert forced.stats()["simd"] == simd
    # Codes are compared in integers; but the trial of a codec compares in floats, whose last bits may differ.
    assert content(forced, (64, 4)) == content(best, (64, 4))


@pytest.mark.parametrize("metric", METRICS)
def test_instruction_sets_find_the_same(simd: str, metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    forced, queries = build(metric, "raw", None), rows(100, seed=4)
    monkeypatch.delenv("TIERCEL_SIMD")
    best = build(metric, "raw", None)
    for settings in ({"recall": 1}, {"ef_search": 100}):
        one, two = forced.search(queries, 10, **settings), best.search(queries, 10, **settings)
        assert np.mean(one.ids == two.ids) >= 0.99
        np.testing.assert_allclose(one.distances, two.distances, rtol=1e-3, atol=1e-4)


def test_the_seed_shows(simd: str) -> None:
    assert content(build("l2", "sq8", None, seed=1)) != content(build("l2", "sq8", None, seed=2))


def test_searches_answer_the_same_again(simd: str) -> None:
    index, queries = build("l2", "auto", None), rows(50, seed=5)
    first = index.search(queries, 10)
    before = index.to_bytes()
    for threads in (1, 2, None, 1):
        again = index.search(queries, 10, threads=threads)
        np.testing.assert_array_equal(first.ids, again.ids)
        np.testing.assert_array_equal(first.distances, again.distances)
    assert index.to_bytes() == before
