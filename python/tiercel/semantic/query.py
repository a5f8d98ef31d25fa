"""A cache of searches that are repeated word for word."""

import copy
from collections import OrderedDict
from collections.abc import Hashable
from types import MethodType
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypedDict, TypeVar, cast, final, overload

import numpy as np
from numpy.typing import ArrayLike

from tiercel._core import Index, Matches
from tiercel.arrays import as_array, as_filter
from tiercel.checks import MAX_LIMIT, items, unicode_text, whole
from tiercel.collection import Collection
from tiercel.errors import InvalidInputError
from tiercel.filters import as_json
from tiercel.forks import fork_lock
from tiercel.found import Found
from tiercel.handles import Handle
from tiercel.results import SearchResult
from tiercel.semantic.sizes import size_of

__all__ = ["QueryCache", "QueryStats"]

_Answer = TypeVar("_Answer", bound=SearchResult)

# The version of an index or a collection. Newer versions are larger.
_Version: TypeAlias = tuple[int, ...]

# The positional parameters of `search`, by kind of target.
POSITIONAL: Final = {"index": ("queries", "k"), "collection": ("vector", "text")}
# Arguments that are vectors.
VECTORS: Final = ("queries", "vector")


class QueryStats(TypedDict):
    """Counters of a `QueryCache`."""

    hits: int
    """Searches that were answered from the cache."""
    misses: int
    """Searches that were not. Searches that cannot be identified are not counted."""
    stale: int
    """Answers that were dropped because the content has changed."""
    entries: int
    """Cached answers."""
    bytes: int
    """The approximate size of the answers and their keys in bytes."""


@final
class _Same:
    """Makes any object a part of a key, equal only to itself.

    It holds the object, so that its id is not reused.
    """

    __slots__ = ("_held",)

    def __init__(self, held: object) -> None:
        self._held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._held is other._held

    def __hash__(self) -> int:
        return id(self._held)


class _Kept(NamedTuple, Generic[_Answer]):
    answer: _Answer
    size: int


