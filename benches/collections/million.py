"""A collection of many vectors, with a tenant and numbers each: the cost of writes and searches."""

import argparse
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from data import K, Vectors
from measure import Figure, each, p50_ms, say, seconds_of

import tiercel
from tiercel import Collection, F
from tiercel.filters import Filter

BASE, QUERIES = "base.f16.npy", "queries.f16.npy"
BATCH = 1000
TENANTS = 1000
SHARES = [0.5, 0.25, 0.2, 0.1, 0.03, 0.01, 0.001]
EXACT = 100
"""Queries whose true neighbours are looked for, for the recall."""
AFTER = 20
"""Searches that each follow a write."""
BEHIND = 50_000
"""Records that are written before a collection is closed."""
COLLECTIONS = 200
IDLE = 2.0
"""Seconds in which nothing happens."""
BETWEEN = 0.002
"""Seconds between two searches beside a load."""
UPDATED = 10
"""One in this many records gets other metadata."""


@dataclass(frozen=True, slots=True, eq=False)
class Many:
    """Vectors in a file, and queries."""

    base: Any
    queries: Vectors

    @classmethod
    def load(cls, directory: Path, count: int | None, queries: int) -> "Many":
        """Read a directory as `datasets.py scaled` makes it."""
        base = np.load(directory / BASE, mmap_mode="r")
        asked = np.load(directory / QUERIES, mmap_mode="r")[:queries]
        return cls(base[:count], np.asarray(asked, np.float32))

    def __len__(self) -> int:
        return self.base.shape[0]

    def metadata(self) -> list[dict[str, Any]]:
        """Few tenants have many records; numbers and shares are in no order."""
        rng = np.random.default_rng(3)
        weights = 1 / np.arange(1, TENANTS + 1)
        tenants = rng.choice(TENANTS, len(self), p=weights / weights.sum())
        numbers, shares = rng.permutation(len(self)), rng.random(len(self)).round(4)
        columns = zip(tenants.tolist(), numbers.tolist(), shares.tolist(), strict=True)
        return [{"tenant": f"t{tenant}", "n": number, "share": share} for tenant, number, share in columns]


def directory(name: str) -> Path:
    """Read an argument of the command line: a directory with vectors and queries."""
    missing = [file for file in (BASE, QUERIES) if not (Path(name) / file).is_file()]
    if missing:
        raise argparse.ArgumentTypeError(f"expected a directory with {' and '.join(missing)}, got {name}")
    return Path(name)


