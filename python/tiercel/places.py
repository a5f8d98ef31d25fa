"""Where it was that a disk failed."""

from typing import final

from tiercel.errors import StorageFailedError

__all__ = ["telling_where"]


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
