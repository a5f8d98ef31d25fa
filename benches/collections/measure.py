"""Measure times and sizes, and print progress."""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import tiercel

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table."""

    what: str
    value: float
    form: str
    """Format of the value, with its unit: `"{:,.0f} records/s"`."""
    wanted: str = ""
    note: str = ""

    def cells(self) -> list[str]:
        return [self.what, self.form.format(self.value), self.wanted, self.note]


HEADINGS = ["what", "measured", "target", "notes"]


def say(what: str) -> None:
    """Print the current step."""
    print(what, file=sys.stderr, flush=True)


def each(call: Callable[[Item], Any], items: Iterable[Item]) -> tuple[list[float], list[Any]]:
    """Call with one item after another; return the seconds and the results."""
    seconds, results = [], []
    for item in items:
        begin = time.perf_counter()
        result = call(item)
        seconds.append(time.perf_counter() - begin)
        results.append(result)
    return seconds, results


def p50_ms(seconds: Sequence[float]) -> float:
    return float(np.percentile(seconds, 50)) * 1e3


def seconds_of(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def smallest(efforts: Sequence[Item], reaches: Callable[[Item], bool]) -> Item:
    """Return the first effort that is enough, or the last one; more effort is never worse."""
    low, high = 0, len(efforts) - 1
    while low < high:
        middle = (low + high) // 2
        if reaches(efforts[middle]):
            high = middle
        else:
            low = middle + 1
    return efforts[low]


def disk_bytes(directory: Path) -> int:
    """Bytes that the file system has allocated to the files of a directory."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def resident_bytes() -> int:
    """Memory of this process, as Linux counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def leave_page_cache(directory: Path) -> None:
    """Make the system drop the files from its page cache."""
    os.sync()
    for path in directory.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """Facts that affect speed, without the name of the host."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].split(":")[1].strip() if models else platform.machine(),
        "hardware": tiercel.hardware().to_dict(),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": found,
    }


def as_rows(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    return [asdict(figure) for figure in figures]
