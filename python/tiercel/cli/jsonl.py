"""Records as lines of JSON, which `tiercel ingest` reads and `tiercel export` writes."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from tiercel import InvalidInputError, Match
from tiercel.cli.outputs import new_file
from tiercel.cli.paths import STANDARD

KEYS = ("id", "text", "metadata", "vector")
# The most bytes of a line. Every record fits, unless its text has tens of millions of characters
# that are all written as escapes.
MOST_LINE = 256 << 20
_GZIP = b"\x1f\x8b"


class Place(NamedTuple):
    """A line of a file, as messages name it."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}"


class _Source(io.RawIOBase):
    """A file or a pipe whose first bytes have been read ahead."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.first = self._waiting = file.read(len(_GZIP))
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        chunk = self._waiting or cast("io.BufferedReader", self._file).read1(len(buffer))
        self._waiting = chunk[len(buffer) :]
        chunk = chunk[: len(buffer)]
        buffer[: len(chunk)] = chunk
        self.position += len(chunk)
        return len(chunk)


class Lines:
    """The lines of a file, a pipe or standard input, decompressed if they are gzip."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.name = "standard input" if path == STANDARD else path
        self.total = Path(path).stat().st_size if Path(path).is_file() else 0
        """Bytes to read; 0 if unknown."""
        self._source = _Source(file)
        self._packed = self._source.first == _GZIP
        if path.endswith(".gz") and self._source.first and not self._packed:
            raise InvalidInputError(f"{path}: expected gzip, as the name says, got something else")

    @property
    def position(self) -> int:
        """The number of bytes read so far."""
        return self._source.position

    def __iter__(self) -> Iterator[tuple[Place, bytes]]:
        """Iterate over the lines that are not blank. Errors name the line."""
        number = 1
        file = (
            gzip.GzipFile(fileobj=io.BufferedReader(self._source)) if self._packed else io.BufferedReader(self._source)
        )
        try:
            while line := file.readline(MOST_LINE + 1):
                if len(line) > MOST_LINE:
                    raise InvalidInputError(f"{self._place(number)}: expected at most {MOST_LINE:,} bytes, got more")
                if line.strip():
                    yield self._place(number), line
                number += 1
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InvalidInputError(f"{self._place(number)}: expected gzip: {error}") from error
        except OSError as error:
            error.add_note(str(self._place(number)))
            raise

    def _place(self, number: int) -> Place:
        return Place(self.name, number)


@contextmanager
def open_lines(path: str) -> Generator[Lines]:
    """Open a file or a pipe; `-` is standard input."""
    if path != STANDARD and Path(path).is_dir():
        raise InvalidInputError(f"FILE.jsonl: expected a file, got the directory {path}")
    if path != STANDARD and not Path(path).exists():
        raise InvalidInputError(f"FILE.jsonl: expected a file, got {path}, which does not exist")
    with nullcontext(_standard_input()) if path == STANDARD else Path(path).open("rb") as file:
        yield Lines(path, file)


def _standard_input() -> BinaryIO:
    # Python sets a closed stream to None.
    if cast("object", sys.stdin) is None:
        raise InvalidInputError("FILE.jsonl: expected standard input, which is closed")
    return sys.stdin.buffer


def parse(line: bytes, place: Place) -> dict[str, Any]:
    """Parse a record. The collection checks its values."""
    try:
        record: object = json.loads(line, object_pairs_hook=_once)
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from None
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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object. Refuse a repeated key, because either of its values may be meant."""
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(f"expected each key of an object once, got {twice!r} twice")
    return record


def dump(match: Match) -> str:
    """Encode a record as a line of ASCII, for output in any encoding. Leave out absent parts."""
    values = (match.id, match.text, match.metadata, None if match.vector is None else match.vector.tolist())
    return json.dumps({key: value for key, value in zip(KEYS, values, strict=True) if value is not None})


def write_lines(path: str, lines: Iterable[str]) -> None:
    """Write lines to a file that appears only when it is complete, or to a pipe.

    Compress them if the name ends in `.gz`.
    """
    with new_file(path) as file:
        # Without a name and a time, equal records make equal files.
        packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if path.endswith(".gz") else nullcontext(file)
        with packed as out:
            for line in lines:
                out.write(line.encode("ascii") + b"\n")
