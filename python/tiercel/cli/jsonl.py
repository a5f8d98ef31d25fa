"""Records in lines of JSON: what `tiercel ingest` reads and `tiercel export` writes."""

import gzip
import json
import os
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from tiercel import InvalidInputError, Match

KEYS = ("id", "text", "metadata", "vector")
# Bytes of a line: more than a record may have, but for a text of tens of millions of characters that are all written as escapes.
MOST_LINE = 256 << 20


@contextmanager
def open_lines(path: str) -> Generator[tuple[BinaryIO, Iterable[bytes]]]:
    """Give the file itself, whose position tells how much is read, and its lines; a line that is too long is an `InvalidInputError`."""
    if not Path(path).is_file():
        raise InvalidInputError(f"FILE.jsonl: expected a file, got {path}, which is none")
    with Path(path).open("rb") as file:
        yield file, _unpacked(file, path) if path.endswith(".gz") else _lines(file, path)


def _lines(file: IO[bytes], path: str) -> Generator[bytes]:
    number = 0
    while line := file.readline(MOST_LINE + 1):
        number += 1
        if len(line) > MOST_LINE:
            raise InvalidInputError(
                f"{path}:{number}: expected a line of at most {MOST_LINE:,} bytes, got a longer one"
            )
        yield line


def _unpacked(file: BinaryIO, path: str) -> Generator[bytes]:
    try:
        with gzip.GzipFile(fileobj=file) as lines:
            yield from _lines(cast("IO[bytes]", lines), path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInputError(f"FILE.jsonl: expected gzip, got {path}: {error}") from error


def parse(line: bytes, place: str) -> dict[str, Any]:
    """A record; what its values must be is for the collection to check."""
    try:
        record: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{place}: expected a JSON object: {error}") from None
    if not isinstance(record, dict):
        raise InvalidInputError(f"{place}: expected a JSON object, got {type(record).__name__}")
    record = cast("dict[str, Any]", record)
    unknown = [key for key in record if key not in KEYS]
    if unknown or "id" not in record:
        problem = f"got {unknown[0]!r}" if unknown else "got no id"
        raise InvalidInputError(f"{place}: expected id and any of text, metadata, vector, {problem}")
    return record


def dump(match: Match) -> str:
    """A record as a line, in ASCII whatever the encoding of the file; what it lacks is left out."""
    values = (match.id, match.text, match.metadata, None if match.vector is None else match.vector.tolist())
    return json.dumps({key: value for key, value in zip(KEYS, values, strict=True) if value is not None})


@contextmanager
def new_file(path: str) -> Generator[IO[str]]:
    """A file that appears under its name when it is complete."""
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    try:
        with (
            gzip.open(temporary, "wt", encoding="ascii")
            if path.endswith(".gz")
            else temporary.open("w", encoding="ascii")
        ) as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
