"""Parts that the rows share: the documents, a collection of them, and copies to write to."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from data import Documents, Truth
from measure import Figure, say

import tiercel
from tiercel import Collection

ENOUGH = 0.97
RECALLS = [0.5, 0.6, 0.7, 0.75, 0.8, 0.825, 0.85, 0.875, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99]
"""Values of `recall=` to try, to find the smallest that reaches the recall of other engines."""


class Bench:
    """One run of the rows."""

    def __init__(self, documents: Documents, arguments: list[str], directory: Path, queries: int, tail: int) -> None:
        self.documents = documents
        self.arguments = arguments
        """Options with which a separate process loads the same documents."""
        self.directory = directory
        self.tail = tail
        """Bytes of vectors acknowledged before a kill."""
        self.queries = documents.queries[:queries]
        self._copies = 0

    @cached_property
    def ingested(self) -> tuple[Path, list[Figure]]:
        """Fill a collection with all documents and close it; return its path and the figures."""
        path = self.directory / "collection"
        say(f"batch upsert of {len(self.documents.ids):,} records")
        count = len(self.documents.ids)
        collection = tiercel.open(path, dim=self.documents.vectors.shape[1])
        begin = time.perf_counter()
        for batch in self.documents.batches():
            collection.upsert(*batch)
        acknowledged = time.perf_counter() - begin
        collection.wait_idle()
        indexed = time.perf_counter() - begin
        begin = time.perf_counter()
        collection.close()
        closed = time.perf_counter() - begin
        note = f'1,000 a batch, durability "always"; closing took {closed:.1f} s'
        rate = "{:,.0f} records/s"
        return path, [
            Figure("batch upsert, acknowledged", count / acknowledged, rate, "at least 25,000", note),
            Figure(
                "batch upsert, all in the graph", count / indexed, rate, "at least 10,000", "until `wait_idle` returns"
            ),
        ]

    @property
    def path(self) -> Path:
        """Path of the closed collection of all documents."""
        return self.ingested[0]

    @contextmanager
    def opened(self) -> Iterator[Collection]:
        """The collection of all documents, open for reading."""
        with tiercel.open(self.path) as collection:
            yield collection

    @contextmanager
    def copy(self, of: Path | None = None) -> Iterator[Path]:
        """A copy of the collection, removed at the end."""
        self._copies += 1
        path = self.directory / f"copy-{self._copies}"
        shutil.copytree(of or self.path, path)
        try:
            yield path
        finally:
            shutil.rmtree(path)

    @cached_property
    def truth(self) -> Truth:
        say(f"exact search of {len(self.queries):,} queries, for the recall")
        return Truth(self.documents, self.queries)
