"""Where it was that a disk failed."""

from collections.abc import Generator
from contextlib import contextmanager

from tiercel.errors import StorageFailedError

__all__ = ["telling_where"]


@contextmanager
def telling_where(path: str) -> Generator[None]:
    """A disk that fails meanwhile is that of this directory, if the error names no other file: there may be several disks."""
    try:
        yield
    except StorageFailedError as error:
        if error.filename is None and error.errno is not None:
            error.filename = path
        raise
