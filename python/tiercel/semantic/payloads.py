"""Anything kept by query vector: answers of a language model, labels, pages."""

import math
import operator
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypedDict, cast, final

import numpy as np
from numpy.typing import ArrayLike

from tiercel.checks import MAX_LIMIT, number, unicode_text, whole
from tiercel.errors import InvalidInputError
from tiercel.forks import fork_lock
from tiercel.handles import Handle
from tiercel.semantic.audit import ThresholdControl, wilson
from tiercel.semantic.entry_index import Entry, EntryIndex
from tiercel.semantic.gate import Gate, Judge
from tiercel.semantic.sizes import size_of
from tiercel.semantic.vectors import Metric, has_direction, norm, one_vector

__all__ = ["Hit", "PayloadCache", "PayloadStats"]

METRICS: Final = ("cosine", "dot", "l2")
# Namespaces whose thresholds are remembered, and payloads that are waited for.
NAMESPACES: Final = 1000
WAITING: Final = 1000


# A namespace, a vector and the hash of a text.
_Query: TypeAlias = tuple[str, bytes, int]


def equal(one: object, other: object) -> bool:
    """Whether two payloads are the same: arrays by their values, anything else by `==`."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(cast("ArrayLike", one), cast("ArrayLike", other))
    return bool(one == other)


@final
class Hit(NamedTuple):
    """A payload that was kept for this query, or for one near it."""

    payload: Any
    quality: Literal["exact", "approximate"]
    distance: float
    """How far apart the queries are, in the metric of the cache; 0 for an exact hit."""
    namespace: str

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict, which `json.dumps` accepts if it accepts the payload."""
        return self._asdict()

    # A tuple asks arrays whether they are equal, and they answer for each value.
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple):
            return NotImplemented
        fields = cast("tuple[Any, ...]", other)
        return len(fields) == len(self) and equal(self.payload, fields[0]) and self[1:] == fields[1:]

    def __ne__(self, other: object) -> bool:
        return not self == other if isinstance(other, tuple) else NotImplemented

    # Whether it could be hashed would hang on the payload.
    __hash__ = None  # pyright: ignore[reportAssignmentType]


class PayloadStats(TypedDict):
    """What a `PayloadCache` has done."""

    exact: int
    """Payloads given to the very query that they were put for."""
    approximate: int
    """Payloads given to a near one."""
    misses: int
    """Queries that got none."""
    audited: int
    """Payloads of near queries that were compared with the right one: those held back, and those reported."""
    wrong: int
    """Those that were not the same."""
    false_rate: tuple[float, float]
    """Share of such payloads that are wrong: the interval that it lies in, 95% of the time."""
    thresholds: dict[str, float]
    """How far apart queries of a namespace may be to share a payload; negative for never."""
    entries: int
    bytes: int


class _Guess(NamedTuple):
    payload: Any
    distance: float
    would_answer: bool


