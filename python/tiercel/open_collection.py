"""An open collection: its directory, its mode, and how it is closed."""

from typing import Literal, Self

from tiercel._core import CollectionCore
from tiercel.async_methods import async_method
from tiercel.embed import Embedder
from tiercel.errors import DiskFullError, ReadOnlyFileSystemError
from tiercel.handles import Handle
from tiercel.places import telling_where
from tiercel.room import RoomToWrite

__all__ = ["OpenCollection"]


class OpenCollection(Handle):
    """The base of `Collection`: the compiled core and its directory, until they are closed."""

    __slots__ = ("__weakref__", "_core", "_embedder", "_mode", "_path", "_room")

    _instead = 'threads share it, and another process opens it itself, with mode="r" to read'
    _core: CollectionCore
    _embedder: Embedder | None
    _mode: Literal["rw", "r"]
    _path: str
    _room: RoomToWrite

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("Collection: use tiercel.open(path), which opens or creates one")

    @classmethod
    def _opened(cls, path: str, mode: Literal["rw", "r"], core: CollectionCore, embedder: Embedder | None) -> Self:
        made = object.__new__(cls)
        made._path, made._mode, made._core, made._embedder = path, mode, core, embedder
        made._room = RoomToWrite()
        return made

    @property
    def path(self) -> str:
        """The directory."""
        return self._path

    @property
    def mode(self) -> Literal["rw", "r"]:
        """Whether it is open to read and write, "rw", or only to read, "r"."""
        return self._mode

    def close(self) -> None:
        """Finish background work, make every write durable and release the directory.

        Closing twice is fine.

        Raises
        ------
        DiskFullError, ReadOnlyFileSystemError
            The checkpoint could not be written. The collection is closed and every acknowledged
            write is on disk, but the next opening takes longer.
        StorageFailedError
            The disk failed. The collection is closed. With a `durability` other than "always",
            acknowledged writes may be lost.
        """
        try:
            with telling_where(self._path):
                self._core.close()
        except (DiskFullError, ReadOnlyFileSystemError) as error:
            # Only the checkpoint raises these: a failed sync of the log is a `StorageFailedError`.
            meaning = "the collection is closed and every write is safe, but the next opening takes longer without a checkpoint"
            raise type(error)(error.errno, f"{error.strerror}: {meaning}", error.filename) from None

    @property
    def closed(self) -> bool:
        """Whether the collection has been closed."""
        return self._core.closed

    aclose = async_method(close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is not None:
            core.end()
