"""The part of `tiercel demo` on disk: searches a collection, and kills the writer of another."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import tiercel
from tiercel import Collection, F, Found, TiercelError
from tiercel.cli.collections import describe
from tiercel.cli.demo_writer import BATCH, DIM, batch_ids
from tiercel.cli.progress import progress
from tiercel.datasets import WordnetSample

SHOWN = 3
QUERY = 33
# Batches that are acknowledged before the child is killed while it writes later ones.
SURVIVED = 20
_INGEST = 500


def show_collection(sample: WordnetSample) -> dict[str, Any]:
    """Store the sample in a collection, search it, kill a writer, and describe the results."""
    with tempfile.TemporaryDirectory(prefix="tiercel-demo-") as directory:
        with tiercel.open(Path(directory) / "glosses", dim=sample.vectors.shape[1]) as collection:
            start = time.perf_counter()
            _ingest(collection, sample)
            document = {"ingest_seconds": time.perf_counter() - start, "query": sample.query_texts[QUERY]}
            document |= describe(collection, collection.path) | {"searches": _searches(collection, sample)}
        document["kill"] = _kill(str(Path(directory) / "killed")) if hasattr(signal, "SIGKILL") else None
    return document


def _ingest(collection: Collection, sample: WordnetSample) -> None:
    metadata = [{"pos": name.partition("-")[0]} for name in sample.ids]
    with progress("ingesting") as report:
        for start in range(0, len(sample.ids), _INGEST):
            part = slice(start, start + _INGEST)
            collection.upsert(sample.ids[part], sample.vectors[part], sample.texts[part], metadata[part])
            if report is not None:
                report(min(part.stop, len(sample.ids)), len(sample.ids))


def _searches(collection: Collection, sample: WordnetSample) -> list[dict[str, Any]]:
    vector, text, verbs = sample.queries[QUERY], sample.query_texts[QUERY], F("pos") == "verb"
    ways: list[tuple[str, Found]] = [
        ("by vector", collection.search(vector, k=SHOWN)),
        ("by text", collection.search(text=text, k=SHOWN)),
        ("by both", collection.search(vector, text, k=SHOWN)),
        ("by both, verbs alone", collection.search(vector, text, filter=verbs, k=SHOWN)),
    ]
    return [
        {"way": way, "results": [{"id": each.id, "score": each.score, "text": each.text} for each in found]}
        for way, found in ways
    ]


def _kill(directory: str) -> dict[str, Any]:
    """Kill a process that writes batch after batch, then look for what was acknowledged."""
    # Only the parent shows warnings.
    command = [sys.executable, "-W", "ignore", "-m", "tiercel.cli.demo_writer", directory]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:  # noqa: S603 - it is this very Python
        lines = iter(child.stdout or ())
        told = list(islice(lines, SURVIVED))
        os.kill(child.pid, signal.SIGKILL)
        # Batches that were acknowledged after the last line read and before the kill also count.
        told += [line for line in lines if line.endswith(b"\n")]
    if len(told) < SURVIVED:
        raise TiercelError("the process to be killed ended on its own")
    with tiercel.open(directory, dim=DIM) as collection:
        acknowledged = [name for number in range(len(told)) for name in batch_ids(number)]
        lost = sum(name not in collection for name in acknowledged)
        return {
            "acknowledged": len(acknowledged),
            "found": len(collection),
            "lost": lost,
            "half_batches": int(len(collection) % BATCH != 0),
            "damage": collection.verify(),
        }


def collection_lines(document: dict[str, Any]) -> Iterator[str]:
    """Describe the results for people."""
    seconds, records = document["ingest_seconds"], document["stats"]["records"]
    yield f"a collection of {records:,} records, each on disk when its batch returned: {seconds:.2f} s"
    yield f'"{document["query"]}"'
    for search in document["searches"]:
        yield search["way"]
        for each in search["results"]:
            yield f"  {each['score']:.3f} {textwrap.shorten(each['text'], 96, placeholder=' ...')}"
    kill = document["kill"]
    if kill is not None:
        yield ""
        yield f"a process was killed (SIGKILL) while it wrote: {kill['acknowledged']:,} records were acknowledged,"
        yield f"{kill['found']:,} were found, {kill['lost']} acknowledged ones lost, {len(kill['damage'])} files damaged"
