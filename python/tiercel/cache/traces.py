"""Traces: which keys were asked for, one after the other."""

import lzma
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import CorruptionError, InvalidInputError

__all__ = ["Trace", "read_trace"]

# What libCacheSim writes: time, key, size, next access.
_ORACLE = np.dtype([("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")])


class Trace(NamedTuple):
    """Requests, in their order."""

    keys: NDArray[np.int64]
    sizes: NDArray[np.int64] | None
    """Bytes of what was asked for, if the trace tells."""


def read_trace(path: str | PathLike[str]) -> Trace:
    """Read a trace; the ending of its name tells how it is written.

    Parameters
    ----------
    path : str or os.PathLike
        `.trace`: keys as big-endian 32-bit integers (cache2k). `.lis`: lines of four integers, of which the first is a key and the second
        how many follow it (the ARC paper). `.oracleGeneral.bin`: records of 24 bytes with sizes (libCacheSim). `.txt`: lines of one
        integer. Behind each, `.xz` and `.zst` say that it is compressed; the latter needs `pip install zstandard`.

    Returns
    -------
    Trace

    Raises
    ------
    InvalidInputError
        The name has another ending, or what decompresses it is not installed.
    CorruptionError
        The file is not written so, or has no requests.
    FileNotFoundError
        There is no such file.
    """
    name = fspath(path)
    content = Path(path).read_bytes()
    try:
        trace = _parse(*_decompress(name, content))
    except (ValueError, OverflowError, lzma.LZMAError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise CorruptionError(f"{name}: expected a trace, got {error}") from error
    if not len(trace.keys):
        raise CorruptionError(f"{name}: expected requests, got none")
    return trace


def _decompress(name: str, content: bytes) -> tuple[str, bytes]:
    if name.endswith(".xz"):
        return name.removesuffix(".xz"), lzma.decompress(content)
    if not name.endswith(".zst"):
        return name, content
    try:
        zstandard: Any = import_module("zstandard")
    except ImportError as error:
        raise InvalidInputError(f"{name}: to read it, pip install zstandard") from error
    reader = zstandard.ZstdDecompressor().decompressobj()
    try:
        content = reader.decompress(content)
    except zstandard.ZstdError as error:
        raise CorruptionError(f"{name}: {error}") from error
    if not reader.eof:
        raise CorruptionError(f"{name}: expected a whole file, got the first part of one")
    return name.removesuffix(".zst"), content


def _parse(name: str, content: bytes) -> Trace:
    if name.endswith(".trace"):
        return Trace(np.frombuffer(content, ">i4").astype(np.int64), None)
    if name.endswith(".oracleGeneral.bin"):
        records = np.frombuffer(content, _ORACLE)
        return Trace(records["key"].astype(np.int64), records["size"].astype(np.int64))
    if name.endswith(".lis"):
        lines = np.array(content.split(), np.int64).reshape(-1, 4)
        starts, counts = lines[:, 0], lines[:, 1]
        if (counts < 0).any():
            raise ValueError("a count below 0")
        # Each request's number, less that of the first one of its line.
        first = np.cumsum(counts) - counts
        return Trace(np.arange(int(counts.sum())) + np.repeat(starts - first, counts), None)
    if name.endswith(".txt"):
        return Trace(np.array(content.split(), np.int64), None)
    expected = ".trace, .lis, .oracleGeneral.bin or .txt, perhaps with .xz or .zst"
    raise InvalidInputError(f"{name}: expected a name that ends in {expected}")
