"""The tiers of a cache that are local to the process: in memory, in a store and in files."""

import os
from collections.abc import Generator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict
from weakref import WeakValueDictionary

from tiercel._core import FilesCore, MemoryCore, PersistentTierCore, StoreCore, TierCore
from tiercel.beginnings import TIER_LOG, nothing_left
from tiercel.cache.directories import TierKind, tier_kind_in
from tiercel.cache.keys import Key
from tiercel.cache.views import Items, Values
from tiercel.errors import InvalidInputError, MissingFileError
from tiercel.exits import AtExit
from tiercel.handles import Handle
from tiercel.paths import path_name

__all__ = ["Files", "Key", "Memory", "PersistentTier", "Store", "Tier", "TierStats"]


class TierStats(TypedDict):
    """Contents and counters of a tier since it was opened.

    Attributes
    ----------
    entries
        Keys in the tier.
    bytes
        Bytes that count against its size: values, keys and bookkeeping.
    hits
        Values found.
    misses
        Requested keys that were absent.
    puts
        Values stored.
    evictions
        Values removed to make room.
    refused
        Values that were too large.
    damaged
        Damaged values or files. Each was a miss.
    failures
        Reads and writes that the disk refused. Each was a miss, or a value that was not stored. For a tier of a
        `Cache`: `cache.stats()["tiers"][1]["own"]["failures"]`.
    """

    entries: int
    bytes: int
    hits: int
    misses: int
    puts: int
    evictions: int
    refused: int
    damaged: int
    failures: int


