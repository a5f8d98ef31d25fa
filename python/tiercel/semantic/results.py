"""Answers of searches, for queries that are near to earlier ones: exact, certified or approximate."""

import math
from collections import OrderedDict
from collections.abc import Iterable
from random import Random
from typing import Final, Generic, Literal, NamedTuple, TypeAlias, TypedDict, cast, final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel._core import Index, Matches
from tiercel.checks import MAX_LIMIT, Metadata, number, unicode_text, whole
from tiercel.collection import Collection
from tiercel.filters import Filter
from tiercel.forks import fork_lock
from tiercel.found import Found, Include, Quality
from tiercel.handles import Handle
from tiercel.semantic.audit import ThresholdControl, wilson
from tiercel.semantic.certify import OutsideBound, limit, outside_bound, separation
from tiercel.semantic.entry_index import Entry, EntryIndex
from tiercel.semantic.gate import Gate, Judge
from tiercel.semantic.payloads import PayloadCache
from tiercel.semantic.sizes import size_of
from tiercel.semantic.targets import Answer, NeighbourList, Request, Rescored, Target, target_of
from tiercel.semantic.vectors import Metric, has_direction, one_vector

__all__ = ["SemanticCache", "SemanticStats"]

# Kinds of searches whose thresholds are remembered.
KINDS: Final = 1000


class SemanticStats(TypedDict):
    """What a `SemanticCache` has done."""

    exact: int
    """Answers to a query that was asked before, of an index or collection that has not changed since."""
    certified: int
    """Answers proven to be those of an exact search."""
    approximate: int
    """Answers of a query that was near enough."""
    misses: int
    """Answers that took an exact search."""
    audited: int
    """Approximate answers that were compared with the truth, and given as that; they count as misses, too."""
    wrong: int
    """Those of them that were not the true nearest."""
    overlap: float
    """Share of the true nearest that the audited ones had, on average; 1 if there were none."""
    false_rate: tuple[float, float]
    """Share of approximate answers that are wrong: the interval that it lies in, 95% of the time."""
    thresholds: dict[str, dict[str, float]]
    """How far apart queries may be to share an answer; negative for never. By user, of those who lately asked for approximate ones, and kind of
    search: "k <= 16", or "k <= 16, filter"."""
    entries: int
    """Queries whose lists are kept."""
    bytes: int
    """Bytes of these, about."""


# A user, and a kind of search as in `SemanticStats.thresholds`.
_Kind: TypeAlias = tuple[str, str]
# A user, and a filter.
_Namespace: TypeAlias = tuple[str, str | None]


class _Kept(NamedTuple):
    """A list, and what is known of all that is not in it."""

    neighbours: NeighbourList
    outside: OutsideBound


class _Near(NamedTuple):
    """An entry near a query."""

    namespace: _Namespace
    entry: Entry[_Kept]
    distance: float


