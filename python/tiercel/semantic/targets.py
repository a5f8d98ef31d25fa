"""What a cache of results asks of an index or a collection, in one form for both.

The answer to `among` is of one moment: the listed vectors, those that came since, and the state that these are of, are looked at under
one lock (an index) or in one snapshot (a collection). So however others write meanwhile, nothing that an answer should have seen is
missing from it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, cast, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel._core import CollectionCore, Index, Matches
from tiercel.arrays import as_array
from tiercel.checks import included, items
from tiercel.collection import Collection
from tiercel.errors import InvalidInputError
from tiercel.filters import as_json
from tiercel.found import Found, Include, Quality
from tiercel.search import options
from tiercel.semantic.vectors import Metric

__all__ = ["Among", "Answer", "Asked", "CollectionTarget", "IndexTarget", "List", "Target", "target_of"]

Answer = TypeVar("Answer", Matches, Found)
Moment: TypeAlias = int | tuple[int, int, int]

# Vectors that came since a list was made, beyond which it is made anew: to compare so many costs what a list saves.
CHANGES: Final = 1000


@dataclass(frozen=True, slots=True)
class List:
    """The nearest vectors of a query, by exact search."""

    members: NDArray[np.uint64] | NDArray[np.uint32]
    """Ids of an index, rows of a collection."""
    farthest: float | None
    """Distance of the last of them, which may have overflowed to infinity; `None` if there are no others."""
    norms: tuple[float, float]
    """The smallest and the largest norm of all vectors there were."""
    moment: Moment
    is_filtered: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A search, apart from how many nearest it is for."""

    vector: NDArray[np.float32]
    filter: Any
    include: Iterable[Include] | None
    key: str | None
    """Names the filter: equal for equal ones."""
    version: int | None = None
    """That of the index which a mask was given for: in another one, its places are those of other vectors."""


class Among(NamedTuple, Generic[Answer]):
    """The k nearest among a list and all that came since."""

    answer: Answer
    distances: NDArray[np.float32]
    """Of those that there are, at most k."""
    moment: Moment
    norms: tuple[float, float]


