"""The common interface of search results from indexes and collections.

>>> import tempfile, tiercel
>>> def nearest(result: tiercel.SearchResult) -> tuple[object, float | None]:
...     return result[0].id, result[0].distance
>>> index = tiercel.Index(dim=2)
>>> _ = index.add([[1, 0], [0, 1]], ids=[7, 8])
>>> nearest(index.search([0, 2]))
(8, 0.0)
>>> collection = tiercel.open(tempfile.mkdtemp(), dim=2)
>>> collection.add(["cat", "hen"], [[1, 0], [0, 1]])
2
>>> nearest(collection.search([0, 2]))
('hen', 0.0)
>>> collection.close()
"""

from collections.abc import Iterator
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quality", "SearchHit", "SearchResult"]

Quality: TypeAlias = Literal["exact", "certified", "approximate"]


@runtime_checkable
class SearchHit(Protocol):
    """One hit: a `Neighbour` from an index, or a `Match`, with more fields, from a collection."""

    @property
    def id(self) -> Any:
        """An int in an index, a string in a collection."""
        ...

    @property
    def distance(self) -> float | None:
        """Smaller is nearer; `None` for a record that was not found by vector."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Convert to what `json.dumps` accepts."""
        ...


@runtime_checkable
class SearchResult(Protocol):
    """The result of a search: `Matches` from an index for one query, `Found` from a collection.

    Both are sequences, best first.

    `Matches` for a batch of queries is a sequence of the results of its queries, and
    `Collection.search_many` returns a list of them. `Found` has `scores`, too: an index ranks by
    distance alone.
    """

    @property
    def ids(self) -> NDArray[np.uint64] | list[str]:
        """Ids, best first. Those of an index may end with padding, see `Matches`."""
        ...

    @property
    def distances(self) -> NDArray[np.float32]:
        """Distances in the order of `ids`; NaN for records that were not found by vector."""
        ...

    @property
    def quality(self) -> Quality:
        """How sure it is that these are the true best: certain if `"exact"` or `"certified"`."""
        ...

    def to_list(self) -> list[Any]:
        """Convert to a list of dicts, one per hit, for `json.dumps` and data frames."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Convert to a dict for `json.dumps`: the quality, and the hits under "matches"."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Any]: ...
