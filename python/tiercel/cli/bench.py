"""`tiercel bench`: recall against queries per second."""

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tiercel
from tiercel import Index, Matches
from tiercel.cli.answer import Answer
from tiercel.cli.files import load_array
from tiercel.cli.info import describe, index_lines
from tiercel.cli.measure import call_microseconds, queries_per_second, recall_at_k
from tiercel.cli.plot import check_plot, plot_curve
from tiercel.cli.progress import progress
from tiercel.errors import InvalidInputError

EF_SEARCH = (10, 14, 20, 28, 40, 56, 80, 110, 160, 220, 320, 480)
_HELD_OUT = 1000


@dataclass(frozen=True, slots=True)
class _Data:
    name: str
    vectors: NDArray[Any]
    queries: NDArray[Any]


def run(args: argparse.Namespace) -> Answer:
    """Build an index, search it with each `EF_SEARCH`, and compare with exact search."""
    if args.plot is not None:
        check_plot(args.plot)
    data = _load(args)
    index, seconds = _build(data, args)
    k = min(args.k, len(index))
    truth = _of_full_vectors(index, data)
    exact = truth.search(data.queries, args.k, recall=1.0)
    exact_qps = queries_per_second(
        lambda: truth.search(data.queries, args.k, recall=1.0, threads=args.threads), len(data.queries)
    )
    curve = _curve(index, data.queries, exact, args)
    if args.plot is not None:
        plot_curve(args.plot, curve, f"{data.name}: {len(index):,} vectors of dim {index.dim}, recall@{k}")
    machine = tiercel.hardware()
    document: dict[str, Any] = {
        "data": data.name,
        "queries": len(data.queries),
        "k": k,
        "threads": args.threads,
        "index": describe(index),
        "build_seconds": seconds,
        "hardware": machine.to_dict(),
        "exact": {"qps": exact_qps},
        "curve": curve,
    }
    lines = [
        f"data         {data.name}, {len(data.queries):,} queries",
        f"machine      {machine.simd}, {machine.cores} cores; threads per search: {args.threads}",
        f"built in     {seconds:.2f} s",
        *index_lines(index),
        "",
        f"{'ef_search':>9}  {f'recall@{k}':>10}  {'QPS':>10}  {'p50 us':>8}  {'p99 us':>8}",
        *(
            f"{row['ef_search']:>9}  {row['recall']:>10.4f}  {row['qps']:>10,.0f}  {row['p50_us']:>8.1f}  {row['p99_us']:>8.1f}"
            for row in curve
        ),
        f"{'exact':>9}  {1.0:>10.4f}  {exact_qps:>10,.0f}",
        "QPS: all queries in one call. p50, p99: microseconds of a call with one query.",
    ]
    if index.stats()["linked"] == index.stats()["lists"] == 0:
        lines.append("This index is scanned: ef_search says how many codes are rescored.")
    return Answer(document, lines)


def _of_full_vectors(index: Index, data: _Data) -> Index:
    """Return an index that can search exactly: this one, unless it forgets full vectors."""
    if index.raw != "none":
        return index
    full = Index(index.dim, index.metric, index.dtype, "raw", kind="flat")
    full.add(data.vectors)
    return full


def _load(args: argparse.Namespace) -> _Data:
    if args.vectors is None:
        sample = tiercel.datasets.load_wordnet_sample()
        return _Data("WordNet sample", sample.vectors, sample.queries)
    vectors = load_array(args.vectors, "VECTORS.npy", ranks=(2,))
    if len(vectors) < 2:
        raise InvalidInputError(f"VECTORS.npy: expected at least 2 vectors, got {len(vectors)}")
    if args.queries is not None:
        queries = load_array(args.queries, "QUERIES.npy", ranks=(2,))
        if len(queries) == 0:
            raise InvalidInputError("QUERIES.npy: expected at least 1 query, got none")
        return _Data(args.vectors, vectors, queries)
    # A query that is in the index would find itself and make every setting look good.
    held_out = np.zeros(len(vectors), np.bool_)
    count = min(_HELD_OUT, max(1, len(vectors) // 10))
    held_out[np.random.default_rng(0).choice(len(vectors), count, replace=False)] = True
    return _Data(args.vectors, vectors[~held_out], vectors[held_out])


def _build(data: _Data, args: argparse.Namespace) -> tuple[Index, float]:
    chosen = (args.metric, args.dtype, args.storage, args.m, args.ef_construction)
    rerank = args.rerank or ("none" if args.raw == "none" else "full")
    index = Index(data.vectors.shape[1], *chosen, raw=args.raw, rerank=rerank, memory=args.memory, kind=args.kind)
    start = time.perf_counter()
    with progress("building") as report:
        index.add(data.vectors, progress=report)
        index.optimize(progress=report)
    return index, time.perf_counter() - start


def _curve(index: Index, queries: NDArray[Any], exact: Matches, args: argparse.Namespace) -> list[dict[str, float]]:
    curve: list[dict[str, float]] = []
    with progress("measuring") as report:
        for done, ef_search in enumerate(EF_SEARCH, start=1):

            def search(ef_search: int = ef_search) -> Matches:
                return index.search(queries, args.k, ef_search=ef_search, threads=args.threads)

            middle, slow = call_microseconds(index, queries, args.k, ef_search)
            curve.append(
                {
                    "ef_search": ef_search,
                    "recall": recall_at_k(search(), exact, index.metric, by_id=index.rerank != "full"),
                    "qps": queries_per_second(search, len(queries)),
                    "p50_us": middle,
                    "p99_us": slow,
                }
            )
            if report is not None:
                report(done, len(EF_SEARCH))
    return curve
