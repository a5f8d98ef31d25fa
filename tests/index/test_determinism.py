"""The same input and seed make the same index, byte for byte, on any machine."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from container import sections
from support.machine import LEVELS
from support.reference import METRICS, Metric

import tiercel

DIM = 8


def rows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)


@cache
def build(simd: str, metric: Metric, storage: Any, threads: int, seed: int = 0) -> tiercel.Index:
    """An index with a graph, made in several calls, with deletes between them. Tests share it, so
    do not change it.
    """
    index = tiercel.Index(DIM, metric, storage=storage, m=8, ef_construction=60, seed=seed)
    assert index.stats()["simd"] == simd
    index.add(rows(2500, seed=1), threads=threads)
    index.delete(np.arange(0, 2500, 7))
    index.add(rows(6000, seed=2), threads=threads)
    index.delete(np.arange(2500, 8000, 11))
    index.add(rows(10, seed=3), threads=threads)
    index.optimize(threads=threads)
    assert index.stats()["linked"] == 8510
    return index


def best(monkeypatch: pytest.MonkeyPatch, metric: Metric, storage: Any) -> tiercel.Index:
    monkeypatch.setenv("TIERCEL_SIMD", LEVELS[-1])
    return build(LEVELS[-1], metric, storage, 2)


# Parts of META by offset and length: the time of the build, and the trial of the codec.
TIME, TRIAL = [(72, 8)], [(64, 4), (80, 4)]


def content(index: tiercel.Index, but: list[tuple[int, int]]) -> bytes:
    """The bytes of the file, without some parts of META and its checksum."""
    data = bytearray(index.to_bytes())
    (_, start, length), *_ = sections(bytes(data))
    for offset, size in [*but, (length, 4)]:
        data[start + offset : start + offset + size] = bytes(size)
    return bytes(data)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("storage", ["sq4", "raw"])
def test_threads_do_not_show(simd: str, storage: str, metric: Metric) -> None:
    one, three = (content(build(simd, metric, storage, threads), TIME) for threads in (1, 3))
    assert one == three


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("storage", ["sq4", "sq8", "rabitq3", "rabitq4"])
def test_instruction_sets_do_not_show(simd: str, storage: str, metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    forced = build(simd, metric, storage, 2)
    # Codes are compared in integers, but their trial in floats, whose last bits may differ.
    but = TIME + TRIAL
    assert content(forced, but) == content(best(monkeypatch, metric, storage), but)


@pytest.mark.parametrize("metric", METRICS)
def test_instruction_sets_find_the_same(simd: str, metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    forced, queries = build(simd, metric, "raw", 2), rows(100, seed=4)
    for settings in ({"recall": 1}, {"ef_search": 100}):
        one = forced.search(queries, 10, **settings)
        two = best(monkeypatch, metric, "raw").search(queries, 10, **settings)
        assert np.mean(one.ids == two.ids) >= 0.99
        np.testing.assert_allclose(one.distances, two.distances, rtol=1e-3, atol=1e-4)


def test_the_seed_shows(simd: str) -> None:
    assert content(build(simd, "l2", "sq4", 2, seed=1), TIME) != content(build(simd, "l2", "sq4", 2), TIME)


def test_searches_answer_the_same_again(simd: str) -> None:
    index, queries = build(simd, "l2", "sq4", 2), rows(50, seed=5)
    first = index.search(queries, 10)
    before = index.to_bytes()
    for threads in (1, 2, None, 1):
        again = index.search(queries, 10, threads=threads)
        np.testing.assert_array_equal(first.ids, again.ids)
        np.testing.assert_array_equal(first.distances, again.distances)
    assert index.to_bytes() == before
