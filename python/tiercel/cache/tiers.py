"""The tiers of a cache."""

import os
from collections.abc import Generator, ItemsView, Iterator, MutableMapping, ValuesView
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypedDict
from weakref import WeakValueDictionary

from tiercel._core import FilesCore, LastingCore, MemoryCore, StoreCore, TierCore
from tiercel.beginnings import TIER_LOG, nothing_left
from tiercel.cache.directories import TierKind, tier_kind_in
from tiercel.errors import InvalidInputError, MissingFileError
from tiercel.exits import AtExit
from tiercel.handles import Handle
from tiercel.paths import path_name

__all__ = ["Files", "Key", "Memory", "PersistentTier", "Store", "Tier", "TierStats"]

Key: TypeAlias = str | bytes


class TierStats(TypedDict):
    """What is in a tier, and what happened since it was made.

    Attributes
    ----------
    entries
        Keys that are there.
    bytes
        Bytes that count against the size: of values, keys and their bookkeeping.
    hits
        Values found.
    misses
        Keys asked for that were not there.
    puts
        Values kept.
    evictions
        Values removed to make room.
    refused
        Values too large to be kept.
    damaged
        Values or files that were damaged: each was a miss.
    failures
        Reads and writes that the disk refused: each was a miss, or a value not kept. Of a tier of a `Cache`: `cache.stats()["tiers"][1]["own"]["failures"]`.
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


class _Items(ItemsView[Key, bytes]):
    def __iter__(self) -> Iterator[tuple[Key, bytes]]:
        for key in self._mapping:
            if (value := self._mapping.get(key)) is not None:
                yield key, value


class _Values(ValuesView[bytes]):
    def __iter__(self) -> Iterator[bytes]:
        return (value for _, value in _Items(self._mapping))


class Tier(Handle, TierCore, MutableMapping[Key, bytes]):
    """What every tier can do: a `MutableMapping` of keys, `str` or `bytes`, to bytes.

    Reading an absent key by `tier[key]` raises `KeyError`, by `tier.get(key)` gives None. A key of another type raises
    `InvalidInputError`, as does a value that has no buffer. `tier[key] = value` raises `InvalidInputError` for a value that is too large
    for the tier; `tier.put(key, value)` tells so by False.
    """

    __slots__ = ()

    def items(self) -> ItemsView[Key, bytes]:
        """Keys and values. Keys that leave while they are walked through are passed over."""
        return _Items(self)

    def values(self) -> ValuesView[bytes]:
        """Values. Those that leave while they are walked through are passed over."""
        return _Values(self)

    def flush(self) -> bool:
        """Have everything where it outlives the process, if the tier does; tells whether it is there."""
        return True

    def close(self) -> None:
        """Give back what the tier holds of the system. Doing it again changes nothing."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} keys, {self.bytes:,} bytes>"


class Memory(MemoryCore, Tier):
    """A tier in memory.

    Who stays is decided by how recently and how often a value was used (the policy of quick_cache, a CLOCK with two rings and a memory of
    keys that left), so one pass over many keys does not drive out those that are used again and again.

    Parameters
    ----------
    bytes : int
        Size, of values and keys as the allocator rounds them, and about 140 bytes an entry. An entry may take 85% of it; from 256 MiB on
        the room is divided into parts of about 128 MiB or more, and an entry may take 85% of a part.

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
    """Where a tier cannot be opened because one of the other kind is there, say so."""
    try:
        yield
    except (InvalidInputError, MissingFileError):
        # It may be no path at all, or none that the system takes.
        directory = Path(os.path.expanduser(path)) if isinstance(path, str | os.PathLike) else None  # noqa: PTH111
        there = tier_kind_in(directory) if directory is not None and directory.is_dir() else None
        if there is None or there == kind:
            raise
        expected = f"expected a directory that is absent, empty or that of a tier `{kind}`"
        raise InvalidInputError(
            f"path: {expected}, got {directory}, which is that of a tier `{there}`; open it with that"
        ) from None


def _nothing_left(path: object, create: object) -> AbstractContextManager[None]:
    try:
        return nothing_left(path_name(path, "path"), TIER_LOG) if create is True else nullcontext()
    except InvalidInputError:
        # The opening says so.
        return nullcontext()


def _absolute(path: "str | os.PathLike[str]") -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - as the core does it


class PersistentTier(LastingCore, Tier):
    """A tier that outlives the process: `Store` and `Files`. A context manager that closes it.

    A closed tier raises `ClosedError`. A process that ends flushes the tiers that it holds. A forked process finds nothing in them and keeps nothing,
    but holds the directory open while it lives.
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


