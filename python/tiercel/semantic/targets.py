"""The interface to an index or a collection that a semantic cache uses.

`rescore` reads one version: under one lock (an index) or in one snapshot (a collection) it compares
the listed vectors and those added since. An answer therefore misses nothing that it should have
seen, whatever others write meanwhile.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, cast, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel._core import CollectionCore, Index, Matches
from tiercel.arrays import as_filter
from tiercel.checks import included, items
from tiercel.collection import Collection
from tiercel.errors import InvalidInputError
from tiercel.filters import as_json
from tiercel.found import Found, Include
from tiercel.results import Quality, SearchResult
from tiercel.search import options
from tiercel.semantic.vectors import Metric

__all__ = ["Answer", "CollectionTarget", "IndexTarget", "NeighbourList", "Request", "Rescored", "Target", "target_of"]

Answer = TypeVar("Answer", bound=SearchResult)
Version: TypeAlias = int | tuple[int, int, int]

# The most vectors added since a list was made. Comparing more costs as much as the list saves.
CHANGES: Final = 1000


@dataclass(frozen=True, slots=True)
class NeighbourList:
    """The nearest vectors of a query, by exact search."""

    members: NDArray[np.uint64] | NDArray[np.uint32]
    """Ids of an index, or rows of a collection."""
    farthest: float | None
    """The distance of the last one, which may have overflowed to infinity; `None` if there are no other vectors."""
    norms: tuple[float, float]
    """The smallest and the largest norm of all vectors at the time."""
    version: Version
    is_filtered: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A search, without its k."""

    vector: NDArray[np.float32]
    filter: Any
    include: Iterable[Include] | None
    key: str | None
    """Identifies the filter: equal filters have equal keys."""
    version: int | None = None
    """The version of the index that a mask belongs to.

    In another version its positions may stand for other vectors.
    """


class Rescored(NamedTuple, Generic[Answer]):
    """The k nearest among a list and the vectors added since."""

    answer: Answer
    distances: NDArray[np.float32]
    """The distances of the results, at most k."""
    version: Version
    norms: tuple[float, float]


class Target(Protocol[Answer]):
    """The interface of an index or a collection."""

    @property
    def dim(self) -> int:
        """The length of every vector."""
        ...

    @property
    def metric(self) -> Metric:
        """The metric."""
        ...

    def request(self, vector: NDArray[np.float32], filter: Any, include: Iterable[Include] | None) -> Request:
        """Check a search. May raise `InvalidInputError`."""
        ...

    def neighbours(self, request: Request, keep: int) -> NeighbourList | None:
        """Find the `keep` nearest by exact search. Return `None` if no list can be made."""
        ...

    def rescore(self, request: Request, k: int, neighbours: NeighbourList) -> Rescored[Answer] | None:
        """Find the k nearest among a list and the vectors added since. Return `None` if the list is outdated."""
        ...

    def exact(self, request: Request, k: int) -> Answer:
        """Find the k nearest by exact search."""
        ...

    def with_quality(self, answer: Answer, quality: Quality) -> Answer:
        """Return the answer with another quality."""
        ...


