"""Adding the directory to disk errors."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import final

from tiercel.errors import MissingFileError, StorageFailedError, TiercelError

__all__ = ["telling_gone", "telling_where"]


@final
class telling_where:  # noqa: N801 - it is used as a function
    """Set this directory as the `filename` of a disk error that names no file: there may be several
    disks.

    A class, because `contextlib.contextmanager` would make small writes a tenth slower.
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
    """Raise `MissingFileError` for a failure if the collection's directory is gone."""
    try:
        yield
    except TiercelError as error:
        of_disk = isinstance(error, StorageFailedError) or type(error) is TiercelError
        if of_disk and not os.path.isdir(path):  # noqa: PTH112
            raise MissingFileError(errno.ENOENT, "the collection is gone", path) from error
        raise
