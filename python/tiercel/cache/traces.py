"""Traces of cache requests, for replay."""

import io
import lzma
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiercel.dependencies import needed
from tiercel.errors import CorruptionError, InvalidInputError, MissingFileError, StorageFailedError
from tiercel.paths import path_name

__all__ = ["MOST_BYTES", "MOST_REQUESTS", "Trace", "read_trace"]

# A record of libCacheSim: time, key, size, next access.
_ORACLE = np.dtype([("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")])

MOST_REQUESTS: Final = 1 << 27
"""The most requests of a trace: a gibibyte of keys."""
MOST_BYTES: Final = 4 << 30
"""The most bytes of an uncompressed trace."""
# Bytes of the longest line of numbers.
_LINE: Final = 1 << 10
# Lines, and bytes, that are read at a time.
_LINES: Final = 1 << 12
_TOGETHER: Final = 1 << 16
# Bytes that a decompressor gets at a time: four bytes of zstd can hold 128 KiB.
_PACKED: Final = 1 << 10
# Bytes of memory that a decompressor of xz may use.
_MEMORY: Final = 1 << 28


class Trace(NamedTuple):
    """The requests of a trace, in order."""

    keys: NDArray[np.int64]
    sizes: NDArray[np.int64] | None
    """The size of each requested value in bytes, if the trace has sizes."""