@final
class IndexTarget:
    """An index as a target."""

    __slots__ = ("_index", "dim", "metric")

    dim: int
    metric: Metric

    def __init__(self, index: Index) -> None:
        self._index, self.dim, self.metric = index, index.dim, index.metric

    def request(
        self, vector: NDArray[np.float32], filter: ArrayLike | None, include: Iterable[Include] | None
    ) -> Request:
        """Check a search. May raise `InvalidInputError`."""
        if include is not None:
            raise InvalidInputError(
                "include: expected a collection as target, got an index, whose matches are only ids"
            )
        if filter is None:
            return Request(vector, None, None, None)
        allowed = as_filter(filter)
        if allowed.ndim != 1 or (allowed.dtype.kind not in "biu" and allowed.size > 0):
            got = f"{allowed.ndim}-D, dtype {allowed.dtype}"
            raise InvalidInputError(f"filter: expected a 1-D array of bool or of integers, got {got}")
        kind, version = allowed.dtype.str, None
        if allowed.dtype.kind == "b":
            version = self._index.version
            kind = f"{kind} {version}"
            if len(allowed) != len(self._index):
                expected = f"a mask of length {len(self._index)}, one value for each of index.ids"
                raise InvalidInputError(f"filter: expected {expected}, got length {len(allowed)}")
        key = f"{kind} {hashlib.blake2b(allowed.tobytes(), digest_size=16).hexdigest()}"
        return Request(vector, allowed, None, key, version)

    def neighbours(self, request: Request, keep: int) -> NeighbourList | None:
        """Find the `keep` nearest by exact search. Return `None` if the index has changed under a mask."""
        # Both the search and `rescore` find vectors added after the version was read. The norms are
        # read last, to cover all that was found.
        version = self._index.version
        found = self._index.search(request.vector, keep, recall=1, filter=request.filter)
        if request.version is not None and not request.version == version == self._index.version:
            return None
        norms = self._index._norms()  # pyright: ignore[reportPrivateUsage]
        count = int(found.counts)
        farthest = float(found.distances[-1]) if count == keep else None
        return NeighbourList(found.ids[:count], farthest, norms, version, request.filter is not None)

    def rescore(self, request: Request, k: int, neighbours: NeighbourList) -> Rescored[Matches] | None:
        """Find the k nearest among a list and the vectors added since. Return `None` if the list is outdated."""
        index = self._index
        found = index._search_among(  # pyright: ignore[reportPrivateUsage]
            request.vector, k, neighbours.members, cast("int", neighbours.version), CHANGES, request.filter
        )
        if found is None:
            return None
        matches, version = found
        if request.version not in (None, version):
            return None
        norms = index._norms()  # pyright: ignore[reportPrivateUsage]
        return Rescored(matches, matches.distances[: int(matches.counts)], version, norms)

    def exact(self, request: Request, k: int) -> Matches:
        """Find the k nearest by exact search."""
        return self._index.search(request.vector, k, recall=1, filter=request.filter)

    def with_quality(self, answer: Matches, quality: Quality) -> Matches:
        """Return the answer with another quality."""
        return answer._with_quality(quality)  # pyright: ignore[reportPrivateUsage]


@final
class CollectionTarget:
    """A collection as a target, searched by vector."""

    __slots__ = ("_core", "dim", "metric")

    dim: int
    metric: Metric

    def __init__(self, collection: Collection) -> None:
        if collection.dim is None:
            raise InvalidInputError(
                "target: expected a collection with vectors, got one without; open it with dim, or add vectors first"
            )
        self._core: CollectionCore = collection._core  # pyright: ignore[reportPrivateUsage]
        self.dim, self.metric = collection.dim, cast("Metric", collection.metric)

    def request(self, vector: NDArray[np.float32], filter: Any, include: Iterable[Include] | None) -> Request:
        """Check a search. May raise `InvalidInputError`."""
        key = None if filter is None else as_json(filter)
        if include is None:
            return Request(vector, filter, ("text", "metadata"), key)
        # An iterator can be consumed only once.
        chosen = include if isinstance(include, str) else items(include)
        included(include if chosen is None else chosen)
        return Request(vector, filter, chosen, key)

    def neighbours(self, request: Request, keep: int) -> NeighbourList:
        """Find the `keep` nearest by exact search."""
        rows, distances, norms, version = self._core.nearest(request.vector, request.key, keep)
        farthest = float(distances[-1]) if len(rows) == keep else None
        return NeighbourList(rows, farthest, norms, version, request.key is not None)

    def rescore(self, request: Request, k: int, neighbours: NeighbourList) -> Rescored[Found] | None:
        """Find the k nearest among a list and the vectors added since. Return `None` if the list is outdated."""
        since = cast("tuple[int, int, int]", neighbours.version)
        rows = cast("NDArray[np.uint32]", neighbours.members)
        found = self._core.search_among(
            request.vector, self._options(request, k), rows, since, CHANGES, neighbours.is_filtered
        )
        if found is None:
            return None
        columns, version, norms = found
        answer = Found(columns)
        return Rescored(answer, answer.distances, version, norms)

    def exact(self, request: Request, k: int) -> Found:
        """Find the k nearest by exact search."""
        return Found(self._core.search(request.vector, None, self._options(request, k), None))

    def with_quality(self, answer: Found, quality: Quality) -> Found:
        """Return the answer with another quality."""
        return answer._with_quality(quality)  # pyright: ignore[reportPrivateUsage]

    def _options(self, request: Request, k: int) -> dict[str, Any]:
        return options(filter=request.filter, k=k, recall=1.0, include=request.include or ())


def target_of(value: object) -> IndexTarget | CollectionTarget:
    """Return the target for an index or a collection."""
    if isinstance(value, Index):
        if value.raw == "none":
            raise InvalidInputError("target: expected an Index with full vectors, got one with raw 'none'")
        return IndexTarget(value)
    if isinstance(value, Collection):
        return CollectionTarget(value)
    raise InvalidInputError(f"target: expected an Index or a Collection, got {type(value).__name__}")
