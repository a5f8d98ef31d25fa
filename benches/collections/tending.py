"""What tending a collection of many vectors takes: memory, bytes on disk, readers, compaction."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from keeping import child
from measure import Figure, each, p50_ms, say, seconds_of
from million import BATCH, K, Many, Searching, writer

import tiercel
from tiercel import Collection

LATER = (1000, 100_000)
"""Records that are new when a reader refreshes."""
PROC = Path("/proc/self")


def status(field: str) -> int:
    """Bytes that Linux reports for this process: VmRSS, resident; RssAnon, without files; VmHWM, the peak."""
    lines = (PROC / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def peak_over_rest(call: Callable[[], Any]) -> float:
    """Call, and return the most memory at any time beyond what was resident before, in GB."""
    (PROC / "clear_refs").write_text("5")
    before = status("VmRSS")
    call()
    return (status("VmHWM") - before) / 1e9


def written_bytes() -> int:
    """Bytes that this process has written."""
    lines = (PROC / "io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def kept(collection: Collection, many: Many, copy: Path, before: int) -> Iterable[Figure]:
    """Yield what was written for the data that is in the collection, and what reading it again takes."""
    vectors = many.base.shape[0] * many.base.shape[1] * 4
    note = f"of {vectors / 1e9:.2f} GB of vectors; one more checkpoint {{:.2f}} times"
    ingested = written_bytes() - before
    collection.checkpoint()
    written = (written_bytes() - before) / vectors
    yield Figure("bytes written for data", written, "{:.2f} times", "3", note.format(written - ingested / vectors))
    rest, most = status("VmRSS") / 1e9, status("VmHWM") / 1e9
    taken = sum(collection.stats()["memory"].values()) / 1e9
    note = f"{taken:.2f} GB counted by `stats()`; {rest:.2f} GB resident with the file of the vectors and the \
metadata of this benchmark; {most:.2f} GB at most while records were written, {most / rest:.2f} times (wanted: 1.25)"
    yield Figure("memory at rest", status("RssAnon") / 1e9, "{:.2f} GB", "2.1", note)
    say("verify")
    yield Figure("memory of verify, beyond rest", peak_over_rest(collection.verify), "{:.2f} GB", "0.3")
    say("backup")
    yield Figure("memory of backup, beyond rest", peak_over_rest(lambda: collection.backup(copy)), "{:.2f} GB", "0.3")


def followed(path: Path, many: Many) -> Iterable[Figure]:
    """Yield the cost of readers."""
    with tiercel.open(path) as collection, tiercel.open(path, mode="r") as reader:
        reader.search(many.queries[0], k=K)
        write = writer(collection, many)
        for count, target in zip(LATER, ("20", "300"), strict=True):
            say(f"a reader of {count:,} new records")
            each(write, range(0, min(count, len(many)), BATCH))
            collection.wait_idle()
            took = seconds_of(reader.refresh)
            seconds, _ = each(lambda query: reader.search(query, k=K, include=()), many.queries)
            note = f"a search of the reader then {p50_ms(seconds):.2f} ms"
            yield Figure(f"refresh after {count:,} new records", took * 1e3, "{:,.0f} ms", target, note)
        collection.checkpoint()
        note = "the graphs of these records are read"
        yield Figure("refresh after a checkpoint", seconds_of(reader.refresh) * 1e3, "{:,.0f} ms", "300", note)


def halved(collection: Collection, many: Many) -> Iterable[Figure]:
    """Yield the cost of a compaction after half of the records were deleted."""
    search = [p50_ms(each(lambda query: collection.search(query, k=K, include=()), many.queries)[0])]
    say("delete half")
    ids = [f"r{row}" for row in range(0, len(many), 2)]
    deleted = seconds_of(lambda: each(collection.delete, [ids[at : at + 10_000] for at in range(0, len(ids), 10_000)]))
    say("compact")
    took: list[float] = []
    with Searching(collection, many.queries) as searching:
        thread = threading.Thread(target=lambda: took.append(seconds_of(collection.compact)))
        more = peak_over_rest(lambda: (thread.start(), thread.join()))
    p50, p99 = np.percentile(searching.seconds, [50, 99]) * 1e3
    note = f"deleting took {deleted:.1f} s; {more:.2f} GB more memory meanwhile (wanted: 0.8)"
    yield Figure("compact after half was deleted", took[0], "{:.0f} s", "60", note)
    note = f"p99 {p99:.2f}; before {search[0]:.3f} ms"
    yield Figure("a search meanwhile", p50, "{:.3f} ms", f"{2 * search[0]:.3f}", note)


def opened(path: Path) -> Iterable[Figure]:
    """Yield the time of opening in a new process, which is killed then."""
    for what, target in (("open with vectors behind", "1"), ("open after a kill", "1")):
        facts = child("open", str(path))
        note = f"the first search {facts['search']:.2f} s; {facts['resident'] / 1e9:.2f} GB resident"
        yield Figure(what, facts["open"], "{:.2f} s", target, note)
