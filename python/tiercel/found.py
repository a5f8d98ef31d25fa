"""Records and search results of a collection.

>>> import json, pickle, tempfile, tiercel
>>> collection = tiercel.open(tempfile.mkdtemp(), dim=2)
>>> collection.upsert(["cat", "hen"], [[1, 0], [0, 1]], metadata=[{"legs": 4}, {"legs": 2}])
2
>>> found = collection.search([1, 0], k=1, include=["metadata"])
>>> json.dumps(found.to_list())
'[{"id": "cat", "score": 1.0, "distance": 0.0, "text": null, "metadata": {"legs": 4}, "vector": null, "highlights": null, "sequence": 1}]'
>>> pickle.loads(pickle.dumps(found)) == found
True
>>> collection.close()
"""

import copy
import json
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self, SupportsIndex, TypeAlias, cast, final, overload

import numpy as np
from numpy.typing import NDArray

from tiercel.neighbours import finite, place
from tiercel.pickled import of_slots
from tiercel.results import Quality
from tiercel.tables import html_table

__all__ = ["Found", "Include", "Match", "record"]

Include: TypeAlias = Literal["text", "metadata", "vector"]


@final
class Match(NamedTuple):
    """A record that was found.

    It compares and sorts like the tuple of its fields, vectors by their values. It cannot be
    hashed, because its metadata and vector can change: use `match.id` in sets and as a key.
    """

    id: str
    score: float | None
    """Larger is better.

    The score of the reranker, of the fusion, of the text (BM25), or of the vector (1 - distance for
    cosine, else the negated distance); `expand` reduces it with every step. `None` from `get` and
    `scan`, which do not rank, and after a reranker for a record without a text.
    """
    distance: float | None
    """Distance of the vector; `None` if the record was not found by vector."""
    text: str | None
    metadata: dict[str, Any] | None
    vector: NDArray[np.float32] | None
    highlights: list[tuple[int, int]] | None = None
    """Where words of the query occur in the text, in order: begin and end in characters."""
    sequence: int = 0
    """The number of the batch that last wrote the record, for `if_sequence`.

    1 if an old version of tiercel wrote the record.
    """

    def to_dict(self) -> dict[str, Any]:
        """Convert to what `json.dumps` accepts: a list for the vector, `None` for infinity."""
        return {
            **self._asdict(),
            "score": finite(self.score),
            "distance": finite(self.distance),
            "vector": None if self.vector is None else self.vector.tolist(),
            "highlights": None if self.highlights is None else [list(place) for place in self.highlights],
        }

    # Tuples compare arrays by ==, which returns an array.
    def __eq__(self, other: object) -> bool:
        return _comparable(self) == _comparable(other) if isinstance(other, tuple) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return _comparable(self) != _comparable(other) if isinstance(other, tuple) else NotImplemented

    def __lt__(self, other: Any) -> bool:
        return _comparable(self) < _comparable(other) if isinstance(other, tuple) else NotImplemented

    def __le__(self, other: Any) -> bool:
        return _comparable(self) <= _comparable(other) if isinstance(other, tuple) else NotImplemented

    def __gt__(self, other: Any) -> bool:
        return _comparable(self) > _comparable(other) if isinstance(other, tuple) else NotImplemented

    def __ge__(self, other: Any) -> bool:
        return _comparable(self) >= _comparable(other) if isinstance(other, tuple) else NotImplemented

    # Otherwise only some matches could be hashed, depending on their fields.
    __hash__ = None  # pyright: ignore[reportAssignmentType]


def _comparable(fields: Any) -> tuple[Any, ...]:
    """Replace arrays by lists, which compare as a whole."""
    return tuple(each.tolist() if isinstance(each, np.ndarray) else each for each in cast("tuple[Any, ...]", fields))


