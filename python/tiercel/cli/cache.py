"""`tiercel cache`: what is in a store, and what a tier would make of a trace."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiercel.cache import Store
from tiercel.cache.replay import replay
from tiercel.cache.traces import read_trace
from tiercel.cli.answer import Answer
from tiercel.cli.progress import progress
from tiercel.errors import InvalidInputError

# The file that a store keeps its values in.
_FILE = "values"


def run(args: argparse.Namespace) -> Answer:
    """Do what the action says."""
    actions: dict[str, Callable[[argparse.Namespace], Answer]] = {
        "stats": _stats,
        "verify": _verify,
        "clear": _clear,
        "replay": _replay,
    }
    return actions[args.action](args)


def _open(directory: str) -> Store:
    file = Path(directory) / _FILE
    # A larger store than the file can hold, so that opening it drops nothing.
    return Store(directory, max(4 * file.stat().st_size, 1 << 20))


def _stats(args: argparse.Namespace) -> Answer:
    with _open(args.directory) as store:
        stats = store.stats()
    document = {
        "directory": args.directory,
        "entries": stats["entries"],
        "bytes": stats["bytes"],
        "file_bytes": (Path(args.directory) / _FILE).stat().st_size,
    }
    lines = [
        f"entries      {stats['entries']:,}",
        f"bytes        {stats['bytes']:,}, in a file of {document['file_bytes']:,}",
    ]
    return Answer(document, lines)


def _verify(args: argparse.Namespace) -> Answer:
    with _open(args.directory) as store:
        keys = list(store)
        with progress("verify") as report:
            for number, key in enumerate(keys):
                store.get(key)
                if report is not None:
                    report(number + 1, len(keys))
        damaged = store.stats()["damaged"]
    document = {"directory": args.directory, "values": len(keys), "damaged": damaged}
    lines = [f"{len(keys):,} values, {f'{damaged:,} damaged' if damaged else 'none is damaged'}"]
    return Answer(document, lines, code=1 if damaged else 0)


def _clear(args: argparse.Namespace) -> Answer:
    with _open(args.directory) as store:
        entries = len(store)
        store.clear()
    return Answer({"directory": args.directory, "forgotten": entries}, [f"{entries:,} values forgotten"])


def _replay(args: argparse.Namespace) -> Answer:
    if min(args.size) < 1:
        raise InvalidInputError(f"size: expected an int of at least 1, got {min(args.size)}")
    trace = read_trace(args.trace)
    unit = "keys" if trace.sizes is None else "bytes"
    rows: list[dict[str, Any]] = []
    for size in args.size:
        with progress(f"replay {size:,} {unit}") as report:
            requests, hits, lru_hits = replay(trace, size, progress=report)
        rows.append({"size": size, "hits": hits, "lru_hits": lru_hits, "requests": requests})
    document = {"trace": args.trace, "requests": len(trace.keys), "unit": unit, "sizes": rows}
    lines = [f"{len(trace.keys):,} requests", f"{unit:>15}  {'memory':>8}  {'LRU':>8}"]
    lines += [
        f"{row['size']:>15,}  {row['hits'] / row['requests']:>8.2%}  {row['lru_hits'] / row['requests']:>8.2%}"
        for row in rows
    ]
    return Answer(document, lines)
