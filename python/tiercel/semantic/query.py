"""Answers to searches that were asked before, word for word."""

import copy
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final, Generic, TypedDict, TypeVar, cast, final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel._core import Index, Matches
from tiercel.checks import MAX_LIMIT, unicode_text, whole
from tiercel.collection import Collection
from tiercel.errors import InvalidInputError
from tiercel.filters import as_json
from tiercel.forks import ForkLock
from tiercel.found import Found

__all__ = ["QueryCache", "QueryStats"]

_Answer = TypeVar("_Answer", Matches, Found)

# What `search` takes by place, by kind of target.
PLACES: Final = {"index": ("queries", "k"), "collection": ("vector", "text")}
# Arguments that are vectors.
VECTORS: Final = ("queries", "vector")


class QueryStats(TypedDict):
    """What a `QueryCache` has done."""

    hits: int
    """Searches that were answered from the cache."""
    misses: int
    """Searches that were not; those that cannot be told apart from others are not counted."""
    stale: int
    """Misses because the content has changed since."""
    entries: int
    """Answers that are kept."""


@final
class QueryCache(Generic[_Answer]):
    """`search` of an index or a collection, which answers what it was asked before and nothing has changed for.

    The version of the content is part of what an answer is kept under: a write makes all answers of before useless at once, and they are
    never given again. An answer is a copy: what the caller does to its arrays stays with the caller. All methods may be called
    from several threads at once; no lock is held during a search.

    Parameters
    ----------
    target
        A `tiercel.Index` or a `tiercel.Collection`.
    entries
        The most answers that are kept; the one not asked for longest goes first.

    Raises
    ------
    InvalidInputError
        A parameter is of the wrong type or out of range.

    Examples
    --------
    >>> import numpy as np, tiercel
    >>> index = tiercel.Index(dim=3)
    >>> _ = index.add(np.eye(3))
    >>> cache = tiercel.QueryCache(index)
    >>> for _ in range(3):
    ...     ids = cache.search([0.9, 0.1, 0.0], k=2).ids
    >>> ids.tolist(), cache.stats()["hits"]
    ([0, 1], 2)
    """

    @overload
    def __init__(self: "QueryCache[Matches]", target: Index, *, entries: int = ...) -> None: ...
    @overload
    def __init__(self: "QueryCache[Found]", target: Collection, *, entries: int = ...) -> None: ...
    def __init__(self, target: Index | Collection, *, entries: int = 10_000) -> None:
        if not isinstance(target, Index | Collection):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"target: expected an Index or a Collection, got {type(target).__name__}")
        self._target = target
        self._places = PLACES["index" if isinstance(target, Index) else "collection"]
        self._room = whole(entries, "entries", 1, MAX_LIMIT)
        self._kept: OrderedDict[Hashable, tuple[Hashable, _Answer]] = OrderedDict()
        self._lock = ForkLock()
        self._hits = self._misses = self._stale = 0

    def search(self, *places: Any, user: str = "", **options: Any) -> _Answer:
        """The answer of `target.search` to the same arguments.

        Parameters
        ----------
        places, options
            Those of `target.search`, every one of them told apart: the query in single precision, filters by what they say, a reranker by
            which object it is.
        user
            User, tenant or whatever must be kept apart: an answer never comes from a search of another one.

        Raises
        ------
        InvalidInputError
            `user` is not a string; or what `target.search` raises.
        """
        unicode_text(user, "user")
        # An iterator can be gone through once.
        options = {
            name: tuple(value) if name == "include" and hasattr(value, "__next__") else value
            for name, value in options.items()
        }
        key = self._key(user, places, options)
        if key is None:
            return self._search(places, options)
        # Before the search: what is written meanwhile makes the answer newer than its version, which never comes back, so that
        # it is kept for nobody.
        version = self._version()
        kept = self._look(key, version)
        if kept is not None:
            return kept
        answer = self._search(places, options)
        self._keep(key, version, copy.copy(answer))
        return answer

    def stats(self) -> QueryStats:
        """What was answered from the cache, and what is in it."""
        with self._lock:
            return {"hits": self._hits, "misses": self._misses, "stale": self._stale, "entries": len(self._kept)}

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self._kept.clear()

    def _search(self, places: tuple[Any, ...], options: dict[str, Any]) -> _Answer:
        return cast("_Answer", self._target.search(*places, **options))

    def _version(self) -> Hashable:
        if isinstance(self._target, Index):
            return self._target.version
        return self._target._core.moment()  # pyright: ignore[reportPrivateUsage]

    def _look(self, key: Hashable, version: Hashable) -> _Answer | None:
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known[0] == version:
                self._hits += 1
                self._kept.move_to_end(key)
            else:
                self._misses += 1
                if known is not None:
                    self._stale += 1
                    del self._kept[key]
                return None
        return copy.copy(known[1])

    def _keep(self, key: Hashable, version: Hashable, answer: _Answer) -> None:
        with self._lock:
            self._kept[key] = version, answer
            self._kept.move_to_end(key)
            if len(self._kept) > self._room:
                self._kept.popitem(last=False)

    def _key(self, user: str, places: tuple[Any, ...], options: dict[str, Any]) -> Hashable | None:
        """What tells a search apart from all that may have another answer; `None` for what no key can be made of."""
        if len(places) > len(self._places):
            return None
        named = dict(zip(self._places, places, strict=False))
        if named.keys() & options.keys():
            return None
        named |= options
        try:
            key = user, *((name, self._frozen(name, named[name])) for name in sorted(named))
            hash(key)
        except (TypeError, ValueError):
            # The search may know what to make of it, or what to say.
            return None
        return key

    def _frozen(self, name: str, value: Any) -> Hashable:
        if value is None:
            return None
        if name in VECTORS:
            return vector_key(value)
        if name == "filter":
            return filter_key(value) if isinstance(self._target, Index) else as_json(value)
        if name == "include" and not isinstance(value, str):
            return tuple(value)
        # True would pass for 1, and 1.0 too.
        return cast("type[object]", type(value)), value


def vector_key(value: ArrayLike) -> Hashable:
    """Vectors by what an index makes of them: float32."""
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError("no vectors")
    with np.errstate(all="ignore"):
        return array.shape, array.astype(np.float32).tobytes()


def filter_key(value: ArrayLike) -> Hashable:
    """A mask or ids."""
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "biu" and array.size > 0:
        raise TypeError("no filter")
    return array.shape, array.dtype.str, array.tobytes()
