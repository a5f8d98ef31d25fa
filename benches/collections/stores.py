"""The same documents in tiercel and in other stores, each in a separate process.

python benches/collections/stores.py fill NAME DIRECTORY QUERIES DATA COUNT TIMES
python benches/collections/stores.py reopen NAME DIRECTORY

Both print JSON, for `measure`.
"""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from data import Documents, Truth, Vectors, load
from measure import disk_bytes, each, p50_ms, resident_bytes, say, smallest
from peers.store import Store

STORES = {"tiercel": "own", "chromadb": "chroma", "lancedb": "lance", "zvec": "zvec_store"}
"""The module of each store, by the name of its package."""

PACKAGES = ["chromadb", "lancedb", "zvec", "tantivy", "bm25s"]
ENOUGH, ENOUGH_FILTERED = 0.97, 0.95

COLUMNS = {
    "acknowledged": ("acknowledged, records/s", "{:,.0f}"),
    "searchable": ("all indexed, records/s", "{:,.0f}"),
    "recall": ("recall@10", "{:.3f}"),
    "ids_ms": ("ids alone, ms", "{:.2f}"),
    "documents_ms": ("with documents, ms", "{:.2f}"),
    "filtered_recall": ("filtered: recall@10", "{:.3f}"),
    "filtered_ms": ("filtered, ms", "{:.2f}"),
    "reopen_s": ("reopened, s", "{:.2f}"),
    "resident": ("memory a record, bytes", "{:,.0f}"),
    "disk": ("disk a record, bytes", "{:,.0f}"),
}
HEADINGS = ["store", *(heading for heading, _ in COLUMNS.values())]


def cells(row: dict[str, Any]) -> list[str]:
    return [row["name"], *(form.format(row[name]) for name, (_, form) in COLUMNS.items())]


def measure(names: Sequence[str], options: Sequence[str], directory: Path, queries: int) -> list[dict[str, Any]]:
    """Fill, search and reopen each store that is installed."""
    rows = []
    for name in names:
        say(f"{name}: fill and search")
        row = alone("fill", name, str(directory / name), str(queries), *options)
        if row is None:
            say(f"{name} is not installed: skipped")
            continue
        say(f"{name}: reopen")
        rows.append(row | (alone("reopen", name, str(directory / name)) or {}))
    return rows


def alone(*arguments: str) -> dict[str, Any] | None:
    """Run a separate process and return what it prints; None if the store is not installed."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def store(name: str) -> Store:
    return importlib.import_module(f"peers.{STORES[name]}").STORE


def fill(name: str, path: Path, queries: int, documents: Documents) -> dict[str, Any]:
    """Put everything in, wait until it is indexed, search."""
    to = store(name)
    path.mkdir()
    to.create(path, documents.vectors.shape[1])
    begin = time.perf_counter()
    for batch in documents.batches():
        to.put(*batch)
    acknowledged = time.perf_counter() - begin
    to.wait_idle()
    searchable = time.perf_counter() - begin
    say(f"{name}: {len(documents.ids) / searchable:,.0f} records/s until all are indexed")
    searched = search(to, documents, documents.queries[:queries])
    to.close()
    count = len(documents.ids)
    return {
        "name": name,
        "version": version(name),
        "about": to.about,
        "acknowledged": count / acknowledged,
        "searchable": count / searchable,
        "disk": disk_bytes(path) / count,
        **searched,
    }


def search(to: Store, documents: Documents, queries: Vectors) -> dict[str, Any]:
    """Find the least effort that finds enough, and the time of a call with it."""
    truth = Truth(documents, queries)
    rare = Truth(documents, queries, documents.rare())

    def found(effort: float, *, filtered: bool = False, whole: bool = False) -> tuple[list[float], list[list[str]]]:
        to.exert(effort)
        # Do not count what the first search loads.
        to.search(queries[0], filtered=filtered, whole=whole)
        return each(lambda query: to.search(query, filtered=filtered, whole=whole), queries)

    def enough(truth: Truth, wanted: float, *, filtered: bool) -> float:
        return smallest(to.efforts, lambda effort: truth.recall(found(effort, filtered=filtered)[1]) >= wanted)

    effort = enough(truth, ENOUGH, filtered=False)
    narrow = enough(rare, ENOUGH_FILTERED, filtered=True)
    seconds, ids = found(effort)
    whole, _ = found(effort, whole=True)
    through, passed = found(narrow, filtered=True)
    return {
        "effort": effort,
        "recall": truth.recall(ids),
        "ids_ms": p50_ms(seconds),
        "documents_ms": p50_ms(whole),
        "filtered_effort": narrow,
        "filtered_recall": rare.recall(passed),
        "filtered_ms": p50_ms(through),
    }


def reopen(name: str, path: Path) -> dict[str, Any]:
    """Time from opening to the first answer, with module imported and files in the page cache."""
    to = store(name)
    before = resident_bytes()
    rng = np.random.default_rng(0)
    begin = time.perf_counter()
    count, dim = to.open(path)
    queries = rng.standard_normal((200, dim), np.float32)
    to.search(queries[0], filtered=False, whole=False)
    took = time.perf_counter() - begin
    for query in queries:
        to.search(query, filtered=False, whole=False)
    return {"reopen_s": took, "resident": (resident_bytes() - before) / count}


def main(command: str, name: str, path: str, *rest: str) -> None:
    try:
        store(name)
    except ImportError:
        print("null")
        return
    if command == "reopen":
        print(json.dumps(reopen(name, Path(path))))
        return
    queries, data, count, times = rest
    documents = load(Path(data) if data else None, int(count) if count else None, int(times))
    print(json.dumps(fill(name, Path(path), int(queries), documents)))


if __name__ == "__main__":
    main(*sys.argv[1:])