class Target(Protocol[Answer]):
    """An index or a collection."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    @property
    def metric(self) -> Metric:
        """What is smallest for the nearest."""
        ...

    def asked(self, vector: NDArray[np.float32], filter: Any, include: Iterable[Include] | None) -> Asked:
        """A search, its filter looked at; may raise `InvalidInputError`."""
        ...

    def listed(self, asked: Asked, keep: int) -> List | None:
        """The `keep` nearest, by exact search; `None` if no list can be made."""
        ...

    def among(self, asked: Asked, k: int, listed: List) -> Among[Answer] | None:
        """The k nearest among a list and all that came since; `None` when the list counts no more."""
        ...

    def exact(self, asked: Asked, k: int) -> Answer:
        """The k nearest, by exact search."""
        ...

    def labelled(self, answer: Answer, quality: Quality) -> Answer:
        """An answer under another quality."""
        ...


@final
class IndexTarget:
    """An index."""

    __slots__ = ("_index", "dim", "metric")

    dim: int
    metric: Metric

    def __init__(self, index: Index) -> None:
        self._index, self.dim, self.metric = index, index.dim, index.metric

    def asked(self, vector: NDArray[np.float32], filter: ArrayLike | None, include: Iterable[Include] | None) -> Asked:
        """A search, its filter looked at; may raise `InvalidInputError`."""
        if include is not None:
            raise InvalidInputError(
                "include: expected a collection to search, got an index, whose matches are ids alone"
            )
        if filter is None:
            return Asked(vector, None, None, None)
        allowed = as_array(filter, "filter")
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
        return Asked(vector, allowed, None, key, version)

    def listed(self, asked: Asked, keep: int) -> List | None:
        """The `keep` nearest, by exact search; `None` if the index has changed under a mask."""
        # What comes between the version and the search is found by both; the norms come last, so that they are those of whatever was found.
        version = self._index.version
        found = self._index.search(asked.vector, keep, recall=1, filter=asked.filter)
        if asked.version is not None and not asked.version == version == self._index.version:
            return None
        norms = self._index._norms()  # pyright: ignore[reportPrivateUsage]
        count = int(found.counts)
        farthest = float(found.distances[-1]) if count == keep else None
        return List(found.ids[:count], farthest, norms, version, asked.filter is not None)

    def among(self, asked: Asked, k: int, listed: List) -> Among[Matches] | None:
        """The k nearest among a list and all that came since; `None` when the list counts no more."""
        index = self._index
        found = index._search_among(  # pyright: ignore[reportPrivateUsage]
            asked.vector, k, listed.members, cast("int", listed.moment), CHANGES, asked.filter
        )
        if found is None:
            return None
        matches, version = found
        if asked.version not in (None, version):
            return None
        norms = index._norms()  # pyright: ignore[reportPrivateUsage]
        return Among(matches, matches.distances[: int(matches.counts)], version, norms)

    def exact(self, asked: Asked, k: int) -> Matches:
        """The k nearest, by exact search."""
        return self._index.search(asked.vector, k, recall=1, filter=asked.filter)

    def labelled(self, answer: Matches, quality: Quality) -> Matches:
        """An answer under another quality."""
        return answer._with_quality(quality)  # pyright: ignore[reportPrivateUsage]


@final
class CollectionTarget:
    """A collection, searched by vector."""

    __slots__ = ("_core", "dim", "metric")

    dim: int
    metric: Metric

    def __init__(self, collection: Collection) -> None:
        if collection.dim is None:
            raise InvalidInputError(
                "target: expected a collection with vectors, got one without; open it with dim, or put vectors in first"
            )
        self._core: CollectionCore = collection._core  # pyright: ignore[reportPrivateUsage]
        self.dim, self.metric = collection.dim, cast("Metric", collection.metric)

    def asked(self, vector: NDArray[np.float32], filter: Any, include: Iterable[Include] | None) -> Asked:
        """A search, its filter looked at; may raise `InvalidInputError`."""
        key = None if filter is None else as_json(filter)
        if include is None:
            return Asked(vector, filter, ("text", "metadata"), key)
        # What can be gone through once, is a list from here on.
        chosen = include if isinstance(include, str) else items(include)
        included(include if chosen is None else chosen)
        return Asked(vector, filter, chosen, key)

    def listed(self, asked: Asked, keep: int) -> List:
        """The `keep` nearest, by exact search."""
        rows, distances, norms, moment = self._core.nearest(asked.vector, asked.key, keep)
        farthest = float(distances[-1]) if len(rows) == keep else None
        return List(rows, farthest, norms, moment, asked.key is not None)

    def among(self, asked: Asked, k: int, listed: List) -> Among[Found] | None:
        """The k nearest among a list and all that came since; `None` when the list counts no more."""
        since = cast("tuple[int, int, int]", listed.moment)
        rows = cast("NDArray[np.uint32]", listed.members)
        found = self._core.search_among(asked.vector, self._options(asked, k), rows, since, CHANGES, listed.is_filtered)
        if found is None:
            return None
        columns, moment, norms = found
        answer = Found(columns)
        return Among(answer, answer.distances, moment, norms)

    def exact(self, asked: Asked, k: int) -> Found:
        """The k nearest, by exact search."""
        return Found(self._core.search(asked.vector, None, self._options(asked, k), None))

    def labelled(self, answer: Found, quality: Quality) -> Found:
        """An answer under another quality."""
        return answer._with_quality(quality)  # pyright: ignore[reportPrivateUsage]

    def _options(self, asked: Asked, k: int) -> dict[str, Any]:
        return options(filter=asked.filter, k=k, recall=1.0, include=asked.include or ())


def target_of(value: object) -> IndexTarget | CollectionTarget:
    """What is searched, looked at."""
    if isinstance(value, Index):
        return IndexTarget(value)
    if isinstance(value, Collection):
        return CollectionTarget(value)
    raise InvalidInputError(f"target: expected an Index or a Collection, got {type(value).__name__}")
