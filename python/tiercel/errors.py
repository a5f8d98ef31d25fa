"""Every error that tiercel raises, in one tree rooted at `TiercelError`.

A message names the argument or the file, what was expected and what came. An error that Python programs usually catch by a builtin
name (`ValueError`, `KeyError`, `OSError`, `ImportError`) inherits from that, too.
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
    "NotFoundError",
    "ReadOnlyFileSystemError",
    "RecursiveLoadError",
    "StorageFailedError",
    "TiercelError",
]


class TiercelError(Exception):
    """Base of all errors of tiercel."""


class InvalidInputError(TiercelError, ValueError):
    """An argument is not what it must be; nothing was changed."""


class DimensionMismatchError(InvalidInputError):
    """Vectors or queries have another length than the index."""


class NotFoundError(TiercelError, KeyError):
    """An id that must be there is not."""

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return str(self.args[0]) if self.args else ""


class CorruptionError(TiercelError):
    """A file is damaged, cut short, from a newer version or not a tiercel file."""


class StorageFailedError(TiercelError, OSError):
    """A file could not be read or written."""


class MissingFileError(StorageFailedError, FileNotFoundError):
    """A file or directory does not exist (`errno` is ENOENT); `filename` says which."""


class AlreadyOpenError(TiercelError):
    """Another process, or another object in this one, has the collection or the tier open for writing."""


class ClosedError(TiercelError, ValueError):
    """The collection or the tier has been closed."""


class ForkedProcessError(TiercelError, RuntimeError):
    """A forked process uses what only the process that opened it may use; nothing was changed. Open it again in this process."""


class ConflictError(TiercelError):
    """A record is not as a write with `if_sequence` expects it; nothing was changed. Read the record again and decide anew."""

    def __init__(self, message: str, id: str, expected: int, actual: int) -> None:
        super().__init__(message, id, expected, actual)

    @property
    def id(self) -> str:
        """Which record; the first one, if several are not as expected."""
        return self.args[1]

    @property
    def expected(self) -> int:
        """The sequence that it was to have; 0 for no record."""
        return self.args[2]

    @property
    def actual(self) -> int:
        """The sequence that it has; 0 for no record."""
        return self.args[3]

    def __str__(self) -> str:
        return str(self.args[0])


class MissingDependencyError(TiercelError, ImportError):
    """An optional package is not installed, or cannot be imported. The message gives the `pip install` command; `name` is the module."""


class DeadlineExceededError(TiercelError, TimeoutError):
    """What was waited for took longer than the caller was willing to wait."""


class RecursiveLoadError(TiercelError, RuntimeError):
    """A loader asked the cache for the key that it is loading, itself or through other loaders."""


class DiskFullError(StorageFailedError):
    """There is no room for what was to be written; nothing was changed, and with room the same call succeeds.

    `errno` says why: ENOSPC, the disk is full; EDQUOT, a quota is used up; EFBIG, the file would be larger than the file system or
    the limit of the process (`ulimit -f`) allows. `filename` is the file, or the directory of the collection.

    `Collection.close` raises it when there was no room for a checkpoint, which makes the next opening quick: the collection is closed then, and
    every acknowledged write is safe.
    """


class ReadOnlyFileSystemError(StorageFailedError):
    """The file system is read-only, or has become so (`errno` is EROFS); nothing was changed.

    Once the file system takes writes again, the same call succeeds. From `Collection.close` it means what `DiskFullError` means there.
    """
