"""A cache of search results that answers near queries: exact, certified or approximate."""

import math
from collections.abc import Iterable
from random import Random
from typing import Generic, Literal, NamedTuple, TypeAlias, TypedDict, cast, final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel._core import Index, Matches
from tiercel.checks import MAX_LIMIT, Metadata, number, unicode_text, whole
from tiercel.collection import Collection
from tiercel.filters import Filter
from tiercel.forks import fork_lock
from tiercel.found import Found, Include
from tiercel.handles import Handle
from tiercel.intervals import wilson_interval
from tiercel.results import Quality
from tiercel.semantic.audit import Thresholds
from tiercel.semantic.certify import OutsideBound, limit, outside_bound, separation
from tiercel.semantic.entry_index import Entry, EntryIndex
from tiercel.semantic.payloads import PayloadCache
from tiercel.semantic.sizes import size_of
from tiercel.semantic.targets import Answer, NeighbourList, Request, Rescored, Target, target_of
from tiercel.semantic.text_check import Judge, TextCheck
from tiercel.semantic.vectors import Metric, has_direction, one_vector

__all__ = ["SemanticCache", "SemanticStats"]


class SemanticStats(TypedDict):
    """Counters of a `SemanticCache`."""

    exact: int
    """Answers to a repeated query, while the index or collection has not changed."""
    certified: int
    """Answers proven to be those of an exact search."""
    approximate: int
    """Answers from a query that was near enough."""
    misses: int
    """Answers by an exact search."""
    audited: int
    """Approximate answers that were compared with an exact search, whose answer was returned.

    They also count as misses.
    """
    wrong: int
    """Audited answers that were not the true nearest."""
    overlap: float
    """The average share of the true nearest in audited answers; 1 if there were none."""
    false_rate: tuple[float, float]
    """The 95% confidence interval of the share of wrong approximate answers."""
    thresholds: dict[str, dict[str, float]]
    """The largest distance between queries that may share an answer; negative for never.

    By user, for those who recently requested approximate answers, and by kind of search: "k <= 16",
    or "k <= 16, filter".
    """
    entries: int
    """Cached queries."""
    bytes: int
    """The approximate size of the cache in bytes."""


# A user, and a kind of search as in `SemanticStats.thresholds`.
_Kind: TypeAlias = tuple[str, str]
# A user, and a filter.
_Namespace: TypeAlias = tuple[str, str | None]


class _Kept(NamedTuple):
    """A list of neighbours, and a bound on all vectors outside it."""

    neighbours: NeighbourList
    outside: OutsideBound


class _Near(NamedTuple):
    """An entry near a query."""

    namespace: _Namespace
    entry: Entry[_Kept]
    distance: float


