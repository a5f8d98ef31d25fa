"""Time and memory of a new process that imports an engine, loads an index and answers queries."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from engines import Engine, Tiercel
from pytest_benchmark.fixture import BenchmarkFixture
from workload import Workload

SCRIPT = Path(__file__).with_name("resident.py")
PASSES = 3


@pytest.mark.benchmark(group="memory")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports resident memory")
def bench_memory(benchmark: BenchmarkFixture, engine: Engine, workload: Workload) -> None:
    path, (count, dim) = workload.file(engine), workload.vectors.shape
    command = [sys.executable, str(SCRIPT), engine.name, str(path), str(count), str(dim)]

    def start() -> dict[str, Any]:
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    memory = benchmark.pedantic(start, rounds=PASSES)
    benchmark.extra_info.update(
        engine=engine.name,
        bytes_per_vector=memory["resident_bytes"] / count,
        beside_vectors=memory["resident_bytes"] / count - 4 * dim,
        peak_bytes_per_vector=memory["peak_bytes"] / count,
    )
    if isinstance(engine, Tiercel):
        benchmark.extra_info["stats_beside_vectors"] = workload.index(engine).stats()["bytes_per_vector"]
