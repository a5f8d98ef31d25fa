"""Approximate search at equal recall, on one thread: all queries in one call, and one per call."""

import itertools

import numpy as np
import pytest
from engines import Engine
from pytest_benchmark.fixture import BenchmarkFixture
from workload import LARGEST_EF_SEARCH, Workload

PASSES = 5
PASSES_OF_CALLS = 3
WARM_UP_CALLS = 200


@pytest.fixture(params=[0.95, 0.99])
def target(request: pytest.FixtureRequest) -> float:
    return request.param


@pytest.fixture
def ef_search(engine: Engine, target: float, workload: Workload) -> int:
    """Return the least effort that reaches the target recall, for a comparison at equal recall."""
    ef_search = workload.ef_search(engine, target)
    if ef_search is None:
        best = workload.recall(engine, LARGEST_EF_SEARCH)
        pytest.skip(f"{engine.name} only reaches recall {best:.3f}")
    return ef_search


@pytest.mark.benchmark(group="batch")
def bench_search_batch(
    benchmark: BenchmarkFixture, target: float, engine: Engine, ef_search: int, workload: Workload
) -> None:
    index, queries = workload.index(engine), workload.queries
    benchmark.pedantic(engine.search, (index, queries, ef_search), rounds=PASSES, warmup_rounds=1)
    benchmark.extra_info.update(
        engine=engine.name,
        target=target,
        recall=workload.recall(engine, ef_search),
        ef_search=ef_search,
        qps=len(queries) / benchmark.stats.stats.min,
    )


@pytest.mark.benchmark(group="calls")
def bench_search_calls(
    benchmark: BenchmarkFixture, target: float, engine: Engine, ef_search: int, workload: Workload
) -> None:
    index, queries = workload.index(engine), workload.queries
    following = itertools.cycle(queries)
    benchmark.pedantic(
        engine.search,
        setup=lambda: ((index, next(following), ef_search), {}),
        rounds=PASSES_OF_CALLS * len(queries),
        warmup_rounds=WARM_UP_CALLS,
    )
    seconds = np.array(benchmark.stats.stats.data)
    median, slow = np.percentile(seconds, [50, 99])
    benchmark.extra_info.update(
        engine=engine.name,
        target=target,
        recall=workload.recall(engine, ef_search),
        ef_search=ef_search,
        qps=len(queries) / seconds.reshape(PASSES_OF_CALLS, -1).sum(axis=1).min(),
        p50_us=median * 1e6,
        p99_us=slow * 1e6,
    )