def count(text: str) -> int:
    """Read an argument of the command line: a number of things, at least one."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive int, got {text}")
    return int(text)


def ingest(collection: Collection, many: Many) -> Iterable[Figure]:
    say(f"upsert of {len(many):,} records, and searches beside it")
    write = writer(collection, many)
    firsts = range(0, len(many), BATCH)
    begin = time.perf_counter()
    with Searching(collection, many.queries) as searching:
        calls, _ = each(write, firsts)
        acknowledged = time.perf_counter() - begin
    behind = collection.stats()["fresh_vectors"]
    collection.wait_idle()
    indexed = time.perf_counter() - begin
    tenth = max(1, len(calls) // 10)
    first, last = (BATCH * tenth / sum(some) for some in (calls[:tenth], calls[-tenth:]))
    note = f"the first tenth {first:,.0f}, the last {last:,.0f}; {behind:,} vectors were not in the graph at the end"
    yield Figure("ingest, acknowledged", len(many) / acknowledged, "{:,.0f} records/s", "8,000", note)
    note = "1,000 records a call, the vectors read from a file"
    yield Figure("the longest call", max(calls) * 1e3, "{:,.0f} ms", "250", note)
    yield Figure("ingest, all in the graph", len(many) / indexed, "{:,.0f} records/s", "8,000")
    yield Figure("after the last write until all is in the graph", indexed - acknowledged, "{:,.1f} s", "10")
    p99, most = np.percentile(searching.seconds, [99, 100]) * 1e3
    note = f"p99 {p99:.1f} (wanted: 5), longest {most:.1f} ms; {len(searching.seconds):,} searches"
    yield Figure("a search beside it", p50_ms(searching.seconds), "{:.3f} ms", "0.5", note)


def writer(collection: Collection, many: Many) -> Callable[[int], None]:
    """Return what writes a batch, from its first row on."""
    metadata = many.metadata()

    def write(first: int) -> None:
        rows = range(first, min(first + BATCH, len(many)))
        vectors = np.asarray(many.base[first : rows.stop], np.float32)
        collection.upsert([f"r{row}" for row in rows], vectors, metadata=metadata[first : rows.stop])

    return write


class Searching:
    """A thread that searches while something else goes on."""

    def __init__(self, collection: Collection, queries: Vectors) -> None:
        self.seconds: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(collection, queries))

    def _run(self, collection: Collection, queries: Vectors) -> None:
        for query in itertools.cycle(queries):
            if not self._stop.is_set():
                self.seconds.append(seconds_of(lambda query=query: collection.search(query, k=K, include=())))
            if self._stop.wait(BETWEEN):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def closed(path: Path, many: Many) -> Iterable[Figure]:
    say("closing behind a load")
    collection = tiercel.open(path)
    each(writer(collection, many), range(0, min(len(many), BEHIND), BATCH))
    behind = collection.stats()["fresh_vectors"]
    note = f"{behind:,} vectors were not in the graph"
    yield Figure("close behind a load", seconds_of(collection.close), "{:.2f} s", "2", note)


def several(directory: Path, dim: int) -> Iterable[Figure]:
    say(f"{COLLECTIONS} collections")
    vectors = np.random.default_rng(0).normal(size=(500, dim)).astype(np.float32)
    before, threads = resident(), count_of("task")
    with ExitStack() as opened:
        for number in range(COLLECTIONS):
            collection = opened.enter_context(tiercel.open(directory / f"small-{number}", dim=dim))
            collection.upsert([str(row) for row in range(len(vectors))], vectors)
            collection.wait_idle()
        files = count_of("fd")
        more = count_of("task") - threads
        raw = vectors.nbytes / 1e3
        each_takes = (resident() - before) / COLLECTIONS / 1e3
        idle = time.process_time()
        time.sleep(IDLE)
        idle = (time.process_time() - idle) / IDLE
    what = f"{COLLECTIONS} collections of 500 records"
    yield Figure(f"{what}, threads", more, "{:,.0f}", "4", f"{idle:.2%} of a core while nothing happens")
    yield Figure(f"{what}, open files", files, "{:,.0f}", "250")
    yield Figure(f"{what}, memory of each", each_takes, "{:,.0f} kB", "300", f"the vectors of each take {raw:,.0f} kB")


def count_of(what: str) -> int:
    """Count the threads or the open files of this process: "task" or "fd"."""
    return len(list((Path("/proc/self") / what).iterdir()))


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def filtered(collection: Collection, many: Many) -> Iterable[Figure]:
    filters: list[tuple[str, Filter | None]] = [("no filter", None), ("the largest tenant", F("tenant") == "t0")]
    filters += [(f"{share:.1%} of the records", F("share") < share) for share in SHARES]
    for name, passes in filters:
        say(f"search, {name}")

        def search(query: Any, passes: Filter | None = passes, **options: Any) -> list[str]:
            return collection.search(query, k=K, filter=passes, include=(), **options).ids

        def after_a_write(query: Any, search: Callable[..., Any] = search) -> float:
            collection.upsert(["written"], query[None], metadata=[{"tenant": "t0", "n": -1, "share": 0.0}])
            return seconds_of(lambda: search(query))

        search(many.queries[0])
        seconds, found = each(search, many.queries)
        exact = [search(query, recall=1) for query in many.queries[:EXACT]]
        recall = np.mean([len({*ids} & {*true}) / max(len(true), 1) for ids, true in zip(found, exact, strict=False)])
        p95, p99 = np.percentile(seconds, [95, 99]) * 1e3
        written = p50_ms([after_a_write(query) for query in many.queries[:AFTER]])
        note = f"p95 {p95:.2f}, p99 {p99:.2f}; recall@10 {recall:.3f}; just after an upsert {written:.2f} ms"
        yield Figure(f"search, {name}", p50_ms(seconds), "{:.3f} ms", "0.5", note)


def ordered(collection: Collection, many: Many) -> Iterable[Figure]:
    say("pages in the order of a field")

    def page(after: str | None) -> str | None:
        scan = collection.scan(order_by="n", limit=100, after=after, include=())
        assert all(scan)
        return scan.position

    first = seconds_of(lambda: page(None))
    seconds, _ = each(page, [None] * AFTER)
    deep = collection.scan(filter=F("n") == len(many) // 2, order_by="n", include=())
    assert len(list(deep)) == 1
    later, _ = each(page, [deep.position] * AFTER)
    note = f"the first call {first:.2f} s; a page in the middle {p50_ms(later):.2f} ms"
    yield Figure("100 records in the order of a field", p50_ms(seconds), "{:.2f} ms", "1", note)


def updated(collection: Collection, many: Many) -> Iterable[Figure]:
    say("updates of metadata")
    rows = range(0, len(many), UPDATED)
    metadata = [{"tenant": "t0", "n": row, "share": 1.0} for row in rows]
    took = seconds_of(lambda: collection.update_metadata([f"r{row}" for row in rows], metadata))
    query = many.queries[0]
    collection.wait_idle()
    collection.upsert(["written"], query[None], metadata=[{"tenant": "t0"}])
    after = seconds_of(lambda: collection.search(query, k=K, filter=F("tenant") == "t0", include=()))
    note = f"a search through a filter after these and an upsert {after * 1e3:.1f} ms"
    yield Figure(f"update_metadata of {len(rows):,}", took, "{:.2f} s", "3", note)
