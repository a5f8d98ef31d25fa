"""What an index costs as the number of vectors grows: build, memory, and search at equal recall.

python benches/scale.py --data DIR [--sizes N ...] [--set NAME=VALUE ...] [--out FILE] [--plot FILE]
python benches/scale.py --from FILE [--plot FILE]

An index of size N has the first N rows of DIR/base.f16.npy; `datasets.py scaled` makes a file for
all sizes. Each index is built in a process of its own, which then searches for the smallest
`ef_search` that reaches the recall, compared with an exact search in numpy. At this effort it asks
one query per call, on one thread, in three passes. Percentiles are of all calls; QPS is of the best
pass. A row is added to FILE when it is measured, so a run that is stopped loses only the current
size.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from engines import BUILD_THREADS, K, Vectors
from ground_truth import Ids, pieces, recall, true_nearest
from report import Column, Row, earlier, gathered, table
from resident import status
from scale_plot import draw
from workload import smallest_ef_search

import tiercel
from tiercel.cli.plot import check_plot
from tiercel.cli.progress import progress

SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000, 5_000_000]
PASSES = 3
WARM_UP_CALLS = 200
ADDED = 65_536
"""Vectors of one `add`: each call copies what it is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One index to build and to measure."""

    base: Path
    count: int
    metric: str
    settings: dict[str, Any]
    queries: Vectors
    right: Ids
    recall: float
    threads: int


def build(job: Job, dim: int) -> tuple[tiercel.Index, float]:
    """Return the index, and the seconds that its calls took."""
    index = tiercel.Index(dim, job.metric, **job.settings)
    seconds = 0.0
    with progress(f"build {job.count:,}") as bar:
        for rows in pieces(job.base, 0, job.count, ADDED):
            begin = time.perf_counter()
            index.add(rows, threads=job.threads)
            seconds += time.perf_counter() - begin
            if bar is not None:
                bar(len(index), job.count)
    begin = time.perf_counter()
    index.optimize(threads=job.threads)
    return index, seconds + time.perf_counter() - begin


def call_seconds(index: tiercel.Index, queries: Vectors, ef_search: int) -> Vectors:
    """Return the seconds of each call, one row per pass."""
    seconds = np.empty((PASSES, len(queries)))
    for query in queries[:WARM_UP_CALLS]:
        index.search(query, K, ef_search=ef_search, threads=1)
    for times in seconds:
        for at, query in enumerate(queries):
            begin = time.perf_counter()
            index.search(query, K, ef_search=ef_search, threads=1)
            times[at] = time.perf_counter() - begin
    return seconds


def measure(job: Job) -> Row:
    """Build one index and return its row."""
    before = status("VmRSS")
    index, build_seconds = build(job, job.queries.shape[1])

    def recall_at(ef_search: int) -> float:
        return recall(index.search(job.queries, K, ef_search=ef_search, threads=1).ids, job.right)

    ef_search = smallest_ef_search(recall_at, job.recall)
    stats = index.stats()
    row: Row = {
        "vectors": job.count,
        "dim": index.dim,
        "metric": job.metric,
        "settings": job.settings,
        "storage": stats["storage"],
        "simd": stats["simd"],
        "queries": len(job.queries),
        "target": job.recall,
        "ef_search": ef_search,
        "build_seconds": build_seconds,
        "build_threads": job.threads,
        "bytes_per_vector": stats["bytes_per_vector"],
    }
    if ef_search is not None:
        seconds = call_seconds(index, job.queries, ef_search)
        percentiles = np.percentile(seconds, [50, 95, 99]) * 1e6
        row |= {"recall": recall_at(ef_search), "qps": len(job.queries) / seconds.sum(axis=1).min()}
        row |= dict(zip(("p50_us", "p95_us", "p99_us"), percentiles.tolist(), strict=True))
    return row | {"resident_bytes": status("VmRSS") - before, "peak_bytes": status("VmHWM") - before}


def rows(given: argparse.Namespace) -> Iterable[Row]:
    """Yield the row of each size, from the smallest on."""
    base = given.data / "base.f16.npy"
    available = np.load(base, mmap_mode="r").shape[0]
    sizes = sorted(set(given.sizes or [size for size in SIZES if size <= available] or [available]))
    if sizes[0] < K or sizes[-1] > available:
        wrong = sizes[0] if sizes[0] < K else sizes[-1]
        raise SystemExit(f"--sizes: expected {K} to {available:,}, the vectors in {base}, got {wrong:,}")
    queries = np.load(given.data / "queries.f16.npy")[: given.queries].astype(np.float32)
    with progress("exact search") as bar:
        right = true_nearest(base, queries, given.metric, sizes, bar)
    # A new process for each size: memory that another index freed would be reused and not counted.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as processes:
        for size in sizes:
            job = Job(base, size, given.metric, dict(given.set), queries, right[size], given.recall, given.threads)
            yield processes.submit(measure, job).result()


def figure(heading: str, name: str, form: str, scale: float = 1) -> Column:
    """Return a column of numbers, empty where the recall was not reached."""
    return heading, lambda row: form.format(row[name] * scale) if row.get(name) is not None else ""


COLUMNS: list[Column] = [
    figure("vectors", "vectors", "{:,}"),
    ("settings", lambda row: " ".join(f"{name}={value}" for name, value in row["settings"].items())),
    figure("build, s", "build_seconds", "{:,.1f}"),
    figure("bytes a vector", "bytes_per_vector", "{:,.0f}"),
    figure("resident, MB", "resident_bytes", "{:,.0f}", 1e-6),
    figure("peak, MB", "peak_bytes", "{:,.0f}", 1e-6),
    figure("ef_search", "ef_search", "{}"),
    figure("recall@10", "recall", "{:.4f}"),
    figure("p50, us", "p50_us", "{:,.0f}"),
    figure("p95, us", "p95_us", "{:,.0f}"),
    figure("p99, us", "p99_us", "{:,.0f}"),
    figure("QPS", "qps", "{:,.0f}"),
]


def setting(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE: an argument of `tiercel.Index`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, int(value) if value.isdigit() else value


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure an index as the number of vectors grows.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="DIR", help="directory of base.f16.npy and queries.f16.npy")
    source.add_argument("--from", type=Path, dest="earlier", metavar="FILE", help="show the rows of earlier runs")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="10,000 to 5,000,000, as far as DIR goes")
    parser.add_argument("--queries", type=int, default=1_000, metavar="N", help="queries to ask (default: 1,000)")
    parser.add_argument("--recall", type=float, default=0.95, help="recall@10 to reach (default: 0.95)")
    parser.add_argument("--metric", choices=["cosine", "dot", "l2"], default="cosine", help="(default: cosine)")
    parser.add_argument(
        "--set", type=setting, nargs="+", default=[], metavar="NAME=VALUE", help="arguments of the index: m=24"
    )
    parser.add_argument(
        "--threads", type=int, default=BUILD_THREADS, metavar="N", help="threads of a build (default: 2)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="add each row to FILE, as a line of JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw latency and memory; needs matplotlib")
    return parser


def main() -> None:
    given = parser().parse_args()
    if given.plot:
        check_plot(str(given.plot))
    measured = earlier(given.earlier) if given.earlier else gathered(rows(given), given.out)
    print("\n".join(table(measured, COLUMNS)))
    if given.plot:
        draw(measured, given.plot)


if __name__ == "__main__":
    main()