class Tier(Handle, TierCore, MutableMapping[Key, bytes]):
    """The interface of every local tier: a `MutableMapping` from `str` or `bytes` keys to bytes.

    For an absent key `tier[key]` raises `KeyError`, and `tier.get(key)` returns None. A key of
    another type, or a value without a buffer, raises `InvalidInputError`. For a value that is too
    large for the tier, `tier[key] = value` raises `InvalidInputError`, and `tier.put(key, value)`
    returns False.
    """

    __slots__ = ()

    def items(self) -> Items[bytes]:
        """Return a view of keys and values. It skips keys that disappear during an iteration."""
        return Items(self)

    def values(self) -> Values[bytes]:
        """Return a view of the values. It skips those that disappear during an iteration."""
        return Values(self)

    def flush(self) -> bool:
        """Write and sync everything, if the tier is persistent. Return whether that succeeded."""
        return True

    def close(self) -> None:
        """Release all resources. Closing twice is harmless."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} keys, {self.bytes:,} bytes>"


class Memory(MemoryCore, Tier):
    """A tier in memory.

    Eviction follows the policy of quick_cache, a CLOCK with two rings and a memory of evicted keys.
    It weighs recency and frequency, so a scan over many keys does not evict keys in regular use.

    Parameters
    ----------
    bytes : int
        The size: values and keys as the allocator rounds them, and about 140 bytes per entry. A
        value may take about three quarters of it. A tier of 256 MiB or more is split into shards of
        at least about 120 MiB, and a value may take about three quarters of a shard.

    Raises
    ------
    InvalidInputError
        `bytes` is not an int from 1 to 2**64 - 1.

    Examples
    --------
    >>> from tiercel.cache import Memory
    >>> memory = Memory(1 << 20)
    >>> memory.put("small", b"x"), memory.put("large", bytes(2 << 20))
    (True, False)
    >>> memory.get("small"), memory.get("large"), len(memory)
    (b'x', None, 1)
    """

    __slots__ = ()


@contextmanager
def _telling_kind(path: object, kind: TierKind) -> Generator[None]:
    """Raise a clearer error if the directory holds another kind of tier."""
    try:
        yield
    except (InvalidInputError, MissingFileError):
        # The path may not be one, or the system may refuse it.
        directory = Path(os.path.expanduser(path)) if isinstance(path, str | os.PathLike) else None  # noqa: PTH111
        there = tier_kind_in(directory) if directory is not None and directory.is_dir() else None
        if there is None or there == kind:
            raise
        expected = f"expected a directory that is absent, empty or that of a tier `{kind}`"
        raise InvalidInputError(
            f"path: {expected}, got {directory}, which is that of a tier `{there}`; open it as that tier"
        ) from None


def _nothing_left(path: object, create: object) -> AbstractContextManager[None]:
    try:
        return nothing_left(path_name(path, "path"), TIER_LOG) if create is True else nullcontext()
    except InvalidInputError:
        # Opening the tier then raises this error.
        return nullcontext()


def _absolute(path: "str | os.PathLike[str]") -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - as the core does it


class PersistentTier(PersistentTierCore, Tier):
    """A tier that outlives the process: `Store` or `Files`. As a context manager it closes itself.

    A closed tier raises `ClosedError`. A process that exits flushes its open tiers. In a forked
    child the tier is empty and stores nothing, but the child keeps the directory open until it
    exits.
    """

    __slots__ = ()

    def __init__(self, *_: Any, **__: Any) -> None:
        _open[id(self)] = self
        _at_exit.is_needed()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: closed>" if self.closed else super().__repr__()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


# By id, because tiers with equal contents are equal.
_open: WeakValueDictionary[int, PersistentTier] = WeakValueDictionary()


def _finish() -> None:
    for tier in list(_open.values()):
        if not tier.closed:
            # A no-op in a forked process.
            tier.flush()


_at_exit = AtExit(_finish, priority=10)


class Store(StoreCore, PersistentTier):
    """A persistent tier in a directory: a log of values.

    Values are written together, about a mebibyte at a time. They are synced about every sixteen
    mebibytes, and by `flush()` and `close()`. A crash loses what was written since the last sync,
    and may bring back what those writes replaced or deleted. A damaged value is a miss. Damage that
    may hide a replacement or a deletion discards everything older, and the file is set aside as
    `log-<number>.damaged`. After a write that the disk refuses, the tier is emptied. `stats()`
    counts all of this.

    Parameters
    ----------
    path : str or os.PathLike
        A directory for this tier alone. A leading `~` is the home directory. The directory is created if it is missing,
        with its parents. It must not contain files of other programs, not even hidden ones, except `lost+found` and
        `.DS_Store`.
    bytes : int
        The size: values as written, keys, and about 100 bytes of bookkeeping per entry. The files
        take up to about twice as much, plus two mebibytes and the largest value. Anything beyond
        this size is evicted when the tier is opened.
    level : int, optional
        The zstd level, 1 to 22, for values that compress. None, the default, does not compress.
    create : bool
        Whether to create a missing tier. False makes a mistyped path an error.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range, or the directory contains other files.
    MissingFileError
        There is no tier in the directory, with `create=False`.
    AlreadyOpenError
        Another process, or another `Store` in this one, has the directory open.
    StorageFailedError, DiskFullError
        The directory or a file cannot be created, read or written; a tier that cannot be created leaves nothing behind.
        After opening, such errors are misses and are counted.

    Examples
    --------
    >>> import tempfile
    >>> from tiercel.cache import Store
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with Store(directory, 64 << 20) as store:
    ...         store["greeting"] = b"hello"
    ...     with Store(directory, 64 << 20) as store:
    ...         store["greeting"]
    b'hello'
    """

    __slots__ = ("directory",)

    directory: str
    """The absolute path of the directory."""

    def __new__(
        cls, path: "str | os.PathLike[str]", bytes: int, level: int | None = None, *, create: bool = True
    ) -> Self:
        """Open the tier, or create it."""
        with _telling_kind(path, "Store"), _nothing_left(path, create):
            made = super().__new__(cls, path, bytes, level, create=create)
        made.directory = _absolute(path)
        return made


class Files(FilesCore, PersistentTier):
    """A persistent tier of files in a directory, compressed and deduplicated, for values of any size.

    A value of more than 16 KiB as written is a file under `blobs`, named by its BLAKE3 hash. A
    smaller one is packed into a log in `ledger`, which also maps keys to values. Equal values are
    stored once and evicted with all of their keys. The log is synced like that of a `Store`, files
    only by `flush()` and `close()`. A crash loses what was put since the last sync, and what those
    values replaced; a key that was deleted since may be back if another key has its value. A
    damaged value is a miss, is counted in `stats()`, and is removed with its keys. If a value
    cannot be written, its key is absent; if the log cannot be written, the tier is emptied.

    Parameters
    ----------
    path : str or os.PathLike
        A directory for this tier alone. A leading `~` is the home directory. The directory is created if it is missing,
        with its parents. It must not contain files of other programs, not even hidden ones, except `lost+found` and
        `.DS_Store`.
    bytes : int
        The size of the directory: whole blocks of each file plus one more, and the log with its dead records. A tier of
        less than 2 MiB takes up to half a mebibyte more. Anything beyond this size is evicted when the tier is opened.
    level : int or None
        The zstd level, 1 to 22, for values that compress. None does not compress.
    create : bool
        Whether to create a missing tier. False makes a mistyped path an error.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range, or the directory contains other files.
    MissingFileError
        There is no tier in the directory, with `create=False`.
    AlreadyOpenError
        Another process, or another `Files` in this one, has the directory open.
    StorageFailedError, DiskFullError
        The directory or a file cannot be created, read or written; a tier that cannot be created leaves nothing behind.
        After opening, such errors are misses and are counted.

    Examples
    --------
    >>> import tempfile
    >>> from tiercel.cache import Files
    >>> with tempfile.TemporaryDirectory() as directory, Files(directory, 1 << 30) as files:
    ...     files["one"] = files["other"] = b"a line, again " * 10_000
    ...     len(files), files.bytes < 1000
    (2, True)
    """

    __slots__ = ("directory",)

    directory: str
    """The absolute path of the directory."""

    def __new__(cls, path: "str | os.PathLike[str]", bytes: int, level: int | None = 3, *, create: bool = True) -> Self:
        """Open the tier, or create it."""
        with _telling_kind(path, "Files"), _nothing_left(path, create):
            made = super().__new__(cls, path, bytes, level, create=create)
        made.directory = _absolute(path)
        return made