def read_trace(path: str | PathLike[str]) -> Trace:
    """Read a trace, in the format that its file extension names.

    Parameters
    ----------
    path : str or os.PathLike
        `.trace`: keys as big-endian 32-bit integers (cache2k). `.lis`: lines of four integers, the
        first a key and the second the number of consecutive keys from there (the ARC paper).
        `.oracleGeneral.bin`: records of 24 bytes with sizes (libCacheSim). `.txt`: lines of one
        integer. Each may be compressed, with a further extension `.xz` or `.zst`; the latter needs
        `pip install zstandard`.

    Returns
    -------
    Trace

    Raises
    ------
    InvalidInputError
        The file has another extension.
    MissingDependencyError
        The file is compressed by Zstandard, and `zstandard` is not installed.
    CorruptionError
        The file has another format, no requests, or more than 134,217,728 requests or 4 GiB.
    MissingFileError
        There is no such file.
    StorageFailedError
        The file cannot be read.
    """
    name = path_name(path, "path")
    try:
        with Path(name).open("rb") as file:
            trace = _parse(*_unpacked(name, file))
    except OSError as error:
        failed = MissingFileError if isinstance(error, FileNotFoundError) else StorageFailedError
        raise failed(error.errno, error.strerror, name) from error
    except (ValueError, OverflowError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise CorruptionError(f"{name}: expected a trace, got {error}") from error
    if not len(trace.keys):
        raise CorruptionError(f"{name}: expected requests, got none")
    return trace


def _unpacked(name: str, file: IO[bytes]) -> tuple[str, IO[bytes]]:
    """Return the name without a compression extension, and the file, decompressed as it is read."""
    if name.endswith(".xz"):
        return name.removesuffix(".xz"), io.BufferedReader(
            _Unpacker(file, lambda: lzma.LZMADecompressor(memlimit=_MEMORY), lzma.LZMAError)
        )
    if not name.endswith(".zst"):
        return name, file
    zstandard = needed("zstandard", "zstandard")
    unpacker = _Unpacker(file, lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError)
    return name.removesuffix(".zst"), io.BufferedReader(unpacker)


class _Unpacker(io.RawIOBase):
    """Decompresses a file as it is read, and detects a truncated one."""

    def __init__(self, file: IO[bytes], begin: Callable[[], Any], error: type[Exception]) -> None:
        self._file = file
        self._begin = begin
        self._error = error
        self._reader = begin()
        self._packed = b""
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            packed = self._packed or self._file.read(_PACKED)
            if not packed:
                if not self._reader.eof:
                    raise ValueError("a truncated file")
                return 0
            if self._reader.eof:
                # Another frame follows.
                self._reader = self._begin()
            try:
                self._left = memoryview(self._reader.decompress(packed))
            except self._error as error:
                raise ValueError(str(error)) from error
            self._packed = self._reader.unused_data if self._reader.eof else b""
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def _parse(name: str, file: IO[bytes]) -> Trace:
    if name.endswith(".trace"):
        return Trace(_records(file, np.dtype(">i4")).astype(np.int64), None)
    if name.endswith(".oracleGeneral.bin"):
        records = _records(file, _ORACLE)
        return Trace(records["key"].astype(np.int64), records["size"].astype(np.int64))
    if name.endswith(".lis"):
        return Trace(_runs(file), None)
    if name.endswith(".txt"):
        parts = [numbers[:, 0] for _, numbers in _numbers(file, 1)]
        return Trace(np.concatenate([np.empty(0, np.int64), *parts]), None)
    expected = ".trace, .lis, .oracleGeneral.bin or .txt, perhaps with .xz or .zst"
    raise InvalidInputError(f"{name}: expected a name that ends in {expected}")


def _records(file: IO[bytes], kind: np.dtype[Any]) -> NDArray[Any]:
    most = min(MOST_BYTES, MOST_REQUESTS * kind.itemsize)
    parts, size = list[bytes](), 0
    while part := file.read(_TOGETHER):
        size += len(part)
        if size > most:
            raise ValueError(f"more than {most:,} bytes")
        parts.append(part)
    return np.frombuffer(b"".join(parts), kind)


def _numbers(file: IO[bytes], columns: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield batches of lines with the number of their first line.

    A line has one integer per column, or any number of them if there is one column.
    """
    at, size, total = 1, 0, 0
    lines = list[list[bytes]]()
    while line := file.readline(_LINE + 1):
        number, fields = at + len(lines), line.split()
        size, total = size + len(line), total + len(fields)
        if len(line) > _LINE:
            raise ValueError(f"more than {_LINE:,} bytes in line {number:,}")
        if size > MOST_BYTES or total > columns * MOST_REQUESTS:
            raise ValueError(f"more than {MOST_REQUESTS:,} requests or {MOST_BYTES:,} bytes at line {number:,}")
        if fields and columns > 1 and len(fields) != columns:
            raise ValueError(f"{len(fields)} numbers instead of {columns} in line {number:,}")
        lines.append(fields)
        if len(lines) >= _LINES:
            yield at, _integers(at, lines, columns)
            at, lines = at + len(lines), []
    yield at, _integers(at, lines, columns)


def _integers(at: int, lines: list[list[bytes]], columns: int) -> NDArray[np.int64]:
    try:
        return np.array([field for line in lines for field in line], "S").astype(np.int64).reshape(-1, columns)
    except (ValueError, OverflowError):
        for number, line in enumerate(lines, at):
            for field in line:
                try:
                    np.array([field], "S").astype(np.int64)
                except (ValueError, OverflowError) as error:
                    raise ValueError(f"{field!r:.40} in line {number:,}") from error
        raise


def _runs(file: IO[bytes]) -> NDArray[np.int64]:
    """Expand runs of consecutive keys."""
    runs, total = [np.empty((0, 2), np.int64)], 0
    for at, numbers in _numbers(file, 4):
        counts = numbers[:, 1]
        wrong = np.flatnonzero((counts < 0) | (counts > MOST_REQUESTS))
        total += 0 if len(wrong) else int(counts.sum())
        if len(wrong) or total > MOST_REQUESTS:
            place = (
                f"about line {at:,}" if not len(wrong) else f"{counts[wrong[0]]:,} of them about line {at + wrong[0]:,}"
            )
            raise ValueError(f"a count of requests below 0, or more than {MOST_REQUESTS:,} requests: {place}")
        runs.append(numbers[:, :2])
    starts, counts = np.concatenate(runs).T
    # The number of each request, minus that of the first one of its line.
    first = np.cumsum(counts) - counts
    return np.arange(total) + np.repeat(starts - first, counts)
