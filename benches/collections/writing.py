"""Rows about writing: batches, one record, and the time until new records are found."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench import Bench
from data import Documents
from measure import Figure, each, p50_ms, say

import tiercel

ONE = 1000
"""Records upserted one by one."""
BURSTS = 15
"""Repetitions of inserting and finding records."""


def batch(bench: Bench) -> list[Figure]:
    return bench.ingested[1]


def sync_ms(directory: Path, size: int, count: int = 300) -> tuple[float, float]:
    """Milliseconds to write and sync `size` bytes: appended to a file, and overwriting others."""
    file = os.open(directory / "probe", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    content = os.urandom(size)

    def append(_: int) -> None:
        os.write(file, content)
        os.fdatasync(file)

    def overwrite(at: int) -> None:
        os.pwrite(file, content, at * size)
        os.fdatasync(file)

    appended, _ = each(append, range(count))
    overwritten, _ = each(overwrite, range(count))
    os.close(file)
    (directory / "probe").unlink()
    return p50_ms(appended), p50_ms(overwritten)


def bytes_of(documents: Documents, at: int) -> int:
    """Bytes of a record: vector, id, text, metadata."""
    metadata = json.dumps(documents.metadata[at], ensure_ascii=False)
    return documents.vectors[at].nbytes + sum(len(part.encode()) for part in (documents.texts[at], metadata))


def single(bench: Bench) -> list[Figure]:
    """One new record per call."""
    documents = bench.documents
    size = bytes_of(documents, 0)
    append, overwrite = sync_ms(bench.directory, size)
    figures = []
    for durability in ("always", "interval"):
        say(f'upserts of one record, "{durability}"')
        with bench.copy() as path, tiercel.open(path, durability=durability) as collection:

            def upsert(at: int) -> None:
                part = slice(at, at + 1)
                texts, metadata = documents.texts[part], documents.metadata[part]
                collection.upsert([f"new-{at}"], documents.vectors[part], texts, metadata)

            seconds, _ = each(upsert, range(min(ONE, len(documents.ids))))
        wanted, note = "under 0.05", "in a collection of all documents"
        if durability == "always":
            wanted = f"{overwrite + 0.2:.2f} to {append + 0.2:.2f}"
            note = f"the disk's sync of {size:,} bytes alone: {append:.2f} ms appended, {overwrite:.2f} in place"
        figures.append(Figure(f'one-record upsert, "{durability}"', p50_ms(seconds), "{:.3f} ms", wanted, note))
    return figures


def burst(bench: Bench) -> list[Figure]:
    """Many new records in one call, and a search that finds the last of them."""
    figures = []
    with bench.copy() as path, tiercel.open(path) as collection:
        for most, wanted in ((100, "under 2"), (1000, "under 15")):
            count = min(most, len(bench.documents.ids))
            say(f"{count:,} new records until they are found, in {len(bench.documents.ids):,}")
            size = sum(bytes_of(bench.documents, at) for at in range(count))
            seconds, syncs = [], []
            for round_ in range(BURSTS):
                # Alternate, because the speed of a disk varies.
                syncs.append(sync_ms(bench.directory, size, 3)[0])
                seconds.append(until_found(collection, bench.documents, round_, count))
            sync = float(np.median(syncs))
            what = f"{count:,} new records until searchable, in {len(bench.documents.ids):,}"
            note = f"beyond the disk's sync of {size:,} bytes, {sync:.2f} ms; with the search that finds one"
            figures.append(Figure(what, p50_ms(seconds) - sync, "{:.2f} ms", wanted, note))
    return figures


def until_found(collection: Any, documents: Documents, round_: int, count: int) -> float:
    rng = np.random.default_rng([count, round_])
    vectors = rng.standard_normal((count, documents.vectors.shape[1]), np.float32)
    ids = [f"new-{count}-{round_}-{at}" for at in range(count)]
    begin = time.perf_counter()
    collection.upsert(ids, vectors, documents.texts[:count], documents.metadata[:count])
    found = collection.search(vectors[-1], k=1, include=()).ids
    took = time.perf_counter() - begin
    if found != ids[-1:]:
        raise RuntimeError(f"a record that was acknowledged is not found: {ids[-1]}, but {found}")
    # The next burst must find an idle collection.
    collection.wait_idle()
    return took
