"""Seconds from vectors in memory to an index that is ready to search."""

import pytest
from engines import BUILD_THREADS, Engine
from pytest_benchmark.fixture import BenchmarkFixture
from workload import Workload


@pytest.mark.benchmark(group="build")
def bench_build(benchmark: BenchmarkFixture, engine: Engine, workload: Workload) -> None:
    index = benchmark.pedantic(engine.build, (workload.vectors,))
    workload.indexes[engine.name] = index
    benchmark.extra_info.update(engine=engine.name, threads=BUILD_THREADS, vectors=len(workload.vectors))
