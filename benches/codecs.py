"""How well codes alone rank, by the bytes that they take.

python benches/codecs.py --data DIR [--storages NAME ...] [--faiss] [--out FILE] [--plot FILE]
python benches/codecs.py --from FILE [--plot FILE]

Every code is compared with every query, and nothing is compared again: recall@10 of `kind="flat"`
with `rerank="none"`. Bytes are those of a code, and with `--faiss` those of its codes of the same
kinds, on the same data.
"""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from engines import K, Vectors
from ground_truth import Ids, recall, true_nearest
from report import Row, earlier, gathered, table
from scale import figure
from workload import unit

import tiercel
from tiercel.cli.plot import check_plot

QUERIES = 500
# What every search keeps beyond k costs nothing here, and ranks the same.
EFFORT = 20
FAISS = {"pq": "PQ{parts}x{bits}np", "rabitq1": "RaBitQ", "sq4": "SQ4", "sq8": "SQ8", "f16": "SQfp16"}


def storages(dim: int) -> list[str]:
    """Return names of codecs from 4 bytes to 2 per value."""
    parts = [count for count in (dim // 16, dim // 8, dim // 4, dim // 2) if count]
    products = [f"{form}{count}x{bits}" for bits in (8, 4) for count in parts for form in ("pq", "opq")]
    return ["rq2x8", "rq4x8", *products, "rabitq1", "rabitq2", "rabitq3", "rabitq4", "sq4", "sq8", "bf16", "f16"]


def family(storage: str) -> str:
    """Return the codecs that differ from this one in size alone."""
    letters = storage.rstrip("0123456789x")
    return (
        f"{letters}x{storage[-1]}"
        if letters in ("pq", "opq", "rq")
        else {"bf": "float", "f": "float"}.get(letters, letters)
    )


def measured(base: Vectors, queries: Vectors, right: Ids, metric: Any, storage: str) -> Row:
    """Return the recall and the bytes of one codec."""
    start = time.perf_counter()
    index = tiercel.Index(base.shape[1], metric, storage=storage, kind="flat", rerank="none")
    index.add(base)
    seconds = time.perf_counter() - start
    found = index.search(queries, K, ef_search=EFFORT)
    bytes_each = index.stats()["bytes"]["codes"] / len(index)
    return row("tiercel", storage, bytes_each, recall(found.ids, right), seconds)


def row(engine: str, storage: str, size: float, share: float, seconds: float) -> Row:
    return {"engine": engine, "storage": storage, "bytes": size, "recall": share, "seconds": seconds}


def in_faiss(base: Vectors, queries: Vectors, right: Ids, storage: str) -> Row | None:
    """Return the row of faiss' codec of the same kind, if it has one."""
    import faiss

    letters = storage.rstrip("0123456789x")
    name = FAISS.get(storage) or FAISS.get(letters)
    if name is None or (name == FAISS["pq"] and storage.endswith("x4")):
        return None
    parts, _, bits = storage.removeprefix("pq").partition("x")
    start = time.perf_counter()
    index = faiss.index_factory(base.shape[1], name.format(parts=parts, bits=bits), faiss.METRIC_L2)
    index.train(base)
    index.add(base)
    seconds = time.perf_counter() - start
    ids = index.search(queries, K)[1]
    return row("faiss", storage, float(index.sa_code_size()), recall(ids, right), seconds)


def rows(given: argparse.Namespace) -> Iterable[Row]:
    path = given.data / "base.f16.npy"
    base = np.load(path).astype(np.float32)
    queries = np.load(given.data / "queries.f16.npy")[: given.queries].astype(np.float32)
    if given.metric == "cosine":
        base, queries = unit(base), unit(queries)
    right = true_nearest(path, queries, given.metric, [len(base)], None)[len(base)]
    for storage in given.storages or storages(base.shape[1]):
        yield measured(base, queries, right, given.metric, storage)
        if given.faiss and given.metric != "dot":
            there = in_faiss(base, queries, right, storage)
            if there is not None:
                yield there


def draw(rows: list[Row], path: Path) -> None:
    """Draw recall over bytes, with a line for each family of codecs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot()
    families = dict.fromkeys(family(row["storage"]) for row in rows)
    for number, name in enumerate(families):
        for engine, style in (("tiercel", "-o"), ("faiss", "--x")):
            some = [row for row in rows if row["engine"] == engine and family(row["storage"]) == name]
            points = sorted((row["bytes"], row["recall"]) for row in some)
            label = name if engine == "tiercel" else f"{name}, faiss"
            if points:
                axes.plot(*zip(*points, strict=True), style, color=f"C{number}", markersize=5, label=label)
    axes.set(xscale="log", xlabel="bytes of a code", ylabel="recall@10 of codes alone", ylim=(0, 1.02))
    ticks = sorted({2**power for power in range(1, 12) if power >= 1})
    sizes = [row["bytes"] for row in rows]
    shown = [tick for tick in ticks if min(sizes) / 2 <= tick <= 2 * max(sizes)]
    axes.set_xticks(shown, [f"{tick:,}" for tick in shown])
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


COLUMNS = [
    ("engine", lambda row: row["engine"]),
    ("storage", lambda row: row["storage"]),
    figure("bytes", "bytes", "{:,.0f}"),
    figure("recall@10", "recall", "{:.3f}"),
    figure("build, s", "seconds", "{:,.1f}"),
]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure how well codes alone rank.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="DIR", help="directory of base.f16.npy and queries.f16.npy")
    source.add_argument("--from", type=Path, dest="earlier", metavar="FILE", help="show the rows of an earlier run")
    parser.add_argument("--storages", nargs="+", metavar="NAME", help="codecs to measure (default: all kinds)")
    parser.add_argument("--queries", type=int, default=QUERIES, metavar="N", help=f"queries (default: {QUERIES})")
    parser.add_argument("--metric", choices=["cosine", "dot", "l2"], default="cosine", help="(default: cosine)")
    parser.add_argument("--faiss", action="store_true", help="also measure the codecs of faiss")
    parser.add_argument("--out", type=Path, metavar="FILE", help="add each row to FILE, as a line of JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw recall over bytes; needs matplotlib")
    return parser


def main() -> None:
    given = parser().parse_args()
    if given.plot:
        check_plot(str(given.plot))
    seen = earlier(given.earlier) if given.earlier else gathered(rows(given), given.out)
    print("\n".join(table(seen, COLUMNS)))
    if given.plot:
        draw(seen, given.plot)


if __name__ == "__main__":
    main()
