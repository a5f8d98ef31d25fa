"""Turn the JSON file of a run into a page of tables.

python benches/report.py RESULTS.json [--kernels KERNELS.md] [--to DIRECTORY]

Writes `<date>-<machine>.md`, named after the processor and its cores, and prints its path.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]

CACHES = [("L1d", "cache_l1d"), ("L2", "cache_l2"), ("L3", "cache_l3")]
KERNELS = "Nanoseconds per distance, and gigabytes of rows per second; the rows are in the second-level cache."


@dataclass(frozen=True, slots=True)
class Section:
    """A table: its group of benchmarks, the order of its rows, and the content of its columns."""

    group: str
    title: str
    note: str
    order: Callable[[Row], Any]
    columns: list[Column]


def info(row: Row, name: str) -> Any:
    return row["extra_info"].get(name)


def text(heading: str, name: str, form: str = "{}") -> Column:
    """Return a column with a value that a benchmark recorded."""
    return heading, lambda row: "" if info(row, name) is None else form.format(info(row, name))


def time(heading: str, statistic: str, form: str, scale: float) -> Column:
    """Return a column of times, in seconds or a fraction of them."""
    return heading, lambda row: form.format(row["stats"][statistic] * scale)


def ratio(row: Row) -> str:
    return "" if row["beside"] is None else f"{row['beside']:.2f}"


ENGINE = text("engine", "engine")
RECALL = [text("recall@10", "recall", "{:.4f}"), text("ef_search", "ef_search"), text("QPS", "qps", "{:,.0f}")]
BESIDE: Column = ("tiercel / this", ratio)
BEST = time("best, ms", "min", "{:,.1f}", 1e3)
MEDIAN = time("median, ms", "median", "{:,.1f}", 1e3)
MEGABYTES: Column = ("file, MB", lambda row: f"{info(row, 'file_bytes') / 1e6:,.0f}")


def by_time(row: Row) -> Any:
    return row["stats"]["min"]


def by_throughput(row: Row) -> Any:
    return info(row, "target") or 0, -info(row, "qps")


SECTIONS = [
    Section(
        "batch",
        "Search, all queries in one call",
        "The smallest `ef_search` of each engine that reaches the target recall; one thread; the best of five passes.",
        by_throughput,
        [text("target", "target"), ENGINE, *RECALL, BESIDE],
    ),
    Section(
        "calls",
        "Search, one query per call",
        "As above, with a separate Python call for each query. QPS of the best of three passes; p50 and p99 over all calls.",
        by_throughput,
        [
            text("target", "target"),
            ENGINE,
            *RECALL,
            text("p50, us", "p50_us", "{:.0f}"),
            text("p99, us", "p99_us", "{:.0f}"),
            BESIDE,
        ],
    ),
    Section(
        "exact",
        "Exact search",
        "Every vector compared in float32; all queries in one call; one thread; the best of five passes.",
        by_throughput,
        [ENGINE, text("recall@10", "recall", "{:.4f}"), text("QPS", "qps", "{:,.0f}"), BESIDE],
    ),
    Section(
        "build",
        "Build",
        "From vectors in memory to an index ready to search; two threads; one pass.",
        by_time,
        [
            ENGINE,
            time("seconds", "min", "{:.2f}", 1),
            ("vectors a second", lambda row: f"{info(row, 'vectors') / row['stats']['min']:,.0f}"),
        ],
    ),
    Section(
        "memory",
        "Memory",
        "Bytes per vector that a new process gained by loading the index and searching it, and the same without the four "
        "bytes per value of the vectors themselves, which every engine here keeps. `stats()` is tiercel's own account of the "
        "latter. Start: a whole process that imports the engine, loads the index and answers 200 queries; the best of three.",
        lambda row: info(row, "bytes_per_vector"),
        [
            ENGINE,
            text("bytes a vector", "bytes_per_vector", "{:,.0f}"),
            text("beside the vectors", "beside_vectors", "{:,.0f}"),
            text("`stats()`", "stats_beside_vectors", "{:,.0f}"),
            text("peak while loading", "peak_bytes_per_vector", "{:,.0f}"),
            time("start, ms", "min", "{:,.0f}", 1e3),
        ],
    ),
    Section(
        "save",
        "Save",
        "Best and median of three. tiercel checksums the file and waits until it is on the disk; the others do not wait.",
        by_time,
        [ENGINE, BEST, MEDIAN, MEGABYTES],
    ),
    Section(
        "load",
        "Load",
        "Best and median of three, from a file in the page cache. tiercel verifies every checksum.",
        by_time,
        [ENGINE, BEST, MEDIAN, MEGABYTES],
    ),
    Section(
        "cache",
        "Tiers of a cache",
        "Nanoseconds per call from Python, including the loop around it; values of 1,024 bytes in memory and of 1,500 in a store; the best of "
        "five passes. The dict returns the object that was put; a store's put includes its writes.",
        lambda row: (info(row, "what"), info(row, "ns")),
        [text("what", "what"), ENGINE, text("ns a call", "ns", "{:,.0f}")],
    ),
    Section(
        "import",
        "Import",
        "A whole process, from start to end, that imports the module and nothing else. tiercel and hnswlib import numpy when "
        "they first need it: add its time where nothing else has imported it.",
        by_time,
        [
            text("module", "engine"),
            BEST,
            MEDIAN,
        ],
    ),
]


def compare(rows: list[Row]) -> None:
    """Add to each row how many times its throughput tiercel reaches at the same target recall."""
    ours = {info(row, "target"): info(row, "qps") for row in rows if info(row, "engine") == "tiercel"}
    for row in rows:
        mine = ours.get(info(row, "target"))
        row["beside"] = mine / info(row, "qps") if mine and info(row, "qps") else None


def table(rows: list[Row], columns: list[Column]) -> Iterable[str]:
    yield "| " + " | ".join(heading for heading, _ in columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(cell(row) for _, cell in columns) + " |"


def gathered(rows: Iterable[Row], out: Path | None) -> list[Row]:
    """Return the rows of a run. Add each to a file once it is measured, so that a stop loses only one."""
    seen: list[Row] = []
    for row in rows:
        seen.append(row)
        if out:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    return seen


def earlier(path: Path) -> list[Row]:
    """Return the rows that earlier runs added to a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def machine(run: Row) -> str:
    about = run["machine_info"]
    cores = about["hardware"]["cores"]
    return f"{about['cpu']}, {cores} core{'' if cores == 1 else 's'}"


