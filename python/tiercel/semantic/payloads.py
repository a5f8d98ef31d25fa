"""A cache of anything by query vector: answers of a language model, labels or pages."""

import math
import operator
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypedDict, cast, final

import numpy as np
from numpy.typing import ArrayLike

from tiercel.checks import MAX_LIMIT, choice, number, unicode_text, whole
from tiercel.errors import InvalidInputError
from tiercel.forks import fork_lock
from tiercel.handles import Handle
from tiercel.intervals import wilson_interval
from tiercel.semantic.audit import ThresholdControl, Thresholds
from tiercel.semantic.entry_index import Entry, EntryIndex
from tiercel.semantic.sizes import size_of
from tiercel.semantic.text_check import Judge, TextCheck
from tiercel.semantic.vectors import Metric, has_direction, norm, one_vector

__all__ = ["Hit", "PayloadCache", "PayloadStats"]

METRICS: Final = ("cosine", "dot", "l2")
# The most pending comparisons.
WAITING: Final = 1000


# A namespace, a vector and the hash of a text.
_Query: TypeAlias = tuple[str, bytes, int]


def equal(one: object, other: object) -> bool:
    """Compare two payloads: arrays by their values, anything else by `==`."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(cast("ArrayLike", one), cast("ArrayLike", other))
    return bool(one == other)


@final
class Hit(NamedTuple):
    """A cached payload of this query, or of a near one."""

    payload: Any
    quality: Literal["exact", "approximate"]
    distance: float
    """The distance between the queries, in the metric of the cache; 0 for an exact hit."""
    namespace: str

    def to_dict(self) -> dict[str, Any]:
        """Return the hit as a dict, which `json.dumps` accepts if it accepts the payload."""
        return self._asdict()

    # A tuple's own comparison would need a single truth value of arrays.
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple):
            return NotImplemented
        fields = cast("tuple[Any, ...]", other)
        return len(fields) == len(self) and equal(self.payload, fields[0]) and self[1:] == fields[1:]

    def __ne__(self, other: object) -> bool:
        return not self == other if isinstance(other, tuple) else NotImplemented

    # A hash would fail for unhashable payloads.
    __hash__ = None  # pyright: ignore[reportAssignmentType]


class PayloadStats(TypedDict):
    """Counters of a `PayloadCache`."""

    exact: int
    """Payloads returned for exactly the query that they were put for."""
    approximate: int
    """Payloads returned for a near query."""
    misses: int
    """Queries without a payload."""
    audited: int
    """Payloads of near queries that were compared with the right one, or reported by the caller."""
    wrong: int
    """Audited payloads that were wrong."""
    false_rate: tuple[float, float]
    """The 95% confidence interval of the share of wrong payloads among approximate hits."""
    thresholds: dict[str, float]
    """The largest distance between queries that may share a payload, by namespace; negative for never."""
    entries: int
    bytes: int


class _Guess(NamedTuple):
    payload: Any
    distance: float
    would_answer: bool


@final
class PayloadCache(Handle):
    """A thread-safe cache of payloads by query vector.

    `put` stores a payload, and `get` returns that of an equal or near query. Payloads are not
    copied: a change to a returned object changes the cached one.

    Only the caller knows whether two payloads mean the same. A share of the approximate hits is
    therefore held back: `get` returns `None`, and the next `put` for this query is compared with
    the payload that was held back. With `max_error`, every miss that has a near query is compared
    this way.

    Parameters
    ----------
    dim
        The length of every query vector.
    metric
        "cosine", "dot" (also compared by direction) or "l2".
    threshold
        The largest distance between queries that share a payload: 1 - cos, or the squared distance
        under l2. Without it and without `max_error`, only equal queries share one.
    max_error
        Derive the threshold: the largest distance up to which at most this share of payloads is
        wrong, judged by the upper end of the 95% confidence interval. Payloads are shared only
        after enough comparisons, 189 for 0.02. `threshold` is then an upper limit.
    audit
        The share of approximate hits that are held back.
    language
        The language of the texts, "english", "french" or "german". Texts may then differ in words
        that carry no meaning in it. By default the language is unknown, and texts must have the
        same words.
    verify
        A callable `(text, earlier_text) -> bool`, such as a cross-encoder with a threshold on its
        score. It decides about texts that differ in unknown words, see `tiercel.semantic.text_check`.
        Without it, such texts share no payload. `get` raises what it raises.
    same
        Compares two payloads, by default with `==`, and arrays with `numpy.array_equal`. For
        answers in free text, pass your own function. If it raises, the comparison is skipped.
    entries, bytes
        The most payloads, and approximately the most bytes of vectors, texts and payloads. Lists,
        dictionaries and the like count with their contents, other objects by `sys.getsizeof`.
    seed
        The seed for choosing the hits that are held back.

    Raises
    ------
    InvalidInputError
        A parameter has the wrong type or is out of range.

    Examples
    --------
    >>> import tiercel
    >>> answers = tiercel.SemanticCache.payloads(dim=3, threshold=0.1, audit=0, language="english")
    >>> answers.put([1, 0, 0], "Press the green button.", text="How do I start the engine?")
    >>> answers.get([0.99, 0.1, 0], text="how can I start the engine").payload
    'Press the green button.'
    >>> answers.get([0.99, 0.1, 0], text="how do I stop the engine") is None
    True
    """

    def __init__(
        self,
        dim: int,
        metric: Metric = "cosine",
        *,
        threshold: float | None = None,
        max_error: float | None = None,
        audit: float = 0.05,
        language: str | None = None,
        verify: Judge | None = None,
        same: Callable[[Any, Any], object] = equal,
        entries: int = 10_000,
        bytes: int = 256 << 20,
        seed: int = 0,
    ) -> None:
        self._dim = whole(dim, "dim", 1, 32_768)
        choice(metric, "metric", METRICS)
        if not callable(same):
            raise InvalidInputError(f"same: expected a callable (one, other) -> bool, got {type(same).__name__}")
        self._metric: Metric = metric
        ceiling = math.inf if max_error is not None else -1.0
        self._ceiling = ceiling if threshold is None else number(threshold, "threshold", 0.0, math.inf)
        max_error = None if max_error is None else number(max_error, "max_error", 0.0, 1.0)
        audit, self._same = number(audit, "audit", 0.0, 1.0), same
        self._text_check = TextCheck(language, verify)
        random = Random(whole(seed, "seed", 0, 2**64 - 1))  # noqa: S311 - no secret
        room = whole(entries, "entries", 1, MAX_LIMIT), whole(bytes, "bytes", 1, MAX_LIMIT)
        self._entry_index: EntryIndex[Any] = EntryIndex(self._dim, metric, *room, by_text=True)
        self._thresholds = Thresholds[str](self._ceiling, max_error, audit, random)
        self._waiting: OrderedDict[_Query, _Guess] = OrderedDict()
        self._lock = fork_lock()
        self._counts = dict.fromkeys(("exact", "approximate", "misses", "audited", "wrong"), 0)

    def get(self, vector: ArrayLike, *, text: str | None = None, namespace: str = "") -> Hit | None:
        """Return the payload of this query, or of a near one, or `None`.

        Parameters
        ----------
        vector
            An array of shape `(dim,)`.
        text
            The text of the query. Equal vectors with different texts are different queries. The
            text of a near query may differ only as `language` and `verify` allow, see
            `tiercel.semantic.text_check`.
        namespace
            For example a user or tenant. Payloads of another namespace are never returned.

        Raises
        ------
        InvalidInputError
            An argument has the wrong type or is out of range.
        DimensionMismatchError
            The length of the vector is not `dim`.
        """
        query, text, name = self._checked(vector, text, namespace)
        entry = self._entry_index.equal(name, query, text)
        if entry is not None:
            self._count("exact")
            self._entry_index.use(name, entry)
            return Hit(entry.content, "exact", 0.0, name)
        if self._ceiling < 0.0:
            self._count("misses")
            return None
        return self._near(query, text, name)

    def _near(self, query: Any, text: str | None, name: str) -> Hit | None:
        control = self._control(name)
        near = sorted(self._entry_index.nearest(name, query), key=operator.itemgetter(0))
        # Nearest first, so that the judge is called as rarely as possible.
        useful = (each for each in near if control.allows(each[0]) or control.learns(each[0]))
        close = self._text_check.first(text, useful, lambda each: each[1].text)
        if close is not None:
            distance, entry = max(0.0, close[0]), close[1]
            would_answer = control.allows(distance)
            if would_answer and not control.audits():
                self._count("approximate")
                self._entry_index.use(name, entry)
                return Hit(entry.content, "approximate", distance, name)
            self._wait((name, query.tobytes(), hash(text)), _Guess(entry.content, distance, would_answer))
        self._count("misses")
        return None

    def put(self, vector: ArrayLike, payload: object, *, text: str | None = None, namespace: str = "") -> None:
        """Store the payload of a query, and replace an older one.

        `vector`, `text` and `namespace` are those of `get`.
        """
        query, text, name = self._checked(vector, text, namespace)
        with self._lock:
            guess = self._waiting.pop((name, query.tobytes(), hash(text)), None)
        self._entry_index.put(name, Entry(query, payload, text, size_of((payload, text))))
        if guess is None:
            return
        try:
            wrong = not self._same(guess.payload, payload)
        except Exception:  # noqa: BLE001 - a caller's function may raise anything
            return
        self._note(name, guess.distance, wrong=wrong, would_answer=guess.would_answer)

    def report(self, hit: Hit, correct: bool) -> None:
        """Report whether an approximate hit turned out to be right."""
        if not isinstance(hit, Hit):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"hit: expected a Hit, got {type(hit).__name__}")
        if hit.quality == "approximate":
            self._note(hit.namespace, hit.distance, wrong=not correct, would_answer=True)

    def stats(self) -> PayloadStats:
        """Return the counters, and the measured quality."""
        with self._lock:
            counts = dict(self._counts)
            thresholds = self._thresholds.by_key()
        return {
            "exact": counts["exact"],
            "approximate": counts["approximate"],
            "misses": counts["misses"],
            "audited": counts["audited"],
            "wrong": counts["wrong"],
            "false_rate": wilson_interval(counts["wrong"], counts["audited"]),
            "thresholds": thresholds,
            "entries": len(self._entry_index),
            "bytes": self._entry_index.memory,
        }

    def clear(self) -> None:
        """Remove all payloads. The thresholds stay."""
        self._entry_index.clear()
        with self._lock:
            self._waiting.clear()

    def _checked(self, vector: ArrayLike, text: str | None, namespace: str) -> tuple[Any, str | None, str]:
        query = one_vector(vector, "vector", self._dim, self._metric)
        if self._metric == "dot" and not has_direction(query):
            raise InvalidInputError(f"vector: expected one with a direction under dot, got one of norm {norm(query)}")
        name = unicode_text(namespace, "namespace")
        return query, None if text is None else unicode_text(text, "text"), name

    def _wait(self, key: _Query, guess: _Guess) -> None:
        with self._lock:
            self._waiting[key] = guess
            if len(self._waiting) > WAITING:
                self._waiting.popitem(last=False)

    def _note(self, name: str, distance: float, *, wrong: bool, would_answer: bool) -> None:
        control = self._control(name)
        with self._lock:
            control.note(distance, wrong=wrong)
            if would_answer:
                self._counts["audited"] += 1
                self._counts["wrong"] += wrong

    def _control(self, name: str) -> ThresholdControl:
        with self._lock:
            return self._thresholds.of(name)

    def _count(self, what: Literal["exact", "approximate", "misses"]) -> None:
        with self._lock:
            self._counts[what] += 1
