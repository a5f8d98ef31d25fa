"""Rows about storage: opening, disk, memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import Bench
from measure import Figure, disk_bytes, leave_page_cache, say

import tiercel

CHILD = Path(__file__).with_name("child.py")
PASSES = 3


def child(*arguments: str) -> dict[str, Any]:
    """Run `child.py` in a new process and return what it prints as its last line."""
    command = [sys.executable, str(CHILD), *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if not done.stdout.strip():
        raise RuntimeError(f"{' '.join(command)} printed nothing and ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def opening(bench: Bench) -> list[Figure]:
    """Time from `tiercel.open` to the first answer, in a new process."""
    figures = []
    say("open after a clean close")
    warm = [child("open", str(bench.path)) for _ in range(PASSES)]
    with bench.copy() as path:
        leave_page_cache(path)
        cold = child("open", str(path))
    figures += opened("after a clean close", "under 0.3", min(warm, key=total), cold)
    say("open after a kill")
    with bench.copy() as killed:
        wrote = child("die", str(killed), str(bench.tail), *bench.arguments)
        with bench.copy(killed) as path:
            warm_one = child("open", str(path))
        leave_page_cache(killed)
        cold = child("open", str(killed))
    note = f"{wrote['bytes'] / 2**20:.0f} MiB of vectors in {wrote['records']:,} records, all found again: "
    note += str(warm_one["records"] == wrote["there"] == cold["records"]).lower()
    return figures + opened("after a kill with a tail", "under 1", warm_one, cold, note)


def total(run: dict[str, Any]) -> float:
    return run["open"] + run["search"]


def opened(after: str, wanted: str, warm: dict[str, Any], cold: dict[str, Any], note: str = "") -> list[Figure]:
    figures = []
    for cache, run in (("files in the page cache", warm), ("files on disk alone", cold)):
        parts = f"the search {run['search'] * 1e3:.1f} ms of it; importing {run['import']:.2f} s not counted"
        what = f"open {after} to the first answer, {cache}"
        figures.append(Figure(what, total(run), "{:.2f} s", wanted, "; ".join(filter(None, [note, parts]))))
    return figures


def disk(bench: Bench) -> list[Figure]:
    """Bytes per record on the file system after `compact`."""
    say("bytes on disk")
    count = len(bench.documents.ids)
    before = disk_bytes(bench.path) / count
    with bench.copy() as path:
        with tiercel.open(path) as collection:
            collection.compact()
        after = disk_bytes(path) / count
    note = f"{before:,.0f} before; vector, text and metadata"
    return [Figure("disk after `compact`", after, "{:,.0f} bytes a record", "under 2,300", note)]


def memory(bench: Bench) -> list[Figure]:
    """Memory that a new process gains by opening and searching."""
    say("memory")
    run = child("open", str(bench.path))
    count, dim = bench.documents.vectors.shape
    note = f"{run['resident'] / 2**20:,.0f} MiB in all, {4 * dim:,} bytes of it the vector"
    return [
        Figure("memory after opening and 200 searches", run["resident"] / count, "{:,.0f} bytes a record", "", note)
    ]
