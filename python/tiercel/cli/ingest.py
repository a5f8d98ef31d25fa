"""`tiercel ingest`: lines of JSON in, a collection out."""

import argparse
import re
import time
from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

import tiercel
from tiercel import Collection, InvalidInputError, TiercelError
from tiercel.cli.answer import Answer
from tiercel.cli.beginning import Beginning
from tiercel.cli.collections import collection_lines, describe
from tiercel.cli.interrupts import interruptible, leave
from tiercel.cli.jsonl import Lines, Place, open_lines, parse
from tiercel.cli.progress import progress
from tiercel.cli.resume import new_records
from tiercel.embed import HashingEmbedder

# Records per batch. Each batch is written as a whole and is on disk before the next one is read.
BATCH = 1000
# A batch ends early once its lines have this many bytes.
BATCH_BYTES = 16 << 20
# The parts of a record, by their names in `Collection.upsert` and in a line.
_COLUMNS = {"ids": "id", "texts": "text", "metadata": "metadata", "vectors": "vector"}


class Entry(NamedTuple):
    """A record and its line."""

    place: Place
    record: dict[str, Any]


class Batch(NamedTuple):
    """Records, and the error of the line after them, if any."""

    entries: list[Entry]
    error: Exception | None


def run(args: argparse.Namespace) -> Answer:
    """Write records batch by batch. They stay if a later line is wrong, and after Ctrl-C."""
    start = time.perf_counter()
    with progress("ingesting") as report, open_lines(args.file) as lines, _Target(args, lines.name) as target:
        for batch in _batches(lines):
            target.put(batch)
            if report is not None:
                report(lines.position, lines.total)
        # Or the next command would have to link the vectors again and again: it may only read.
        target.open().wait_idle()
        document = describe(target.open(), args.into) | {"written": target.written, "skipped": target.skipped}
    document["seconds"] = seconds = time.perf_counter() - start
    speed = f"{target.written / seconds:,.0f} per second"
    done = f"{target.written:,} records written in {seconds:.2f} s ({speed}), {target.skipped:,} skipped"
    return Answer(document, [done, *collection_lines(document)])


def _batches(lines: Lines) -> Generator[Batch]:
    entries: list[Entry] = []
    size = 0
    try:
        for place, content in lines:
            entries.append(Entry(place, parse(content, place)))
            size += len(content)
            if len(entries) == BATCH or size >= BATCH_BYTES:
                yield Batch(entries, None)
                entries, size = [], 0
    except Exception as error:  # noqa: BLE001 - it is raised once the records before it are written
        yield Batch(entries, error)
    else:
        if entries:
            yield Batch(entries, None)


class _Target:
    """The collection that records are written to.

    If the command creates it and the first batch fails, nothing is left of it.
    """

    def __init__(self, args: argparse.Namespace, source: str) -> None:
        self.written = self.skipped = 0
        self._args = args
        self._source = source
        self._embedder = HashingEmbedder() if args.embedder == "hashing" else None
        self._beginning = Beginning(args.into)
        self._collection: Collection | None = None
        self._opens = False
        self._keeps = True
        self._sequence = 0
        """The number of the last batch that is counted in `written`."""
        self._under_way = 0
        """Lines of the batch that is being written."""

    def open(self) -> Collection:
        """Open the collection once, and create it if it is missing."""
        if self._collection is None:
            self._opens = True
            self._collection = interruptible(self._opened)
            self._keeps = not self._beginning.is_of(self._collection)
            self._sequence = self._collection.stats()["sequence"]
            _check_embedder(self._collection, self._embedder)
        return self._collection

    def _opened(self) -> Collection:
        return tiercel.open(self._args.into, embedder=self._embedder, storage=self._args.storage, raw=self._args.raw)

    def put(self, batch: Batch) -> None:
        """Write the records before the first wrong one, then raise its error."""
        if batch.entries:
            self._put(self.open(), batch.entries)
        if batch.error is not None:
            raise batch.error
        self._keeps = True

    def _put(self, collection: Collection, entries: list[Entry]) -> None:
        try:
            fresh = entries
            if self._args.resume:
                new = new_records(collection, [each.record for each in entries], self._embedder)
                fresh = [entry for entry, is_new in zip(entries, new, strict=True) if is_new]
            written, self._under_way = len(fresh), len(entries)
            _upsert(collection, [each.record for each in fresh])
        except InvalidInputError as error:
            if len(entries) == 1:
                raise InvalidInputError(f"{entries[0].place}: {_in_one(str(error))}") from error
        except (TiercelError, OSError, MemoryError) as error:
            error.add_note(f"{entries[0].place} to {entries[-1].place.number}")
            raise
        else:
            # No call separates these statements, so Ctrl-C cannot interrupt them.
            self._sequence += written > 0
            self.written += written
            self.skipped += self._under_way - written
            self._under_way = 0
            return
        # One of them is wrong: write each half, and divide the one that fails again.
        middle = len(entries) // 2
        self._put(collection, entries[:middle])
        self._put(collection, entries[middle:])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._collection is None:
            if isinstance(error, KeyboardInterrupt) and self._opens and self._beginning.is_empty:
                # An abandoned thread may still be creating it.
                self._beginning.restore()
            return
        if error is not None and not self._keeps:
            self._beginning.take_back(self._collection)
        elif isinstance(error, KeyboardInterrupt):
            # Everything written is on disk. Closing would take seconds, and only make the next
            # opening faster.
            leave(self._collection)
            done = self.written + self.skipped
            if self._collection.stats()["sequence"] > self._sequence:
                # Ctrl-C came when the batch was on disk but not counted yet.
                done += self._under_way
            error.add_note(
                f"{done:,} records of {self._source} are in the collection; add --resume to the command to continue"
            )
        elif error is not None:
            # The first error is the one to report.
            with suppress(TiercelError, OSError):
                self._collection.close()
        else:
            interruptible(self._collection.close)


def _check_embedder(collection: Collection, embedder: HashingEmbedder | None) -> None:
    if embedder is None and collection.dim is not None:
        made_with = HashingEmbedder(collection.dim).fingerprint
        if collection.fingerprint == made_with:
            raise InvalidInputError("--embedder: expected hashing, as in the collection, got none")


def _upsert(collection: Collection, records: list[dict[str, Any]]) -> None:
    columns = {key: [each.get(key) for each in records] for key in ("vector", "text", "metadata")}
    vectors = columns["vector"] if any(each is not None for each in columns["vector"]) else None
    collection.upsert([each["id"] for each in records], vectors, columns["text"], columns["metadata"])


def _in_one(message: str) -> str:
    """Turn a message about a batch of one record into one about that record."""
    message = re.sub(rf"^({'|'.join(_COLUMNS)})(\[0\])?", lambda found: _COLUMNS[found[1]], message)
    message = message.replace(" at row 0, column", " at column")
    # Where a record stands in its batch and what to pass in Python say nothing about a line.
    return re.sub(r" at (position|row) 0$|; pass (them as texts=|str\(id\))$", "", message)