def head(run: Row) -> Iterable[str]:
    about = run["machine_info"]
    hardware, packages = about["hardware"], about["packages"]
    caches = [f"{name} {hardware[key] / 1024:,.0f} KiB" for name, key in CACHES if hardware[key]]
    yield f"# {machine(run)}, {run['datetime'][:10]}"
    yield ""
    yield f"- processor: {machine(run)}; instruction set in use: {hardware['simd']}; caches: {', '.join(caches) or 'unknown'}"
    installed = ", ".join(f"{name} {version}" for name, version in packages.items())
    yield f"- software: {about['system']}, Python {about['python']}, {installed}"
    if "data" in about:
        data = about["data"]
        yield f"- data: {data['name']}, {data['vectors']:,} vectors of dimension {data['dim']}, {data['queries']:,} queries"
    commit = run["commit_info"].get("id", "")
    if re.fullmatch("[0-9a-f]{40}", commit):
        yield f"- source: commit {commit[:10]}{' and changes to it' if run['commit_info']['dirty'] else ''}"
    yield ""
    yield "What is measured and how to read it: [benchmarks](../../docs/benchmarks/benchmarks.md)."


def page(run: Row, kernels: str | None) -> str:
    lines = list(head(run))
    for section in SECTIONS:
        rows = [row for row in run["benchmarks"] if row["group"] == section.group]
        if rows:
            compare(rows)
            rows.sort(key=section.order)
            lines += ["", f"## {section.title}", "", section.note, "", *table(rows, section.columns)]
    if kernels is not None:
        lines += ["", "## Kernels", "", KERNELS, "", *kernels.strip().splitlines()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn the JSON file of a run into a page of tables.")
    parser.add_argument("results", type=Path, metavar="RESULTS.json")
    parser.add_argument("--kernels", type=Path, metavar="KERNELS.md", help="table that `cargo bench` printed")
    parser.add_argument("--to", type=Path, metavar="DIRECTORY", default=Path(__file__).with_name("results"))
    args = parser.parse_args()
    run = json.loads(args.results.read_text(encoding="utf-8"))
    kernels = args.kernels.read_text(encoding="utf-8") if args.kernels else None
    name = re.sub(r"[^a-z0-9]+", "-", machine(run).lower()).strip("-")
    path = args.to / f"{run['datetime'][:10]}-{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(run, kernels), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
