"""Cached queries, found by a near one.

Two generations map each namespace to a partition: an index over its queries, and their contents.

```text
young   new entries, and old ones that are used again
old     dropped as a whole when the young generation fills half of the space
```

No index is ever rebuilt to remove vectors: the vector of a removed entry stays until its generation
is dropped. An entry is dropped if it is not used while half the capacity of new entries arrives. No
lock is held while an index is searched or extended.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from tiercel._core import Index
from tiercel.forks import fork_lock
from tiercel.semantic.vectors import Metric

__all__ = ["Entry", "EntryIndex"]

Content = TypeVar("Content")

# The bytes of a query, and its text if that counts.
_Key: TypeAlias = tuple[bytes, str | None]
# The nearest queries of each partition to consider.
NEAREST: Final = 4
# Bytes of an entry besides vector and content: objects, dictionary slots, and its code and links in
# the index.
BESIDE: Final = 1200


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Generic[Content]):
    """A cached query with its content."""

    query: NDArray[np.float32]
    content: Content
    text: str | None
    """The text of the query, if any."""
    size: int
    """Bytes of the content."""


class _Partition(Generic[Content]):
    """The entries of a namespace in one generation."""

    def __init__(self, dim: int, metric: Literal["cosine", "l2"]) -> None:
        self.index = Index(dim, metric, ef_construction=100)
        self.by_id: dict[int, Entry[Content]] = {}
        self.ids: dict[_Key, int] = {}


@dataclass(slots=True, eq=False)
class _Generation(Generic[Content]):
    partitions: dict[Hashable, _Partition[Content]] = field(default_factory=dict[Hashable, _Partition[Content]])
    # Includes removed entries, whose vectors are still in the index.
    added: int = 0
    bytes: int = 0


@final
class EntryIndex(Generic[Content]):
    """Entries by namespace, up to a capacity. With `by_text`, equal vectors with different texts
    are different queries.
    """

    def __init__(self, dim: int, metric: Metric, entries: int, size: int, *, by_text: bool = False) -> None:
        # Under dot, queries are compared by direction.
        self._dim = dim
        self._metric: Literal["cosine", "l2"] = "l2" if metric == "l2" else "cosine"
        self._entries, self._size = max(1, entries // 2), size // 2
        self._has_old = entries > 1
        self._by_text = by_text
        self._lock = fork_lock()
        self._young: _Generation[Content] = _Generation()
        self._old: _Generation[Content] = _Generation()

    def __len__(self) -> int:
        partitions = [*self._young.partitions.values(), *self._old.partitions.values()]
        return sum(len(partition.ids) for partition in partitions)

    @property
    def memory(self) -> int:
        """The approximate size of all entries in bytes."""
        return self._young.bytes + self._old.bytes

    def equal(self, namespace: Hashable, query: NDArray[np.float32], text: str | None = None) -> Entry[Content] | None:
        """Return the entry of exactly this query."""
        key = self._key(query, text)
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
        """Return the entries of near queries with their distances (squared l2, or cosine).

        In each generation the nearest come first.
        """
        found: list[tuple[float, Entry[Content]]] = []
        for generation in (self._young, self._old):
            partition = generation.partitions.get(namespace)
            if partition is None or not partition.ids:
                continue
            matches = partition.index.search(query, NEAREST, recall=0.9)
            for id_, distance in zip(matches.ids.tolist(), matches.distances.tolist(), strict=True):
                # An entry that was dropped meanwhile, or is still being added, is absent.
                if (entry := partition.by_id.get(id_)) is not None:
                    found.append((distance, entry))
        return found

    def put(self, namespace: Hashable, entry: Entry[Content]) -> None:
        """Store an entry, and replace an older one of the same query."""
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
        key = self._key(entry.query, entry.text)
        self._forget(namespace, key)
        with self._lock:
            # Another thread may have stored an entry meanwhile.
            partition.by_id.pop(partition.ids.get(key, -1), None)
            partition.by_id[id_], partition.ids[key] = entry, id_

    def use(self, namespace: Hashable, entry: Entry[Content]) -> None:
        """Keep an entry longer because it was used."""
        partition = self._young.partitions.get(namespace)
        if partition is None or self._key(entry.query, entry.text) not in partition.ids:
            self.put(namespace, entry)

    def drop(self, namespace: Hashable, entry: Entry[Content]) -> None:
        """Remove an entry."""
        self._forget(namespace, self._key(entry.query, entry.text), entry)

    def _key(self, query: NDArray[np.float32], text: str | None) -> _Key:
        return query.tobytes(), text if self._by_text else None

    def _forget(self, namespace: Hashable, key: _Key, entry: Entry[Content] | None = None) -> None:
        """Remove the entry of a query, or only this entry."""
        for generation in (self._young, self._old):
            partition = generation.partitions.get(namespace)
            if partition is None:
                continue
            with self._lock:
                id_ = partition.ids.get(key)
                if id_ is None or (entry is not None and partition.by_id[id_] is not entry):
                    continue
                # The vector stays until its generation is dropped. In this order, because the
                # process may fork in between.
                del partition.ids[key]
                generation.bytes -= partition.by_id.pop(id_).size
            partition.index.delete(id_)

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._young, self._old = _Generation(), _Generation()
