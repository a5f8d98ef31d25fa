"""Where it was that a disk failed."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import final

from tiercel.errors import MissingFileError, StorageFailedError, TiercelError

__all__ = ["telling_gone", "telling_where"]


@final
class telling_where:  # noqa: N801 - it is used as a function
    """A disk that fails meanwhile is that of this directory, if the error names no other file: there may be several disks.

    A class, since a small write would take a tenth longer with `contextlib.contextmanager`.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, StorageFailedError) and error.filename is None and error.errno is not None:
            error.filename = self._path


@contextmanager
def telling_gone(path: str) -> Generator[None]:
    """What fails meanwhile, since the directory of a collection is no longer there, says that."""
    try:
        yield
    except TiercelError as error:
        of_disk = isinstance(error, StorageFailedError) or type(error) is TiercelError
        if of_disk and not os.path.isdir(path):  # noqa: PTH112
            raise MissingFileError(errno.ENOENT, "the collection is gone", path) from error
        raise
