"""The collections that this process has open for writing, so that opening one twice says so."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from tiercel.errors import AlreadyOpenError
from tiercel.open_collection import OpenCollection

__all__ = ["remember", "telling_who_writes"]

_WRITERS: Final[WeakKeyDictionary[OpenCollection, int]] = WeakKeyDictionary()
"""Each with the process that opened it: a forked child also finds those of its parent here."""


def remember(collection: OpenCollection) -> None:
    """Remember a collection that this process has opened for writing."""
    if collection.mode == "rw":
        _WRITERS[collection] = os.getpid()


@contextmanager
def telling_who_writes(path: str) -> Generator[None]:
    """Say in `AlreadyOpenError` if this process itself has the collection open."""
    try:
        yield
    except AlreadyOpenError:
        # The process id in the lock proves nothing: another container may use the same.
        if not _is_open_here(Path(path)):
            raise
        raise AlreadyOpenError(f"{path}: already open in this process: close that collection, or use it") from None


def _is_open_here(path: Path) -> bool:
    writers = [reference() for reference in _WRITERS.keyrefs()]
    own = [writer for writer in writers if writer is not None and _WRITERS.get(writer) == os.getpid()]
    return any(not writer.closed and _is_same(writer.path, path) for writer in own)


def _is_same(one: str, other: Path) -> bool:
    try:
        return other.samefile(one)
    except OSError:
        return False
