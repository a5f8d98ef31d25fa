"""Results of an index as sequences: the parts of `Matches` that need no speed, and `RangeMatches`.

>>> import copy, json, pickle, tiercel
>>> index = tiercel.Index(dim=2, metric="l2")
>>> _ = index.add([[0, 0], [3, 4], [6, 8]], ids=[7, 8, 9])
>>> matches = index.search([0, 0], k=2)
>>> matches[0]
Neighbour(id=7, distance=0.0)
>>> [near.id for near in matches]
[7, 8]
>>> json.dumps(matches.to_list())
'[{"id": 7, "distance": 0.0}, {"id": 8, "distance": 25.0}]'
>>> pickle.loads(pickle.dumps(matches)) == matches
True
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, SupportsIndex, final, overload

import numpy as np
from numpy.typing import NDArray

from tiercel.pickled import of_slots
from tiercel.tables import html_table

if TYPE_CHECKING:
    from tiercel._core import Matches

__all__ = ["Neighbour", "RangeMatches", "as_dict", "as_html", "as_list", "finite", "place"]


def finite(value: float | None) -> float | None:
    """Return a finite number, or `None`, which JSON can hold.

    A distance or score may overflow float32, or be missing.
    """
    return value if value is not None and math.isfinite(value) else None


def place(kind: str, index: SupportsIndex, count: int) -> int:
    """Check an index into a result; return it counted from the beginning."""
    try:
        return range(count)[index]
    except IndexError:
        raise IndexError(f"{kind}: index out of range") from None
    except TypeError:
        got = type(index).__name__
        raise TypeError(f"{kind}: expected an int or a slice as the index, got {got}") from None


@final
class Neighbour(NamedTuple):
    """A vector that was found."""

    id: int
    distance: float

    def to_dict(self) -> dict[str, Any]:
        """Convert to what `json.dumps` accepts; an infinite distance becomes `None`."""
        return {"id": self.id, "distance": finite(self.distance)}


@final
class RangeMatches(Sequence[Any]):
    """The result of `Index.range_search`: a sequence of `Neighbour`, nearest first, for a 1-D
    query; of one `RangeMatches` per query for a 2-D one.

    The arrays hold the rows of all queries one after the other: row `i` is
    `ids[offsets[i]:offsets[i + 1]]`, nearest first. Results are equal if their hits are.
    """

    __slots__ = ("_distances", "_ids", "_offsets", "_single")

    _ids: NDArray[np.uint64]
    _distances: NDArray[np.float32]
    _offsets: NDArray[np.uint64]
    _single: bool

    def __init__(self) -> None:
        raise TypeError("RangeMatches: made by Index.range_search")

    @classmethod
    def _made(cls, ids: NDArray[Any], distances: NDArray[Any], offsets: NDArray[Any], single: bool) -> Self:
        made = object.__new__(cls)
        made._ids, made._distances, made._offsets, made._single = ids, distances, offsets, single
        return made

    @property
    def ids(self) -> NDArray[np.uint64]:
        """Ids of all rows, one row after the other; dtype uint64, shape `(total,)`."""
        return self._ids

    @property
    def distances(self) -> NDArray[np.float32]:
        """Distances in the order of `ids`; dtype float32, shape `(total,)`."""
        return self._distances

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """Where each row begins, and where the last one ends; dtype uint64, shape `(n + 1,)`."""
        return self._offsets

    @property
    def quality(self) -> Literal["exact"]:
        """Always `"exact"`: a range search compares every vector."""
        return "exact"

    def to_list(self) -> list[Any]:
        """Convert to a list of dicts with `id` and `distance`; for a 2-D query, a list of lists."""
        return as_list(self)

    def to_dict(self) -> dict[str, Any]:
        """Convert to a dict with the quality, and `to_list()` under "matches"."""
        return as_dict(self)

    def __len__(self) -> int:
        return len(self._ids) if self._single else len(self._offsets) - 1

    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return [self._at(at) for at in range(len(self))[index]]
        return self._at(place("RangeMatches", index, len(self)))

    def _at(self, at: int) -> Any:
        if self._single:
            return Neighbour(int(self._ids[at]), float(self._distances[at]))
        row = slice(int(self._offsets[at]), int(self._offsets[at + 1]))
        ids = self._ids[row].copy()
        return self._made(ids, self._distances[row].copy(), np.array([0, len(ids)], np.uint64), single=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeMatches):
            return NotImplemented
        return (
            self._single == other._single
            and np.array_equal(self._offsets, other._offsets)
            and np.array_equal(self._ids, other._ids)
            and np.array_equal(self._distances, other._distances)
        )

    # Callers may change its arrays.
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __copy__(self) -> Self:
        """Copy the result and its arrays."""
        return self._made(self._ids.copy(), self._distances.copy(), self._offsets.copy(), self._single)

    def __reduce__(self) -> tuple[Any, ...]:
        return of_slots(self)

    def __repr__(self) -> str:
        return f"RangeMatches(queries={len(self._offsets) - 1}, results={len(self._ids)}, quality='exact')"

    def _repr_html_(self) -> str:  # pyright: ignore[reportUnusedFunction]
        """Make a table for Jupyter."""
        return as_html(self)


def as_list(answer: "Matches | RangeMatches") -> list[Any]:
    """Convert a result for JSON."""
    return [each.to_dict() if isinstance(each, Neighbour) else each.to_list() for each in answer]


def as_dict(answer: "Matches | RangeMatches") -> dict[str, Any]:
    """Convert a result and its quality for JSON."""
    return {"quality": answer.quality, "matches": as_list(answer)}


def as_html(answer: "Matches | RangeMatches") -> str:
    """Make a table of a result."""
    is_batch = len(answer) > 0 and not isinstance(answer[0], Neighbour)
    queries: Iterable[Any] = answer if is_batch else [answer]
    count = sum(len(each) for each in queries)
    found = ((query, near) for query, each in enumerate(queries) for near in enumerate(each, start=1))
    rows = ((query, rank, near.id, near.distance)[not is_batch :] for query, (rank, near) in found)
    head = ["query", "rank", "id", "distance"][not is_batch :]
    return html_table(f"{type(answer).__name__}: {count:,} found, {answer.quality}", head, rows, count)
