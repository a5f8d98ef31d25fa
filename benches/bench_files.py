"""Write an index to a file, and read it back."""

from pathlib import Path

import pytest
from engines import Engine
from pytest_benchmark.fixture import BenchmarkFixture
from workload import Workload

PASSES = 3


@pytest.mark.benchmark(group="save")
def bench_save(benchmark: BenchmarkFixture, engine: Engine, workload: Workload, tmp_path: Path) -> None:
    path = tmp_path / "index"
    benchmark.pedantic(engine.save, (workload.index(engine), path), rounds=PASSES, warmup_rounds=1)
    benchmark.extra_info.update(engine=engine.name, file_bytes=path.stat().st_size)
    path.unlink()


@pytest.mark.benchmark(group="load")
def bench_load(benchmark: BenchmarkFixture, engine: Engine, workload: Workload) -> None:
    path, shape = workload.file(engine), workload.vectors.shape
    benchmark.pedantic(engine.load, (path, *shape), rounds=PASSES, warmup_rounds=1)
    benchmark.extra_info.update(engine=engine.name, file_bytes=path.stat().st_size)
