"""`tiercel search`: queries in, nearest ids out."""

import argparse
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel import Index, Matches
from tiercel.cli.answer import Answer
from tiercel.cli.files import load_array, load_index
from tiercel.cli.outputs import new_file
from tiercel.cli.progress import progress
from tiercel.neighbours import finite

_BATCH = 4096


def run(args: argparse.Namespace) -> Answer:
    """Search a saved index with the queries of a `.npy` file."""
    queries = np.atleast_2d(load_array(args.queries, "QUERIES.npy", ranks=(1, 2)))
    index = load_index(args.file, raw=args.raw, rerank=args.rerank)
    start = time.perf_counter()
    found, quality = _search(index, queries, args)
    seconds = time.perf_counter() - start
    document = {"queries": len(queries), "k": args.k, "quality": quality, "seconds": seconds}
    if args.output is None:
        results = list(_rows(found))
        return Answer(document | {"results": results}, _table(results))
    with new_file(args.output) as file:
        np.savez(file, **found)  # pyright: ignore[reportArgumentType]
    return Answer(
        document | {"output": args.output},
        [f"{len(queries):,} queries in {seconds:.2f} s, {quality}; {args.output} holds ids, distances and counts"],
    )


def _search(index: Index, queries: NDArray[Any], args: argparse.Namespace) -> tuple[dict[str, NDArray[Any]], str]:
    """Search batch by batch. Return the joined arrays, and `exact` if every batch is exact."""
    parts: list[Matches] = []
    with progress("searching") as report:
        # An empty file of queries is also searched, for an answer of the right shape.
        for start in range(0, max(len(queries), 1), _BATCH):
            batch = queries[start : start + _BATCH]
            parts.append(
                index.search(batch, args.k, ef_search=args.ef_search, recall=args.recall, threads=args.threads)
            )
            if report is not None:
                report(start + len(batch), len(queries))
    arrays: dict[str, NDArray[Any]] = {
        "ids": np.concatenate([part.ids for part in parts]),
        "distances": np.concatenate([part.distances for part in parts]),
        "counts": np.concatenate([part.counts for part in parts]),
    }
    return arrays, "exact" if all(part.quality == "exact" for part in parts) else "approximate"


def _rows(found: dict[str, NDArray[Any]]) -> Iterator[dict[str, list[Any]]]:
    for ids, distances, count in zip(found["ids"], found["distances"], found["counts"], strict=True):
        yield {"ids": ids[: int(count)].tolist(), "distances": [*map(finite, distances[: int(count)].tolist())]}


def _table(results: list[dict[str, list[Any]]]) -> Iterator[str]:
    yield "query\trank\tid\tdistance"
    for query, row in enumerate(results):
        for rank, (found, distance) in enumerate(zip(row["ids"], row["distances"], strict=True), start=1):
            yield f"{query}\t{rank}\t{found}\t{math.inf if distance is None else distance:.6g}"