@final
class SemanticCache(Handle, Generic[Answer]):
    """Search an index or a collection, and answer near queries from the lists of earlier ones.

    Each exact search keeps its `keep` nearest. A later query is answered from such a list, its distances computed anew, what was added and
    removed since taken into account. The answer has a `quality`: `"exact"` for the same query of the same content, or one that was searched;
    `"certified"` when it is proven to be what an exact search finds; `"approximate"` only if `threshold` or `max_error` is given.
    All methods may be called from several threads at once.

    Parameters
    ----------
    target
        A `tiercel.Index`, or a `tiercel.Collection` with vectors.
    keep
        Nearest that are kept of a search, at least 1. The more, the farther a query may be and have its answer proven.
    entries, bytes
        The most queries, and about the most bytes, that are kept. What has not been used for longest goes.
    threshold
        Answer from a query that is no farther away, in the metric of the target (under dot, of the cosine), though nothing is proven.
    max_error
        Or up to where no more than this share of such answers is wrong, as far as answers that were compared with the truth tell: of that,
        the upper end of the 95% interval counts. `threshold` beside it is the most. Every search that was needed is such a comparison.
    audit
        Share of approximate answers that are compared with the truth.
    language
        That of the texts, "english", "french" or "german": approximate answers may then be given to texts that differ in words which say
        nothing there. If it is not known, which is the default, texts must have the same words.
    verify
        A callable `(text, earlier_text) -> bool`, such as a cross-encoder with a bound on its score: asked about texts that differ in words of
        which nothing is known, see `tiercel.semantic.gate`. Without one, no answer is passed on between them. What it raises, `search` raises.
    seed
        Chooses which.

    Raises
    ------
    InvalidInputError
        A parameter is of the wrong type or out of range.

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
        self._threshold = None if threshold is None else number(threshold, "threshold", 0.0, math.inf)
        self._max_error = None if max_error is None else number(max_error, "max_error", 0.0, 1.0)
        self._audit = number(audit, "audit", 0.0, 1.0)
        self._gate = Gate(language, verify)
        self._random = Random(whole(seed, "seed", 0, 2**64 - 1))  # noqa: S311 - no secret
        room = whole(entries, "entries", 1, MAX_LIMIT), whole(bytes, "bytes", 1, MAX_LIMIT)
        self._entry_index: EntryIndex[_Kept] = EntryIndex(self._target.dim, self._target.metric, *room)
        self._controls: OrderedDict[_Kind, ThresholdControl] = OrderedDict()
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
        """Find the k nearest vectors, from what earlier searches found if that will do, else by exact search.

        Parameters
        ----------
        query
            Array of shape `(dim,)`.
        k
            Results, at least 1.
        filter
            As the target takes it. Lists that were made without a filter serve any; others serve the same filter.
        user
            User, tenant or whatever must be kept apart: an answer never comes from a query of another one.
        text
            The text of the query. An approximate answer is given only if its words differ in nothing that matters, as far as `language` and
            `verify` tell, see `tiercel.semantic.gate`. A text beside none never matches.
        include
            What each match of a collection brings along: any of "text", "metadata", "vector"; text and metadata unless given.

        Returns
        -------
        Matches or Found
            As the target gives it, with a `quality`.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be.
        DimensionMismatchError
            A query of another length than `dim`.
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
        if self._threshold is None and self._max_error is None:
            return self._search_and_keep(request, k, namespaces[-1], text)[0]
        return self._approximate(request, k, near, namespaces[-1], text)

    def stats(self) -> SemanticStats:
        """What was answered and how, and how good the approximate answers were."""
        with self._lock:
            counts = dict(self._counts)
            overlap = self._overlap / counts["audited"] if counts["audited"] else 1.0
            thresholds: dict[str, dict[str, float]] = {}
            for (user, kind), control in self._controls.items():
                thresholds.setdefault(user, {})[kind] = control.threshold
        return cast(
            "SemanticStats",
            {
                **counts,
                "overlap": overlap,
                "false_rate": wilson(counts["wrong"], counts["audited"]),
                "thresholds": thresholds,
                "entries": len(self._entry_index),
                "bytes": self._entry_index.memory,
            },
        )

    def clear(self) -> None:
        """Forget all lists; what was learned of thresholds stays."""
        self._entry_index.clear()

    def _exact(self, request: Request, k: int, namespaces: list[_Namespace]) -> Answer | None:
        """The answer from the list of this very query."""
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
        """The answer from the list that reaches farthest beyond the query."""
        metric = self._target.metric
        spare = [
            (each.entry.content.outside.reach - reached(metric, each.distance), at) for at, each in enumerate(near)
        ]
        # What a rejected list costs is little beside a search; a second one proves more only if the first counts no more.
        for margin, at in sorted(spare, reverse=True)[:2]:
            answer = self._answer_from(request, k, near[at]) if margin > 0.0 else None
            if answer is not None:
                return answer
        return None

    def _answer_from(self, request: Request, k: int, near: _Near) -> Answer | None:
        """The answer from a list, if that is proven."""
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
        """What is known of the k nearest of a list: `None` if others may be nearer."""
        neighbours, outside = entry.content
        is_same = np.array_equal(entry.query, request.vector)
        is_all = neighbours.farthest is None
        if not is_all and len(found.distances) < k:
            return None
        # Equal moments are equal contents: the list is what a search finds now.
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
        """The answer of an exact search, the list of which is kept."""
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
        """The answer from the nearest query whose text allows that, or the truth."""
        control = self._control((namespace[0], kind_of(k, has_filter=request.key is not None)))
        # Nearest first, so that whoever verifies is asked about as few as can be.
        useful = (each for each in near if control.allows(each.distance) or control.learns(each.distance))
        close = next((each for each in useful if self._gate.lets_pass(text, each.entry.text)), None)
        guess = None if close is None else self._rescore(request, k, close)
        if close is None or guess is None or len(guess.distances) < k:
            return self._search_and_keep(request, k, namespace, text)[0]
        would_answer = control.allows(close.distance)
        if would_answer and not control.audits():
            self._count("approximate")
            self._entry_index.use(close.namespace, close.entry)
            return self._target.with_quality(guess.answer, "approximate")
        answer, truth = self._search_and_keep(request, k, namespace, text)
        # Of two moments, nothing could be told.
        if truth is not None and truth.version == guess.version:
            overlap = shared(guess.distances, truth.distances)
            with self._lock:
                control.note(close.distance, wrong=overlap < 1.0)
                if would_answer:
                    self._counts["audited"] += 1
                    self._counts["wrong"] += overlap < 1.0
                    self._overlap += overlap
        return answer

    def _control(self, kind: _Kind) -> ThresholdControl:
        with self._lock:
            if kind not in self._controls:
                ceiling = math.inf if self._threshold is None else self._threshold
                self._controls[kind] = ThresholdControl(ceiling, self._max_error, self._audit, self._random)
                if len(self._controls) > KINDS:
                    self._controls.popitem(last=False)
            self._controls.move_to_end(kind)
            return self._controls[kind]

    def _count(self, what: Quality | Literal["misses"]) -> None:
        with self._lock:
            self._counts[what] += 1


def kind_of(k: int, *, has_filter: bool) -> str:
    """Searches that share a threshold: of ten nearest, one is wrong sooner than of one."""
    return f"k <= {1 << (k - 1).bit_length()}{', filter' if has_filter else ''}"


def reached(metric: Metric, distance: float) -> float:
    """A distance between queries in the unit of `OutsideBound.reach`, about."""
    return math.sqrt(max(0.0, distance)) if metric == "l2" else math.acos(min(1.0, max(-1.0, 1.0 - distance)))


def shared(guess: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Share of the true nearest that an answer has, by their distances: of equal ones any may stand there."""
    return 1.0 if len(truth) == 0 else float(np.count_nonzero(guess <= truth[-1])) / len(truth)