@final
class PayloadCache(Handle):
    """Payloads by query vector: `get` gives that of the same query, or of one near enough, `put` keeps one.

    What is put is kept as the object that it is, and given again as that: what is done to it, is done to what is in the cache.

    Whether two payloads are the same, only their maker knows. So a share of the approximate hits is held back: `get` gives `None`, and what
    is `put` for this query next is compared with what would have been given. With `max_error`, every miss that has a near
    query is such a comparison. All methods may be called from several threads at once.

    Parameters
    ----------
    dim
        Length of every query vector.
    metric
        "cosine", "dot" (compared by direction, too) or "l2".
    threshold
        Queries no farther apart share a payload: 1 - cos, or the squared distance under l2. Without it and `max_error` only the same
        query does.
    max_error
        Or up to where no more than this share of payloads is wrong, as far as comparisons tell: of that, the upper end of the 95% interval
        counts. Nothing is shared before there are enough, 189 for 0.02. `threshold` beside it is the most.
    audit
        Share of approximate hits that are held back.
    language
        That of the texts, "english", "french" or "german": hits may then be given to texts that differ in words which say nothing there.
        If it is not known, which is the default, texts must have the same words.
    verify
        A callable `(text, earlier_text) -> bool`, such as a cross-encoder with a bound on its score: asked about texts that differ in words of
        which nothing is known, see `tiercel.semantic.gate`. Without one, no payload is passed on between them. What it raises, `get` raises.
    same
        Whether two payloads are the same, `==`, or for arrays `numpy.array_equal`, unless given: for answers in free text, a judgement of
        your own. Where it raises, nothing was compared.
    entries, bytes
        The most payloads, and about the most bytes of vectors, texts and payloads: of these, lists, dictionaries and the like count
        with all that is in them, objects of other kinds as what `sys.getsizeof` says.
    seed
        Chooses which hits are held back.

    Raises
    ------
    InvalidInputError
        A parameter is of the wrong type or out of range.

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
        if metric not in METRICS:
            raise InvalidInputError(f"metric: expected 'cosine', 'dot' or 'l2', got {metric!r}")
        if not callable(same):
            raise InvalidInputError(f"same: expected a callable (one, other) -> bool, got {type(same).__name__}")
        self._metric: Metric = metric
        ceiling = math.inf if max_error is not None else -1.0
        self._ceiling = ceiling if threshold is None else number(threshold, "threshold", 0.0, math.inf)
        self._max_error = None if max_error is None else number(max_error, "max_error", 0.0, 1.0)
        self._audit, self._same = number(audit, "audit", 0.0, 1.0), same
        self._gate = Gate(language, verify)
        self._random = Random(whole(seed, "seed", 0, 2**64 - 1))  # noqa: S311 - no secret
        room = whole(entries, "entries", 1, MAX_LIMIT), whole(bytes, "bytes", 1, MAX_LIMIT)
        self._entry_index: EntryIndex[Any] = EntryIndex(self._dim, metric, *room)
        self._names: OrderedDict[str, ThresholdControl] = OrderedDict()
        self._waiting: OrderedDict[_Query, _Guess] = OrderedDict()
        self._lock = fork_lock()
        self._counts = dict.fromkeys(("exact", "approximate", "misses", "audited", "wrong"), 0)

    def get(self, vector: ArrayLike, *, text: str | None = None, namespace: str = "") -> Hit | None:
        """The payload of this query, or of one near enough; `None` if there is none.

        Parameters
        ----------
        vector
            Array of shape `(dim,)`.
        text
            The text of the query: equal vectors with other texts are other queries, and of near ones the words may differ in nothing
            that matters, as far as `language` and `verify` tell, see `tiercel.semantic.gate`.
        namespace
            User, tenant or whatever must be kept apart: payloads of another namespace are never given.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be.
        DimensionMismatchError
            A vector of another length than `dim`.
        """
        query, text, name = self._checked(vector, text, namespace)
        entry = self._entry_index.equal(name, query)
        if entry is not None and entry.text == text:
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
        # Nearest first, so that whoever verifies is asked about as few as can be.
        useful = (each for each in near if control.allows(each[0]) or control.learns(each[0]))
        close = next((each for each in useful if self._gate.lets_pass(text, each[1].text)), None)
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
        """Keep the payload of a query, in place of an older one; `vector`, `text` and `namespace` as in `get`."""
        query, text, name = self._checked(vector, text, namespace)
        with self._lock:
            guess = self._waiting.pop((name, query.tobytes(), hash(text)), None)
        self._entry_index.put(name, Entry(query, payload, text, size_of((payload, text))))
        if guess is None:
            return
        try:
            wrong = not self._same(guess.payload, payload)
        except Exception:  # noqa: BLE001 - somebody's own judgement, of anything
            return
        self._note(name, guess.distance, wrong=wrong, would_answer=guess.would_answer)

    def report(self, hit: Hit, correct: bool) -> None:
        """Tell whether an approximate hit was right, as somebody found out later."""
        if not isinstance(hit, Hit):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"hit: expected a Hit, got {type(hit).__name__}")
        if hit.quality == "approximate":
            self._note(hit.namespace, hit.distance, wrong=not correct, would_answer=True)

    def stats(self) -> PayloadStats:
        """What was given, and how good it was."""
        with self._lock:
            counts = dict(self._counts)
            thresholds = {name: control.threshold for name, control in self._names.items()}
        return {
            "exact": counts["exact"],
            "approximate": counts["approximate"],
            "misses": counts["misses"],
            "audited": counts["audited"],
            "wrong": counts["wrong"],
            "false_rate": wilson(counts["wrong"], counts["audited"]),
            "thresholds": thresholds,
            "entries": len(self._entry_index),
            "bytes": self._entry_index.memory,
        }

    def clear(self) -> None:
        """Forget all payloads; what was learned of thresholds stays."""
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
            if name not in self._names:
                self._names[name] = ThresholdControl(self._ceiling, self._max_error, self._audit, self._random)
                if len(self._names) > NAMESPACES:
                    self._names.popitem(last=False)
            self._names.move_to_end(name)
            return self._names[name]

    def _count(self, what: Literal["exact", "approximate", "misses"]) -> None:
        with self._lock:
            self._counts[what] += 1
