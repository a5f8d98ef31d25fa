"""`tiercel ingest`: lines of JSON in, a collection out."""

import argparse
import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, cast

import tiercel
from tiercel import Collection, InvalidInputError
from tiercel.cli.answer import Answer
from tiercel.cli.collections import collection_lines, describe
from tiercel.cli.jsonl import open_lines, parse
from tiercel.cli.progress import progress
from tiercel.embed import HashingEmbedder

# Each is written whole and is on disk before the next is read.
BATCH = 1000

Records = list[dict[str, Any]]


def run(args: argparse.Namespace) -> Answer:
    """Put records in, batch by batch; what was put in stays when a later line is wrong or Ctrl-C comes."""
    start = time.perf_counter()
    written = skipped = 0
    total = Path(args.file).stat().st_size if Path(args.file).is_file() else 0
    with ExitStack() as stack:
        report = stack.enter_context(progress("ingesting"))
        file, lines = stack.enter_context(open_lines(args.file))
        collection: Collection | None = None
        for place, records in _batches(lines, args.file):
            if collection is None:
                collection = stack.enter_context(_open(args, records))
            fresh = [each for each in records if not (args.resume and each["id"] in collection)]
            skipped += len(records) - len(fresh)
            _put(collection, fresh, place)
            written += len(fresh)
            if report is not None:
                report(file.tell(), total)
        if collection is None:
            collection = stack.enter_context(_open(args, []))
        document = describe(collection) | {"written": written, "skipped": skipped}
    document["seconds"] = time.perf_counter() - start
    speed = written / document["seconds"]
    done = f"{written:,} records written in {document['seconds']:.2f} s ({speed:,.0f} a second), {skipped:,} skipped"
    return Answer(document, [done, *collection_lines(document)])


def _batches(lines: Iterable[bytes], path: str) -> Generator[tuple[str, Records]]:
    """Records, and the lines that they stand in for a message; empty lines are nothing."""
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    while batch := list(islice(numbered, BATCH)):
        place = f"{path}, lines {batch[0][0]} to {batch[-1][0]}"
        yield place, [parse(line, f"{path}, line {number}") for number, line in batch]


def _open(args: argparse.Namespace, first: Records) -> Collection:
    """Open the collection; a new one takes its dim from the first vector of the first batch."""
    if args.embedder == "hashing":
        return tiercel.open(args.into, embedder=HashingEmbedder())
    vectors = [each["vector"] for each in first if isinstance(each.get("vector"), list)]
    is_new = not Path(args.into).exists() or not any(Path(args.into).iterdir())
    collection = tiercel.open(args.into, dim=len(cast("list[object]", vectors[0])) if vectors and is_new else None)
    if collection.dim is not None and collection.fingerprint == HashingEmbedder(collection.dim).fingerprint:
        collection.close()
        raise InvalidInputError("--embedder: expected hashing, as the collection was made, got none")
    return collection


def _put(collection: Collection, records: Records, place: str) -> None:
    columns = {key: [each.get(key) for each in records] for key in ("vector", "text", "metadata")}
    vectors = columns["vector"] if any(each is not None for each in columns["vector"]) else None
    try:
        collection.upsert([each["id"] for each in records], vectors, columns["text"], columns["metadata"])
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from error
