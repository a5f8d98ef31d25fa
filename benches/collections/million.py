"""A collection of many vectors, with a tenant and numbers each: does cost follow the change?"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from data import K, Vectors
from measure import Figure, each, p50_ms, say, seconds_of

import tiercel
from tiercel import Collection, F
from tiercel.filters import Filter

BATCH = 1000
TENANTS = 1000
SHARES = [0.5, 0.25, 0.2, 0.1, 0.03, 0.01, 0.001]
EXACT = 100
"""Queries whose true neighbours are looked for, for the recall."""
AFTER = 20
"""Searches that each follow a write."""
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
        base = np.load(directory / "base.f16.npy", mmap_mode="r")
        asked = np.load(directory / "queries.f16.npy", mmap_mode="r")[:queries]
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


def rows(many: Many, directory: Path) -> Iterable[Figure]:
    """Yield the figures of one run."""
    path = directory / "million"
    with tiercel.open(path, dim=many.queries.shape[1]) as collection:
        yield from ingest(collection, many)
    yield Figure("open after a clean close", seconds_of(lambda: tiercel.open(path).close()), "{:.2f} s", "0.3")
    with tiercel.open(path) as collection:
        yield from filtered(collection, many)
        yield from ordered(collection, many)
        yield from updated(collection, many)


def ingest(collection: Collection, many: Many) -> Iterable[Figure]:
    say(f"upsert of {len(many):,} records")
    metadata = many.metadata()

    def write(first: int) -> None:
        rows = range(first, min(first + BATCH, len(many)))
        vectors = np.asarray(many.base[first : rows.stop], np.float32)
        collection.upsert([f"r{row}" for row in rows], vectors, metadata=metadata[first : rows.stop])

    begin = time.perf_counter()
    calls, _ = each(write, range(0, len(many), BATCH))
    acknowledged = time.perf_counter() - begin
    collection.wait_idle()
    indexed = time.perf_counter() - begin
    note = f"1,000 a call, the vectors read from a file; the longest call {max(calls):.2f} s"
    yield Figure("ingest, acknowledged", len(many) / acknowledged, "{:,.0f} records/s", "8,000", note)
    yield Figure("ingest, all in the graph", len(many) / indexed, "{:,.0f} records/s", "8,000")
    yield Figure("after the last write until all is in the graph", indexed - acknowledged, "{:,.1f} s", "10")


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
