"""Scans: the records of a collection in order, read on demand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, final

from tiercel.errors import ClosedError
from tiercel.found import Match, record
from tiercel.handles import Handle
from tiercel.open_collection import OpenCollection

if TYPE_CHECKING:
    from tiercel._core import ScanCore

__all__ = ["AsyncScan", "Scan"]


@final
class Scan(Handle, Iterator[Match]):
    """The records in order, as they were when the scan began; created by `Collection.scan`.

    They are read from disk on demand, at most 256 of them or a little over 1 MiB at a time,
    whatever is written meanwhile. Until the scan ends, is closed or is dropped, what has been
    replaced since stays on disk. Use a scan from one thread at a time. Once its collection is
    closed, it raises `ClosedError`.
    """

    __slots__ = ("_after", "_at", "_collection", "_core", "_rows")

    _instead = "begin another one after its position"

    _after: str | None
    _at: int
    _collection: OpenCollection
    _core: "ScanCore"
    _rows: list[tuple[str, str | None, str | None, Any, int]]

    def __init__(self) -> None:
        raise TypeError("Scan: made by Collection.scan")

    @classmethod
    def _begun(cls, collection: OpenCollection, core: "ScanCore", after: str | None) -> Self:
        made = object.__new__(cls)
        # Holding the collection keeps it open.
        made._collection, made._core, made._after = collection, core, after
        made._rows, made._at = [], 0
        return made

    @property
    def position(self) -> str | None:
        """The place after the last record returned, or where the scan began; `None` is before the
        first record.

        Another scan with the same `order_by` continues there with `after=position`, even if that
        record is gone or the collection was reopened.
        """
        return self._core.position(self._at - 1) if self._at else self._after

    def close(self) -> None:
        """End the scan and release what it holds. Closing twice is fine."""
        self._after, self._rows, self._at = self.position, [], 0
        self._core.release()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Match:
        if not self._is_ready():
            self._read()
        match = self._taken()
        if match is None:
            raise StopIteration
        return match

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_ready(self) -> bool:
        """Whether the next record has been read."""
        if self._collection.closed:
            raise ClosedError("the collection is closed")
        return self._at < len(self._rows)

    def _read(self) -> None:
        """Read the next records; none at the end."""
        # Set before the read, which may fail.
        self._after, self._rows, self._at = self.position, [], 0
        self._rows = self._core.chunk()
        if not self._rows:
            self._core.release()

    def _taken(self) -> Match | None:
        """Return the next record that has been read; `None` at the end."""
        if not self._rows:
            return None
        self._at += 1
        return record(self._rows[self._at - 1])


@final
class AsyncScan(Handle, AsyncIterator[Match]):
    """`Scan` for `asyncio`: reads on a thread of the event loop. Created by `Collection.ascan`.

    A cancelled step loses no record: the next one waits for the read that it began. Several tasks
    may share a scan, and each record goes to one of them.
    """

    __slots__ = ("_begin", "_is_abandoned", "_reading", "_scan", "_turn")

    _instead = "begin another one after its position"

    def __init__(self, begin: Callable[[], Scan]) -> None:
        self._begin = begin
        self._scan: Scan | None = None
        self._reading: asyncio.Future[Scan] | None = None
        self._turn = asyncio.Lock()
        self._is_abandoned = False

    @property
    def position(self) -> str | None:
        """As `Scan.position`; `None` before the first record was requested."""
        return None if self._scan is None else self._scan.position

    async def aclose(self) -> None:
        """Release what the scan holds, after the read in progress, if any.

        If it is cancelled while it waits for that, the end of the read releases the scan.
        """
        async with self._turn:
            reading = self._reading
            try:
                with suppress(Exception):
                    await self._end_read()
            except asyncio.CancelledError:
                # The thread of the read releases the scan, unless it has just looked.
                self._is_abandoned = True
                if reading is not None:
                    reading.add_done_callback(self._release)
                raise
            if self._scan is not None:
                await asyncio.to_thread(self._scan.close)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Match:
        async with self._turn:
            scan = await self._end_read() or self._scan
            if scan is None or not scan._is_ready():  # pyright: ignore[reportPrivateUsage]
                # No task, which could be cancelled while its thread goes on.
                self._reading = asyncio.get_running_loop().run_in_executor(None, self._read)
                scan = await self._end_read()
            match = None if scan is None else scan._taken()  # pyright: ignore[reportPrivateUsage]
        if match is None:
            raise StopAsyncIteration
        return match

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _read(self) -> Scan:
        """Begin the scan if that was not done, and read its next records."""
        if self._scan is None:
            self._scan = self._begin()
        self._scan._read()  # pyright: ignore[reportPrivateUsage]
        if self._is_abandoned:
            self._scan.close()
        return self._scan

    def _release(self, _: object) -> None:
        if self._scan is not None:
            self._scan.close()

    async def _end_read(self) -> Scan | None:
        """Wait for the read in progress, which goes on if the caller is cancelled. `None` without one."""
        reading = self._reading
        if reading is None:
            return None
        if not reading.done():
            # A failure is raised below.
            await asyncio.wait([reading])
        self._reading = None
        return reading.result()