@final
class Found(Sequence[Match]):
    """The result of a search: a sequence of `Match`, best first.

    Results are equal if their matches are; quality and plan do not count.
    """

    __slots__ = (
        "_damaged",
        "_distances",
        "_highlights",
        "_ids",
        "_metadata",
        "_plan",
        "_quality",
        "_scores",
        "_sequences",
        "_texts",
        "_vectors",
    )

    _quality: Quality

    def __init__(self, columns: tuple[Any, ...]) -> None:
        (
            self._ids,
            self._sequences,
            self._scores,
            self._distances,
            self._texts,
            self._metadata,
            self._vectors,
            self._highlights,
            (exact, self._damaged),
            self._plan,
        ) = columns
        self._quality = "exact" if exact else "approximate"

    @property
    def ids(self) -> list[str]:
        """Ids, best first."""
        return self._ids

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores, largest first except with `mmr`; minus infinity where `Match.score` is `None`;
        dtype float32, shape `(len(found),)`.
        """
        return self._scores

    @property
    def distances(self) -> NDArray[np.float32]:
        """Distances in the order of `ids`, NaN for records that were not found by vector; dtype
        float32, shape `(len(found),)`.
        """
        return self._distances

    @property
    def quality(self) -> Quality:
        """`"exact"` if an exact search found this, `"certified"` if a `SemanticCache` proved that
        it would, else `"approximate"`.
        """
        return self._quality

    @property
    def damaged(self) -> int:
        """Records that may be missing because their text or metadata is damaged: with a filter or a
        text, all such records known so far.
        """
        return self._damaged

    def _with_quality(self, quality: Quality) -> Self:  # pyright: ignore[reportUnusedFunction]
        """Change the quality of this result."""
        self._quality = quality
        return self

    @property
    def plan(self) -> dict[str, Any] | None:
        """How the search ran, with `explain=True`; None without.

        "way" is "vector", "text", "hybrid" or "nothing"; "selectivity" is the share of records that
        pass the filter; "cached" is whether an earlier search had found the records that pass;
        "unknown_fields" are the fields that the search names and no record has; "stages" has each
        stage with its seconds and the number of records that came out.

        "vectors" is the cost of the search by vector, or None: graph "nodes" visited; "distances"
        computed, from codes if there are any and the search is not exact; distances "rescored" in full
        precision; "bytes" read for all that; "seconds" by stage; and "gap", how much farther the
        last candidate kept was than the last result of the same list (a graph or a growing
        segment), the least of all lists. A small gap means that a wider search may find something
        nearer; None means that nothing could be missed. "fresh" has the "distances" and "seconds" of
        these that went to vectors outside the graphs, which the background has not moved there
        yet. Searches of `Expand(neighbours=…)` are not counted.
        """
        return self._plan

    def to_list(self) -> list[dict[str, Any]]:
        """Convert to a list of one dict per match, for `json.dumps` and data frames."""
        return [match.to_dict() for match in self]

    def to_dict(self) -> dict[str, Any]:
        """Convert the whole result to what `json.dumps` accepts: the matches under "matches",
        quality, damaged, and the plan, if any.
        """
        answer = {"quality": self.quality, "damaged": self.damaged, "matches": self.to_list()}
        return answer if self._plan is None else answer | {"plan": self._plan}

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Match: ...
    @overload
    def __getitem__(self, index: slice) -> list[Match]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Match | list[Match]:
        if isinstance(index, slice):
            return [self._match(at) for at in range(len(self))[index]]
        return self._match(place("Found", index, len(self)))

    def _match(self, at: int) -> Match:
        score, distance = float(self._scores[at]), float(self._distances[at])
        metadata = self._metadata[at] if self._metadata is not None else None
        return Match(
            self._ids[at],
            None if score == -math.inf else score,
            None if math.isnan(distance) else distance,
            self._texts[at] if self._texts is not None else None,
            json.loads(metadata) if metadata is not None else None,
            self._vectors[at] if self._vectors is not None else None,
            self._highlights[at] if self._highlights is not None else None,
            self._sequences[at],
        )

    def __eq__(self, other: object) -> bool:
        return [*self] == [*other] if isinstance(other, Found) else NotImplemented

    # Callers may change its arrays.
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __copy__(self) -> Self:
        """Copy the result, its lists and its arrays."""
        copied = object.__new__(type(self))
        for name in self.__slots__:
            setattr(copied, name, copy.deepcopy(getattr(self, name)))
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return of_slots(self)

    def __repr__(self) -> str:
        return f"Found({self._ids!r}, quality={self.quality!r})"

    def _repr_html_(self) -> str:  # pyright: ignore[reportUnusedFunction]
        """Make a table for Jupyter of the columns that have values."""
        head = [name for name in ("id", "score", "distance", "text", "metadata") if self._has(name)]
        rows = ([getattr(match, name) for name in head] for match in self)
        return html_table(f"Found: {len(self):,} records, {self.quality}", head, rows, len(self))

    def _has(self, column: str) -> bool:
        if column == "distance":
            return bool(np.isfinite(self._distances).any())
        return {"text": self._texts, "metadata": self._metadata}.get(column, self._ids) is not None


def record(row: tuple[str, str | None, str | None, Any, int]) -> Match:
    """Convert a record that the core returned without a search."""
    id_, text, metadata, vector, sequence = row
    value = None if metadata is None else json.loads(metadata)
    return Match(id_, None, None, text, value, vector, sequence=sequence)
