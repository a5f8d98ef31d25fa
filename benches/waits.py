"""How long a search takes while its index is saved, copied, added to, removed from and optimized.

python benches/waits.py [--count N] [--data DIR] [--seconds S]

One thread searches, one query per call; meanwhile another does one thing. The vectors are those of
DIR/base.f16.npy; if more are requested, they are reused with noise. Prints milliseconds: median,
99.9th percentile and the slowest, the 99.9th percentile of the processor time of a search, and the
time of the other call. The difference between the two percentiles is time in which the search did
not run: it waited for the other call, or for a processor. To tell these apart, the row "another
process" writes and syncs as many bytes as `save` does, in a process without an index.
"""

import argparse
import copy
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tiercel

NOISE = 0.3
ADDED = 1_000


def vectors(base: NDArray[Any], count: int, seed: int) -> NDArray[np.float32]:
    """Return `count` vectors of unit length: those of `base`, then the same with noise."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, base.shape[1]), np.float32)
    for start in range(0, count, len(base)):
        part = base[: count - start].astype(np.float32)
        if start or seed:
            scale = NOISE / np.sqrt(base.shape[1])
            part += scale * rng.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        out[start : start + len(part)] = part
    return out


def measure(index: tiercel.Index, queries: NDArray[np.float32], work: Callable[[], object], seconds: float) -> str:
    """Search until the other thread is done, and at least for `seconds`."""
    spent = 0.0

    def run() -> None:
        nonlocal spent
        began = time.perf_counter()
        work()
        spent = time.perf_counter() - began

    other = threading.Thread(target=run)
    times, busy = [], []
    other.start()
    end = time.perf_counter() + seconds
    while other.is_alive() or time.perf_counter() < end:
        query = queries[len(times) % len(queries)]
        used, began = time.thread_time(), time.perf_counter()
        index.search(query, 10, threads=1)
        times.append(time.perf_counter() - began)
        busy.append(time.thread_time() - used)
    other.join()
    middle, most, worst = (1000 * np.quantile(times, share) for share in (0.5, 0.999, 1.0))
    most_busy = 1000 * np.quantile(busy, 0.999)
    return f"{middle:10.3f} {most:10.3f} {worst:10.3f} {most_busy:10.3f} {1000 * spent:12.1f} {len(times):10d}"


def write_elsewhere(path: Path, size: int) -> None:
    """Write and sync `size` bytes with their checksum, in another process."""
    code = (
        "import os, sys, zlib\n"
        "block = os.urandom(1 << 20)\n"
        "with open(sys.argv[1], 'wb', buffering=0) as file:\n"
        "    for _ in range(int(sys.argv[2]) >> 20):\n"
        "        zlib.crc32(block)\n"
        "        file.write(block)\n"
        "    os.fsync(file.fileno())\n"
    )
    subprocess.run([sys.executable, "-c", code, path, str(size)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="vectors in the index (default: a million)")
    parser.add_argument("--data", type=Path, required=True, help="directory with base.f16.npy and queries.f16.npy")
    parser.add_argument("--seconds", type=float, default=5.0, help="shortest time of each measurement")
    arguments = parser.parse_args()
    base, queries = (np.load(arguments.data / f"{name}.f16.npy") for name in ("base", "queries"))
    index = tiercel.Index(dim=base.shape[1])
    began = time.perf_counter()
    index.add(vectors(base, arguments.count, 0))
    index.optimize()
    print(f"{len(index)} vectors, built in {time.perf_counter() - began:.0f} s")
    fresh = vectors(base, ADDED, 1)
    asked = vectors(queries, min(len(queries), 10_000), 2)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "index"
        things: dict[str, Callable[[], object]] = {
            "nothing": lambda: None,
            "save": lambda: index.save(path),
            "another process": lambda: write_elsewhere(Path(directory) / "other", path.stat().st_size),
            "copy": lambda: copy.copy(index),
            f"add {ADDED}": lambda: index.add(fresh, threads=1),
            "add 1, save": lambda: (index.add(fresh[:1] * 2, threads=1), index.save(path)),
            f"delete {ADDED}": lambda: index.delete(index.ids[-ADDED:]),
            "optimize": lambda: index.optimize(threads=1),
        }
        print(
            f"{'beside':>15} {'median':>10} {'p99.9':>10} {'slowest':>10} {'busy p99.9':>10} {'it took':>12} {'searches':>10}"
        )
        for name, work in things.items():
            print(f"{name:>15} {measure(index, asked, work, arguments.seconds)}", flush=True)


if __name__ == "__main__":
    main()
