"""Every error that tiercel raises, in one tree rooted at `TiercelError`.

A message names the argument or the file, what was expected, and what came instead. An error that
Python programs usually catch by a builtin name (`ValueError`, `OSError`, `ImportError`) also
inherits from that.
"""

__all__ = [
    "AlreadyOpenError",
    "ClosedError",
    "ConflictError",
    "CorruptionError",
    "DeadlineExceededError",
    "DimensionMismatchError",
    "DiskFullError",
    "ForkedProcessError",
    "InvalidInputError",
    "MissingDependencyError",
    "MissingFileError",
    "ReadOnlyFileSystemError",
    "RecursiveLoadError",
    "StorageFailedError",
    "TiercelError",
]


class TiercelError(Exception):
    """Base of all errors of tiercel."""


class InvalidInputError(TiercelError, ValueError):
    """An argument is invalid; nothing was changed."""


class DimensionMismatchError(InvalidInputError):
    """Vectors or queries have another length than `dim`."""


class CorruptionError(TiercelError):
    """A file is damaged, truncated, from a newer version or not a tiercel file."""


class StorageFailedError(TiercelError, OSError):
    """A file could not be read or written."""


class MissingFileError(StorageFailedError, FileNotFoundError):
    """A file or directory does not exist (`errno` is ENOENT); `filename` says which."""


class AlreadyOpenError(TiercelError):
    """Another process, or another object in this one, has the collection or tier open to write."""


class ClosedError(TiercelError, ValueError):
    """The collection or the tier has been closed."""


class ForkedProcessError(TiercelError, RuntimeError):
    """A forked process used an object that only the process that opened it may use; nothing was
    changed. Open it again in this process.
    """


class ConflictError(TiercelError):
    """`add` got an id that already exists, or a record does not have the sequence in `if_sequence`;
    nothing was changed.

    Read the record again and decide again.
    """

    def __init__(self, message: str, id: str | int, expected: int, actual: int | None) -> None:
        super().__init__(message, id, expected, actual)

    @property
    def id(self) -> str | int:
        """The id of the record, the first one if several are in conflict; an int in an index."""
        return self.args[1]

    @property
    def expected(self) -> int:
        """The sequence that the write expects; 0 for no record."""
        return self.args[2]

    @property
    def actual(self) -> int | None:
        """The sequence of the record; 0 for no record, `None` in an index, which has none."""
        return self.args[3]

    def __str__(self) -> str:
        return str(self.args[0])


class MissingDependencyError(TiercelError, ImportError):
    """An optional package is not installed, or cannot be imported.

    The message contains the `pip install` command; `name` is the module.
    """


class DeadlineExceededError(TiercelError, TimeoutError):
    """The wait took longer than the caller allowed."""


class RecursiveLoadError(TiercelError, RuntimeError):
    """A loader asked the cache for the key that it is loading, itself or through other loaders."""


class DiskFullError(StorageFailedError):
    """No room for a write; nothing was changed, and the same call succeeds once there is room.

    `errno` says why: ENOSPC, the disk is full; EDQUOT, a quota is used up; EFBIG, the file would
    exceed the limit of the file system or of the process (`ulimit -f`). `filename` is the file, or
    the directory of the collection.

    `Collection.close` raises it if there was no room for a checkpoint: the collection is closed and
    every acknowledged write is safe, but the next opening takes longer.
    """


class ReadOnlyFileSystemError(StorageFailedError):
    """The file system is read-only, or has become so (`errno` is EROFS); nothing was changed.

    The same call succeeds once the file system takes writes again. From `Collection.close` it means
    the same as `DiskFullError` there.
    """