@final
class QueryCache(Handle, Generic[_Answer]):
    """A thread-safe `search` of an index or a collection that caches its answers.

    All cached answers belong to one version of the content: a write invalidates them at once, and
    the next search removes them. Answers are copied, so the caller may change the arrays. No lock
    is held during a search.

    Parameters
    ----------
    target
        A `tiercel.Index` or a `tiercel.Collection`.
    entries, bytes
        The most answers, and approximately the most bytes. The least recently used answer is evicted first.

    Raises
    ------
    InvalidInputError
        A parameter has the wrong type or is out of range.

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
    def __init__(self: "QueryCache[Matches]", target: Index, *, entries: int = ..., bytes: int = ...) -> None: ...
    @overload
    def __init__(self: "QueryCache[Found]", target: Collection, *, entries: int = ..., bytes: int = ...) -> None: ...
    def __init__(self, target: Index | Collection, *, entries: int = 10_000, bytes: int = 256 << 20) -> None:
        if not isinstance(target, Index | Collection):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"target: expected an Index or a Collection, got {type(target).__name__}")
        self._target = target
        self._positional = POSITIONAL["index" if isinstance(target, Index) else "collection"]
        self._entries = whole(entries, "entries", 1, MAX_LIMIT)
        self._room = whole(bytes, "bytes", 1, MAX_LIMIT)
        self._kept: OrderedDict[Hashable, _Kept[_Answer]] = OrderedDict()
        self._bytes = 0
        self._version: _Version = ()
        self._lock = fork_lock()
        self._hits = self._misses = self._stale = 0

    def search(self, *places: Any, user: str = "", **options: Any) -> _Answer:
        """Return the answer of `target.search` to the same arguments.

        Parameters
        ----------
        places, options
            The arguments of `target.search`, each a part of the key: queries in single precision, a
            reranker by its identity, filters on metadata by their dictionary form. The order of its
            keys does not count; `{"year": 2020}` and `{"year": {"$eq": 2020}}` are two filters.
        user
            For example a user or tenant. An answer never comes from the search of another one.

        Raises
        ------
        InvalidInputError
            `user` is not a string; or what `target.search` raises.
        """
        unicode_text(user, "user")
        # An iterator can be consumed only once.
        options = {
            name: tuple(value) if name == "include" and hasattr(value, "__next__") else value
            for name, value in options.items()
        }
        key = self._key(user, places, options)
        if key is None:
            return self._search(places, options)
        # Before the search: if content is written meanwhile, the answer is kept under an older
        # version, which never comes back, so nobody gets it.
        version = self._current_version()
        kept = self._lookup(key, version)
        if kept is not None:
            return kept
        answer = self._search(places, options)
        self._keep(key, version, copy.copy(answer))
        return answer

    def stats(self) -> QueryStats:
        """Return the counters and the size of the cache."""
        with self._lock:
            return {
                "hits": self._hits,
                "misses": self._misses,
                "stale": self._stale,
                "entries": len(self._kept),
                "bytes": self._bytes,
            }

    def clear(self) -> None:
        """Remove all answers."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _search(self, places: tuple[Any, ...], options: dict[str, Any]) -> _Answer:
        return cast("_Answer", self._target.search(*places, **options))

    def _current_version(self) -> _Version:
        if isinstance(self._target, Index):
            return (self._target.version,)
        return self._target._core.moment()  # pyright: ignore[reportPrivateUsage]

    def _lookup(self, key: Hashable, version: _Version) -> _Answer | None:
        with self._lock:
            self._advance_to(version)
            known = self._kept.get(key) if version == self._version else None
            if known is None:
                self._misses += 1
                return None
            self._hits += 1
            self._kept.move_to_end(key)
        return copy.copy(known.answer)

    def _keep(self, key: Hashable, version: _Version, answer: _Answer) -> None:
        kept = _Kept(answer, size_of((key, parts(answer))))
        with self._lock:
            self._advance_to(version)
            if version != self._version or kept.size > self._room:
                return
            known = self._kept.pop(key, None)
            self._kept[key] = kept
            self._bytes += kept.size - (0 if known is None else known.size)
            while self._kept and (len(self._kept) > self._entries or self._bytes > self._room):
                self._bytes -= self._kept.popitem(last=False)[1].size

    def _advance_to(self, version: _Version) -> None:
        """Drop all answers if this version is newer. A caller with an older version has been overtaken."""
        if version > self._version:
            self._stale += len(self._kept)
            self._kept.clear()
            self._bytes, self._version = 0, version

    def _key(self, user: str, places: tuple[Any, ...], options: dict[str, Any]) -> Hashable | None:
        """Return a key that identifies a search, or `None` if there is none."""
        if len(places) > len(self._positional):
            return None
        named = dict(zip(self._positional, places, strict=False))
        if named.keys() & options.keys():
            return None
        named |= options
        if isinstance(named.get("vector"), str) and named.get("text") is None:
            named["text"] = named.pop("vector")
        try:
            key = user, *((name, self._hashable(name, named[name])) for name in sorted(named))
            hash(key)
        except (TypeError, ValueError):
            # The search itself accepts or refuses such an argument.
            return None
        return key

    def _hashable(self, name: str, value: Any) -> Hashable:
        if value is None:
            return None
        if name in VECTORS:
            return vector_key(value)
        if name == "filter":
            return filter_key(value) if isinstance(self._target, Index) else as_json(value)
        if name == "include" and not isinstance(value, str):
            if (names := items(value)) is None:
                raise TypeError("no list")
            return tuple(names)
        if name == "rerank":
            # A bound method is a new object at each access.
            return (_Same(value.__self__), _Same(value.__func__)) if isinstance(value, MethodType) else _Same(value)
        # With the type, because True and 1.0 equal 1.
        return cast("type[object]", type(value)), value


def vector_key(value: ArrayLike) -> Hashable:
    """Return the key of vectors: their float32 values, as an index converts them."""
    array = as_array(value, "vector")
    if array.dtype.kind not in "fiu":
        raise TypeError("no vectors")
    with np.errstate(all="ignore"):
        return array.shape, array.astype(np.float32).tobytes()


def filter_key(value: ArrayLike) -> Hashable:
    """Return the key of a filter that is a mask or an array of ids."""
    array = as_filter(value)
    if array.dtype.kind not in "biu" and array.size > 0:
        raise TypeError("no filter")
    return array.shape, array.dtype.str, array.tobytes()


def parts(answer: SearchResult) -> list[Any]:
    """List the parts of an answer."""
    if isinstance(answer, Matches):
        return [answer.ids, answer.distances, answer.counts]
    return [getattr(answer, name) for name in Found.__slots__]
