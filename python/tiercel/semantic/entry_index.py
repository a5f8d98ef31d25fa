"""Queries that were asked before, found by a near one.

```text
young   namespace -> Shelf: an index over its queries, and what is kept for each     new entries, and old ones that are used again
old     namespace -> Shelf                                                           dropped as a whole when the young are half of all
```

So nothing is ever rebuilt to get rid of what has left: a vector that was removed stays in its index, but no longer than its generation. What is
not used while half as many as there is room for come, is forgotten. Nobody waits for a lock while an index is searched or added to.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from tiercel._core import Index
from tiercel.forks import fork_lock
from tiercel.semantic.vectors import Metric

__all__ = ["Entry", "EntryIndex"]

Content = TypeVar("Content")

# The nearest queries of each partition that are looked at.
NEAREST: Final = 4
# Bytes of an entry apart from vector and content: objects, places in dictionaries, code and links in the index.
BESIDE: Final = 1200


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Generic[Content]):
    """A query, and what is kept for it."""

    query: NDArray[np.float32]
    content: Content
    text: str | None
    """The text of the query, if it has one."""
    size: int
    """Bytes of the content."""


class _Partition(Generic[Content]):
    """The entries of a namespace in one generation."""

    def __init__(self, dim: int, metric: Literal["cosine", "l2"]) -> None:
        self.index = Index(dim, metric, ef_construction=100)
        self.by_id: dict[int, Entry[Content]] = {}
        self.ids: dict[bytes, int] = {}


@dataclass(slots=True, eq=False)
class _Generation(Generic[Content]):
    partitions: dict[Hashable, _Partition[Content]] = field(default_factory=dict[Hashable, _Partition[Content]])
    # Those that have left since are counted, too: their vectors are still there.
    added: int = 0
    bytes: int = 0


@final
class EntryIndex(Generic[Content]):
    """Entries by namespace, as many as there is room for."""

    def __init__(self, dim: int, metric: Metric, entries: int, size: int) -> None:
        # Directions are what counts under dot.
        self._dim = dim
        self._metric: Literal["cosine", "l2"] = "l2" if metric == "l2" else "cosine"
        self._entries, self._size = max(1, entries // 2), size // 2
        self._has_old = entries > 1
        self._lock = fork_lock()
        self._young: _Generation[Content] = _Generation()
        self._old: _Generation[Content] = _Generation()

    def __len__(self) -> int:
        partitions = [*self._young.partitions.values(), *self._old.partitions.values()]
        return sum(len(partition.ids) for partition in partitions)

    @property
    def memory(self) -> int:
        """Bytes of all entries, about."""
        return self._young.bytes + self._old.bytes

    def equal(self, namespace: Hashable, query: NDArray[np.float32]) -> Entry[Content] | None:
        """The entry of this very query."""
        key = query.tobytes()
        for generation in (self._young, self._old):
            partition = generation.partitions.get(namespace)
            if (
                partition is not None
                and (id_ := partition.ids.get(key)) is not None
                and (entry := partition.by_id.get(id_))
            ):
                return entry
        return None

    def nearest(self, namespace: Hashable, query: NDArray[np.float32]) -> list[tuple[float, Entry[Content]]]:
        """Entries with near queries and their distances, squared for l2 and that of the cosine else; nearest first by generation."""
        found: list[tuple[float, Entry[Content]]] = []
        for generation in (self._young, self._old):
            partition = generation.partitions.get(namespace)
            if partition is None or not partition.ids:
                continue
            matches = partition.index.search(query, NEAREST, recall=0.9)
            for id_, distance in zip(matches.ids.tolist(), matches.distances.tolist(), strict=True):
                # What was dropped meanwhile, or is on its way in, has no entry.
                if (entry := partition.by_id.get(id_)) is not None:
                    found.append((distance, entry))
        return found

    def put(self, namespace: Hashable, entry: Entry[Content]) -> None:
        """Keep an entry, in place of an older one with this very query."""
        size = entry.size + 2 * entry.query.nbytes + BESIDE
        if size > self._size:
            return
        with self._lock:
            if self._young.added >= self._entries or self._young.bytes + size > self._size:
                self._old, self._young = self._young if self._has_old else _Generation(), _Generation()
            generation = self._young
            partition = generation.partitions.get(namespace)
            if partition is None:
                partition = _Partition[Content](self._dim, self._metric)
                generation.partitions[namespace] = partition
            generation.added += 1
            generation.bytes += size
        id_ = int(partition.index.add(entry.query)[0])
        key = entry.query.tobytes()
        self._forget(namespace, key)
        with self._lock:
            # Another thread may have put one meanwhile.
            partition.by_id.pop(partition.ids.get(key, -1), None)
            partition.by_id[id_], partition.ids[key] = entry, id_

    def use(self, namespace: Hashable, entry: Entry[Content]) -> None:
        """Keep an entry that was of use for longer."""
        partition = self._young.partitions.get(namespace)
        if partition is None or entry.query.tobytes() not in partition.ids:
            self.put(namespace, entry)

    def drop(self, namespace: Hashable, entry: Entry[Content]) -> None:
        """Forget an entry."""
        self._forget(namespace, entry.query.tobytes(), entry)

    def _forget(self, namespace: Hashable, key: bytes, entry: Entry[Content] | None = None) -> None:
        """Forget what is kept of a query: that entry alone, or any."""
        for generation in (self._young, self._old):
            partition = generation.partitions.get(namespace)
            if partition is None:
                continue
            with self._lock:
                id_ = partition.ids.get(key)
                if id_ is None or (entry is not None and partition.by_id[id_] is not entry):
                    continue
                # The vector takes its room until its generation goes. In this order, for a process may fork in between.
                del partition.ids[key]
                generation.bytes -= partition.by_id.pop(id_).size
            partition.index.remove(id_)

    def clear(self) -> None:
        """Forget all entries."""
        with self._lock:
            self._young, self._old = _Generation(), _Generation()
