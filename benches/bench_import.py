"""`import tiercel` as a whole process, from start to end."""

import subprocess
import sys

import pytest
from engines import is_installed
from pytest_benchmark.fixture import BenchmarkFixture

PASSES = 15


@pytest.mark.benchmark(group="import")
@pytest.mark.parametrize("module", ["nothing", "numpy", "tiercel", "hnswlib", "faiss", "usearch.index"])
def bench_import(benchmark: BenchmarkFixture, module: str) -> None:
    if module == "nothing":
        program = "pass"
    elif is_installed(module):
        program = f"import {module}"
    else:
        pytest.skip(f"{module} is not installed")
    command = [sys.executable, "-c", program]
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=PASSES, warmup_rounds=2)
    benchmark.extra_info["engine"] = module
