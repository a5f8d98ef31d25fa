"""Options and fixtures of the suites, and the facts about the machine that a result records."""

import importlib.metadata
import platform
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import ENGINES, Engine, is_installed
from workload import Workload, load

import tiercel

WORDNET = Path(__file__).resolve().parents[2] / "shared" / "data" / "wordnet"
WORKLOAD = pytest.StashKey[Workload]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tiercel")
    group.addoption(
        "--data",
        metavar="DIR",
        type=Path,
        default=WORDNET if WORDNET.exists() else None,
        help="directory of base.f16.npy and queries.f16.npy; without one, the sample included in tiercel",
    )
    group.addoption("--count", metavar="N", type=int, help="take the first N vectors only")


def pytest_configure() -> None:
    # Every requested engine may be missing; that is no error.
    warnings.filterwarnings("ignore", message="Not saving anything")


@pytest.fixture(scope="session")
def workload(pytestconfig: pytest.Config) -> Iterator[Workload]:
    with tempfile.TemporaryDirectory(prefix="tiercel-bench-") as directory:
        data, count = pytestconfig.getoption("--data"), pytestconfig.getoption("--count")
        pytestconfig.stash[WORKLOAD] = load(data, count, Path(directory))
        yield pytestconfig.stash[WORKLOAD]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    engine = ENGINES[request.param]
    if not is_installed(engine.module):
        pytest.skip(f"{engine.package} is not installed")
    return engine


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Record the facts that affect speed, without the name of the host."""
    cpu = machine_info["cpu"].get("brand_raw", platform.machine())
    machine_info.clear()
    machine_info.update(
        cpu=cpu,
        hardware=tiercel.hardware().to_dict(),
        system=platform.system(),
        python=platform.python_version(),
        packages=versions(),
    )
    if WORKLOAD in config.stash:
        workload = config.stash[WORKLOAD]
        machine_info["data"] = {
            "name": workload.name,
            "vectors": len(workload.vectors),
            "dim": workload.vectors.shape[1],
            "queries": len(workload.queries),
        }


def versions() -> dict[str, str]:
    """Versions of numpy and of the installed engines."""
    packages = {engine.package for engine in ENGINES.values() if is_installed(engine.module)}
    return {package: importlib.metadata.version(package) for package in sorted(packages | {"numpy"})}