# By what they are, for tiers with equal contents are equal.
_open: WeakValueDictionary[int, PersistentTier] = WeakValueDictionary()


def _finish() -> None:
    for tier in list(_open.values()):
        if not tier.closed:
            # In a forked process this does nothing.
            tier.flush()


_at_exit = AtExit(_finish, priority=10)


class Store(StoreCore, PersistentTier):
    """A tier in a directory, which outlives the process.

    Values are written together, about a mebibyte at a time, and synced every sixteen mebibytes or so, and by `flush()` and `close()`: what a crash
    loses is what was written since, and what that replaced or deleted may be back. A damaged value is a miss; damage that may hide what was replaced
    or deleted takes along everything that is older, and the file is set aside as `log-<number>.damaged`. After a write that the disk refuses
    everything is forgotten. All of it is counted in `stats()`.

    Parameters
    ----------
    path : str or os.PathLike
        A directory of the tier's own, in which a leading `~` is a home directory. It is made if it is missing, with those above it. What
        other programs wrote must not be in it, hidden files included; `lost+found` and `.DS_Store` do not count.
    bytes : int
        Size, of values as they are written, keys and about 100 bytes of bookkeeping an entry; the files take up to about twice as much, two
        mebibytes and the largest value. What is there beyond it when the tier is opened goes.
    level : int, optional
        Level of zstd, 1 to 22, that values are compressed with where that makes them smaller. None, the default, keeps them as they are.

    create : bool
        Whether a tier may begin where there is none. False makes a mistyped path an error.

    Raises
    ------
    InvalidInputError
        An argument is not what it must be, or the directory has other files in it.
    MissingFileError
        There is no tier in the directory, with `create=False`.
    AlreadyOpenError
        Another process, or another `Store` in this one, has the directory open.
    StorageFailedError, DiskFullError
        The directory or the file cannot be made, read or written; what cannot begin leaves nothing of itself. Later such errors are misses, and counted.

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
    """Where it is, as an absolute path."""

    def __new__(
        cls, path: "str | os.PathLike[str]", bytes: int, level: int | None = None, *, create: bool = True
    ) -> Self:
        """Open the tier, or begin it."""
        with _telling_kind(path, "Store"), _nothing_left(path, create):
            made = super().__new__(cls, path, bytes, level, create=create)
        made.directory = _absolute(path)
        return made


class Files(FilesCore, PersistentTier):
    """A tier of files in a directory, for values of all sizes: compressed, and equal ones kept once.

    A content of more than 16 KiB, as it is written, is a file that is named by its BLAKE3 hash, under `blobs`; a smaller one is packed into a log, in
    `ledger`, which tells which key has which content. Who stays is decided by content: one that has to leave takes all of its keys along.
    The log is synced as that of a `Store` is, contents in files by `flush()` and `close()` alone: what a crash loses is what was put since, and
    what that replaced; a key that was deleted since may be back if another one has its content. A damaged content is a miss, counted in
    `stats()`, and removed with its keys. When a content cannot be written, its key has no value; when the log cannot, everything is forgotten.

    Parameters
    ----------
    path : str or os.PathLike
        A directory of the tier's own, in which a leading `~` is a home directory. It is made if it is missing, with those above it. What
        other programs wrote must not be in it, hidden files included; `lost+found` and `.DS_Store` do not count.
    bytes : int
        Size of the directory: whole blocks of files and one more for each, and the log with what is dead in it. A tier of less than 2 MiB takes up to
        half a mebibyte more. What is there beyond it when the tier is opened goes.
    level : int or None
        Level of zstd, 1 to 22, that contents are compressed with where that makes them smaller; None keeps them as they are.

    create : bool
        Whether a tier may begin where there is none. False makes a mistyped path an error.

    Raises
    ------
    InvalidInputError
        An argument is not what it must be, or the directory has other files in it.
    MissingFileError
        There is no tier in the directory, with `create=False`.
    AlreadyOpenError
        Another process, or another `Files` in this one, has the directory open.
    StorageFailedError, DiskFullError
        The directory or a file cannot be made, read or written; what cannot begin leaves nothing of itself. Later such errors are misses, and counted.

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
    """Where it is, as an absolute path."""

    def __new__(cls, path: "str | os.PathLike[str]", bytes: int, level: int | None = 3, *, create: bool = True) -> Self:
        """Open the tier, or begin it."""
        with _telling_kind(path, "Files"), _nothing_left(path, create):
            made = super().__new__(cls, path, bytes, level, create=create)
        made.directory = _absolute(path)
        return made