@final
class SemanticCache(Handle, Generic[Answer]):
    """A thread-safe cache of searches that answers near queries from the results of earlier ones.

    Each exact search keeps its `keep` nearest neighbours. A later query is answered from such a
    list: its distances are computed again, and later additions and removals are taken into account.
    The answer has a `quality`: `"exact"` for a repeated query of unchanged content, or for a new
    search; `"certified"` if it is proven to be the answer of an exact search; `"approximate"` only
    with `threshold` or `max_error`.

    Parameters
    ----------
    target
        A `tiercel.Index`, or a `tiercel.Collection` with vectors.
    keep
        The number of neighbours to keep from each search, at least 1. With more, queries at larger
        distances can be certified.
    entries, bytes
        The most queries, and approximately the most bytes. The least recently used queries are dropped first.
    threshold
        Answer approximately from a query up to this distance, in the metric of the target (under
        dot, the cosine distance).
    max_error
        Derive the threshold: the largest distance up to which at most this share of approximate
        answers is wrong, judged by the upper end of the 95% confidence interval. Every necessary
        search serves as a comparison. `threshold` is then an upper limit.
    audit
        The share of approximate answers that are compared with an exact search.
    language
        The language of the texts, "english", "french" or "german". Texts may then differ in words
        that carry no meaning in it. By default the language is unknown, and texts must have the
        same words.
    verify
        A callable `(text, earlier_text) -> bool`, such as a cross-encoder with a threshold on its
        score. It decides about texts that differ in unknown words, see `tiercel.semantic.text_check`.
        Without it, such texts share no answer. `search` raises what it raises.
    seed
        The seed for choosing the answers that are audited.

    Raises
    ------
    InvalidInputError
        A parameter has the wrong type or is out of range, or `target` is an index with
        `raw="none"`, which cannot search exactly.

    Examples
    --------
    >>> import numpy as np, tiercel
    >>> index = tiercel.Index(dim=8)
    >>> vectors = np.random.default_rng(7).normal(size=(5000, 8))
    >>> _ = index.add(vectors)
    >>> cache = tiercel.SemanticCache(index)
    >>> query = vectors[0] + 0.1
    >>> cache.search(query, k=5).quality
    'exact'
    >>> near = cache.search(query + 0.001, k=5)
    >>> near.quality, bool((near.ids == index.search(query + 0.001, k=5, recall=1).ids).all())
    ('certified', True)
    """

    payloads = PayloadCache
    """A cache of anything by query vector, such as the answers of a language model."""

    @overload
    def __init__(
        self: "SemanticCache[Matches]",
        target: Index,
        *,
        keep: int = ...,
        entries: int = ...,
        bytes: int = ...,
        threshold: float | None = ...,
        max_error: float | None = ...,
        audit: float = ...,
        language: str | None = ...,
        verify: Judge | None = ...,
        seed: int = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: "SemanticCache[Found]",
        target: Collection,
        *,
        keep: int = ...,
        entries: int = ...,
        bytes: int = ...,
        threshold: float | None = ...,
        max_error: float | None = ...,
        audit: float = ...,
        language: str | None = ...,
        verify: Judge | None = ...,
        seed: int = ...,
    ) -> None: ...
    def __init__(
        self,
        target: Index | Collection,
        *,
        keep: int = 200,
        entries: int = 10_000,
        bytes: int = 256 << 20,
        threshold: float | None = None,
        max_error: float | None = None,
        audit: float = 0.05,
        language: str | None = None,
        verify: Judge | None = None,
        seed: int = 0,
    ) -> None:
        self._target = cast("Target[Answer]", target_of(target))
        self._keep = whole(keep, "keep", 1, 1_000_000)
        self._approximates = threshold is not None or max_error is not None
        ceiling = math.inf if threshold is None else number(threshold, "threshold", 0.0, math.inf)
        max_error = None if max_error is None else number(max_error, "max_error", 0.0, 1.0)
        audit = number(audit, "audit", 0.0, 1.0)
        self._text_check = TextCheck(language, verify)
        random = Random(whole(seed, "seed", 0, 2**64 - 1))  # noqa: S311 - no secret
        room = whole(entries, "entries", 1, MAX_LIMIT), whole(bytes, "bytes", 1, MAX_LIMIT)
        self._entry_index: EntryIndex[_Kept] = EntryIndex(self._target.dim, self._target.metric, *room)
        self._thresholds = Thresholds[_Kind](ceiling, max_error, audit, random)
        self._lock = fork_lock()
        self._counts = dict.fromkeys(("exact", "certified", "approximate", "misses", "audited", "wrong"), 0)
        self._overlap = 0.0

    def search(
        self,
        query: ArrayLike,
        k: int = 10,
        *,
        filter: ArrayLike | Filter | Metadata | None = None,
        user: str = "",
        text: str | None = None,
        include: Iterable[Include] | None = None,
    ) -> Answer:
        """Find the k nearest vectors, from earlier results if they suffice, otherwise by exact search.

        Parameters
        ----------
        query
            An array of shape `(dim,)`.
        k
            The number of results, at least 1.
        filter
            A filter that the target accepts. Results that were found without a filter serve any
            filter, others only an equal one.
        user
            For example a user or tenant. An answer never comes from the query of another one.
        text
            The text of the query. For an approximate answer it may differ from that of the earlier
            query only as `language` and `verify` allow, see `tiercel.semantic.text_check`. A query with a
            text never matches one without.
        include
            What to return with each match of a collection: any of "text", "metadata", "vector". By default text and
            metadata.

        Returns
        -------
        Matches or Found
            As the target returns them, with a `quality`.

        Raises
        ------
        InvalidInputError
            An argument has the wrong type or is out of range.
        DimensionMismatchError
            The length of the query is not `dim`.
        """
        target = self._target
        vector = one_vector(query, "query", target.dim, target.metric)
        k = whole(k, "k", 1, MAX_LIMIT)
        unicode_text(user, "user")
        text = None if text is None else unicode_text(text, "text")
        request = target.request(vector, filter, include)
        if target.metric == "dot" and not has_direction(vector):
            self._count("misses")
            return target.exact(request, k)
        namespaces: list[_Namespace] = [(user, None)]
        if request.key is not None:
            namespaces.append((user, request.key))
        answer = self._exact(request, k, namespaces)
        if answer is not None:
            return answer
        near = self._nearest(vector, namespaces)
        answer = self._certified(request, k, near)
        if answer is not None:
            return answer
        if not self._approximates:
            return self._search_and_keep(request, k, namespaces[-1], text)[0]
        return self._approximate(request, k, near, namespaces[-1], text)

    def stats(self) -> SemanticStats:
        """Return the counters, and the measured quality of approximate answers."""
        with self._lock:
            counts = dict(self._counts)
            overlap = self._overlap / counts["audited"] if counts["audited"] else 1.0
            thresholds: dict[str, dict[str, float]] = {}
            for (user, kind), threshold in self._thresholds.by_key().items():
                thresholds.setdefault(user, {})[kind] = threshold
        return cast(
            "SemanticStats",
            {
                **counts,
                "overlap": overlap,
                "false_rate": wilson_interval(counts["wrong"], counts["audited"]),
                "thresholds": thresholds,
                "entries": len(self._entry_index),
                "bytes": self._entry_index.memory,
            },
        )

    def clear(self) -> None:
        """Remove all results. The thresholds stay."""
        self._entry_index.clear()

    def _exact(self, request: Request, k: int, namespaces: list[_Namespace]) -> Answer | None:
        """Answer from the list of exactly this query."""
        for namespace in namespaces:
            entry = self._entry_index.equal(namespace, request.vector)
            answer = None if entry is None else self._answer_from(request, k, _Near(namespace, entry, 0.0))
            if answer is not None:
                return answer
        return None

    def _nearest(self, vector: NDArray[np.float32], namespaces: list[_Namespace]) -> list[_Near]:
        found = [
            _Near(name, entry, distance)
            for name in namespaces
            for distance, entry in self._entry_index.nearest(name, vector)
        ]
        return sorted(found, key=lambda near: near.distance)

    def _certified(self, request: Request, k: int, near: list[_Near]) -> Answer | None:
        """Answer from the list that reaches farthest beyond the query."""
        metric = self._target.metric
        spare = [
            (each.entry.content.outside.reach - reached(metric, each.distance), at) for at, each in enumerate(near)
        ]
        # A rejected list costs little compared with a search. A second list proves more only if the
        # first one is outdated.
        for margin, at in sorted(spare, reverse=True)[:2]:
            answer = self._answer_from(request, k, near[at]) if margin > 0.0 else None
            if answer is not None:
                return answer
        return None

    def _answer_from(self, request: Request, k: int, near: _Near) -> Answer | None:
        """Answer from a list if that answer is proven."""
        entry = near.entry
        found = self._rescore(request, k, near)
        if found is None:
            return None
        quality = self._quality(request, k, entry, found)
        if quality is None:
            return None
        self._count(quality)
        self._entry_index.use(near.namespace, entry)
        return self._target.with_quality(found.answer, quality)

    def _rescore(self, request: Request, k: int, near: _Near) -> Rescored[Answer] | None:
        found = self._target.rescore(request, k, near.entry.content.neighbours)
        if found is None:
            self._entry_index.drop(near.namespace, near.entry)
        return found

    def _quality(
        self, request: Request, k: int, entry: Entry[_Kept], found: Rescored[Answer]
    ) -> Literal["exact", "certified"] | None:
        """Return the quality of the k nearest of a list, or `None` if vectors outside may be nearer."""
        neighbours, outside = entry.content
        is_same = np.array_equal(entry.query, request.vector)
        is_all = neighbours.farthest is None
        if not is_all and len(found.distances) < k:
            return None
        # Equal versions have equal contents, so a search would find this list.
        if is_same and found.version == neighbours.version:
            return "exact"
        if is_all:
            return "certified"
        metric = self._target.metric
        away = separation(metric, entry.query, request.vector)
        below = limit(metric, request.vector, outside, away=away, norms=found.norms)
        return "certified" if float(found.distances[-1]) < below else None

    def _search_and_keep(
        self, request: Request, k: int, namespace: _Namespace, text: str | None
    ) -> tuple[Answer, Rescored[Answer] | None]:
        """Answer by exact search, and keep the list."""
        self._count("misses")
        target = self._target
        neighbours = target.neighbours(request, max(self._keep, k))
        known = (
            None
            if neighbours is None
            else outside_bound(target.metric, request.vector, neighbours.farthest, neighbours.norms)
        )
        if neighbours is not None and known is not None:
            entry = Entry(request.vector, _Kept(neighbours, known), text, neighbours.members.nbytes + size_of(text))
            self._entry_index.put(namespace, entry)
            found = target.rescore(request, k, neighbours)
            quality = None if found is None else self._quality(request, k, entry, found)
            if found is not None and quality is not None:
                return target.with_quality(found.answer, quality), found
        return target.exact(request, k), None

    def _approximate(
        self, request: Request, k: int, near: list[_Near], namespace: _Namespace, text: str | None
    ) -> Answer:
        """Answer from the nearest query whose text allows it, or by exact search."""
        with self._lock:
            control = self._thresholds.of((namespace[0], kind_of(k, has_filter=request.key is not None)))
        # Nearest first, so that the judge is called as rarely as possible.
        useful = (each for each in near if control.allows(each.distance) or control.learns(each.distance))
        close = self._text_check.first(text, useful, lambda each: each.entry.text)
        guess = None if close is None else self._rescore(request, k, close)
        if close is None or guess is None or len(guess.distances) < k:
            return self._search_and_keep(request, k, namespace, text)[0]
        would_answer = control.allows(close.distance)
        if would_answer and not control.audits():
            self._count("approximate")
            self._entry_index.use(close.namespace, close.entry)
            return self._target.with_quality(guess.answer, "approximate")
        answer, truth = self._search_and_keep(request, k, namespace, text)
        # Answers of different versions cannot be compared.
        if truth is not None and truth.version == guess.version:
            overlap = shared(guess.distances, truth.distances)
            with self._lock:
                control.note(close.distance, wrong=overlap < 1.0)
                if would_answer:
                    self._counts["audited"] += 1
                    self._counts["wrong"] += overlap < 1.0
                    self._overlap += overlap
        return answer

    def _count(self, what: Quality | Literal["misses"]) -> None:
        with self._lock:
            self._counts[what] += 1


def kind_of(k: int, *, has_filter: bool) -> str:
    """Return the kind of search.

    Each has its own threshold: more results are more likely to be wrong.
    """
    return f"k <= {1 << (k - 1).bit_length()}{', filter' if has_filter else ''}"


def reached(metric: Metric, distance: float) -> float:
    """Return the approximate distance between queries in the unit of `OutsideBound.reach`."""
    return math.sqrt(max(0.0, distance)) if metric == "l2" else math.acos(min(1.0, max(-1.0, 1.0 - distance)))


def shared(guess: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Return the share of the true nearest in an answer.

    They are compared by distance, because equally distant ones are interchangeable.
    """
    return 1.0 if len(truth) == 0 else float(np.count_nonzero(guess <= truth[-1])) / len(truth)
