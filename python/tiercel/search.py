"""The options of a search, checked and passed to the core."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypedDict, TypeVar, Unpack, cast, final, get_args

import numpy as np

from tiercel.checks import (
    SEARCH_INCLUDES,
    Metadata,
    choice,
    included,
    items,
    number,
    refuse_unknown,
    shown,
    unicode_text,
    whole,
)
from tiercel.errors import InvalidInputError
from tiercel.filters import Filter, as_json
from tiercel.found import Include
from tiercel.rerank import Reranker

__all__ = [
    "DEFAULTS",
    "Expand",
    "Fusion",
    "SearchOptions",
    "check_alpha",
    "names_options",
    "options",
    "refuse_unknown_options",
    "vector_and_text",
    "vectors_and_texts",
]

Fusion: TypeAlias = Literal["rrf", "weighted"]
_Method = TypeVar("_Method", bound=Callable[..., Any])

RRF_K: Final = 5.0
"""The default of `rrf_k`."""
ALPHA: Final = 0.5
"""The default of `alpha` in weighted fusion."""


@final
@dataclass(frozen=True, slots=True)
class Expand:
    """Add records that the found ones lead to.

    A record reached from a found one scores `decay ** hops * score`, where `hops` is the fewest
    steps between them; a negative score is divided by `decay ** hops` instead. The best of these
    scores counts. A found record keeps its own. Every record on the way must satisfy the filter and
    the constraints of the text. A search expands at most 1,000 records, best first, looks up at
    most 100,000 ids, and reaches at most 10,000 records.

    Parameters
    ----------
    field
        Follow the ids in this metadata field, a string or a list of strings, by its dotted name.
        Unknown ids lead nowhere.
    neighbours
        Instead, follow this many of the nearest vectors, 1 to 256.
    hops
        Steps, 1 to 16.
    decay
        Factor on the score per step, above 0 and at most 1.

    Examples
    --------
    >>> import tempfile, tiercel
    >>> collection = tiercel.open(tempfile.mkdtemp())
    >>> pages = [{"links": ["b"]}, {"links": "a"}]
    >>> collection.upsert(["a", "b"], texts=["eels", "more on that"], metadata=pages)
    2
    >>> collection.search(text="eels", expand=tiercel.Expand(field="links")).ids
    ['a', 'b']
    >>> collection.close()
    """

    field: str | None = None
    neighbours: int | None = None
    hops: int = 1
    decay: float = 0.5

    def __post_init__(self) -> None:
        if (self.field is None) == (self.neighbours is None):
            got = "neither" if self.field is None else "both"
            raise InvalidInputError(f"Expand: expected field or neighbours, got {got}")
        if self.field is not None and not unicode_text(self.field, "field"):
            raise InvalidInputError("field: expected the name of a field, got an empty str")
        if self.neighbours is not None:
            whole(self.neighbours, "neighbours", 1, 256)
        whole(self.hops, "hops", 1, 16)
        if number(self.decay, "decay", 0.0, 1.0) < 2**-100:
            raise InvalidInputError(f"decay: expected a number above 0 and at most 1, got {self.decay!r}")


class SearchOptions(TypedDict, total=False):
    """The options of `Collection.search` and `search_many`. Their defaults are in `DEFAULTS`."""

    syntax: Literal["plain", "operators"]
    filter: Filter | Metadata | None
    k: int
    recall: float | None
    fusion: Fusion | None
    rrf_k: float | None
    alpha: float | None
    expand: Expand | None
    rerank: Reranker | None
    rerank_depth: int | None
    mmr: float | None
    include: Iterable[Include | Literal["highlights"]]
    explain: bool


DEFAULTS: Final[SearchOptions] = {
    "syntax": "plain",
    "filter": None,
    "k": 10,
    "recall": None,
    "fusion": None,
    "rrf_k": None,
    "alpha": None,
    "expand": None,
    "rerank": None,
    "rerank_depth": None,
    "mmr": None,
    "include": ("text", "metadata"),
    "explain": False,
}

_ELSEWHERE: Final = {
    **dict.fromkeys(("limit", "top_k", "topk", "n", "n_results", "num_results", "size"), "k"),
    **dict.fromkeys(("where", "filters"), "filter"),
    **dict.fromkeys(("embedding", "query_vector"), "vector"),
    **dict.fromkeys(("query", "q", "query_text"), "text"),
}
"""Our name of each search argument by its name in other libraries."""


def refuse_unknown_options(call: str, given: Mapping[str, object], *first: str) -> None:
    """Refuse an unknown option and suggest the one that was meant.

    `first` are the other arguments of the call.
    """
    if given.keys() <= DEFAULTS.keys():
        return
    unknown = {name: value for name, value in given.items() if name not in DEFAULTS}
    many = {"vector": "vectors", "text": "texts"} if "texts" in first else {}
    elsewhere = {name: many.get(ours, ours) for name, ours in _ELSEWHERE.items()} | many
    refuse_unknown(call, unknown, (*first, *DEFAULTS), elsewhere)


def vector_and_text(vector: Any, text: str | None) -> tuple[Any, str | None]:
    """Sort out the query: a string in place of the vector is the text."""
    if _is_number(text):
        kind = type(cast("object", text)).__name__
        raise InvalidInputError(f"text: expected a str, got {kind}; pass the number of results as k={text}")
    _refuse_filter(text, "text: expected a str")
    if _begins_with_text(vector):
        raise InvalidInputError(
            "vector: expected an array or a text, got texts; search_many takes many, or pass the text by itself"
        )
    _refuse_filter(vector, "vector: expected an array or a text")
    if not isinstance(vector, str):
        return vector, text
    if text is not None:
        raise InvalidInputError("vector: expected an array beside text, got a str; a search has one text")
    return None, vector


def _is_number(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _refuse_filter(value: object, expected: str) -> None:
    """Refuse a filter in the place of a query, and say where it goes."""
    if isinstance(value, Filter | Mapping):
        kind = type(cast("object", value)).__name__
        raise InvalidInputError(f"{expected}, got {kind}; pass a filter as filter=")


def _begins_with_text(values: object) -> bool:
    """Whether this looks like a list of texts, by its first value."""
    listed = cast("Sequence[object]", values) if isinstance(values, list | tuple) else ()
    return len(listed) > 0 and isinstance(listed[0], str)


def check_alpha(alpha: float | None, vectors: object, texts: object) -> None:
    """Refuse a search by one ranking alone without the query for that ranking."""
    if (alpha == 0 and texts is None) or (alpha == 1 and vectors is None):
        wanted, got = ("text", "vector") if alpha == 0 else ("vector", "text")
        raise InvalidInputError(
            f"alpha: expected a {wanted} beside {alpha!r}, which is the search by {wanted} alone, got only a {got}"
        )


def vectors_and_texts(vectors: Any, texts: Iterable[str] | None) -> tuple[Any, Iterable[str] | None]:
    """Sort out the queries: strings in place of the vectors are the texts."""
    _refuse_filter(vectors, "vectors: expected an array or a list of texts")
    _refuse_filter(texts, "texts: expected a list")
    if isinstance(vectors, str):
        raise InvalidInputError("vectors: expected an array or a list of texts, got a str; search takes one text")
    # An iterable without a length may allow only one pass.
    if not isinstance(vectors, Sized) or not all_texts(vectors):
        return vectors, texts
    if texts is not None:
        raise InvalidInputError("vectors: expected an array beside texts, got texts")
    return None, cast("Iterable[str]", vectors)


def all_texts(values: Any) -> bool:
    """Whether there are values and all are strings."""
    # Skip the conversion of an array of vectors to a list.
    listed = None if getattr(values, "ndim", 1) > 1 else items(values)
    return bool(listed) and all(isinstance(value, str) for value in listed)


def options(**chosen: Unpack[SearchOptions]) -> dict[str, Any]:
    """Check the options of a search, all but `k` and `recall`, and convert them for the core."""
    if not chosen.keys() <= _USUAL:
        return _converted({**DEFAULTS, **chosen})
    # Most searches choose these alone, and take little longer than the conversion of all.
    converted = {**_CONVERTED_DEFAULTS, **chosen}
    if (condition := chosen.get("filter")) is not None:
        converted["filter"] = as_json(condition)
    if "include" in chosen:
        converted["include"] = included(chosen["include"], SEARCH_INCLUDES)
    return converted


def _converted(all_options: dict[str, Any]) -> dict[str, Any]:
    syntax, expand, mmr = (all_options.pop(name) for name in ("syntax", "expand", "mmr"))
    choice(syntax, "syntax", ("plain", "operators"))
    if expand is not None and not isinstance(expand, Expand):
        raise InvalidInputError(f"expand: expected a tiercel.Expand, got {type(expand).__name__}")
    if not isinstance(all_options["explain"], bool):
        raise InvalidInputError(f"explain: expected a bool, got {type(all_options['explain']).__name__}")
    rrf_k, alpha = _fusion(*(all_options.pop(name) for name in ("fusion", "rrf_k", "alpha")))
    condition = all_options["filter"]
    return all_options | {
        "filter": None if condition is None else as_json(condition),
        "rrf_k": rrf_k,
        "alpha": alpha,
        "include": included(all_options["include"], SEARCH_INCLUDES),
        "expand": None if expand is None else (expand.field, expand.neighbours or 0, expand.hops, expand.decay),
        "mmr": None if mmr is None else number(mmr, "mmr", 0.0, 1.0),
        "rerank_depth": _rerank_depth(all_options.pop("rerank"), all_options["rerank_depth"]),
        "has_operators": syntax == "operators",
    }


def _fusion(fusion: object, rrf_k: object, alpha: object) -> tuple[float, float | None]:
    """Return the constant of rank fusion, and the weight of the vector score or `None`."""
    if fusion is not None:
        choice(fusion, "fusion", get_args(Fusion))
    if fusion == "rrf" and alpha is not None:
        raise InvalidInputError(
            f"alpha: expected fusion='weighted' beside it, got fusion='rrf' and alpha={shown(alpha)}"
        )
    if fusion == "weighted" or alpha is not None:
        if rrf_k is not None:
            raise InvalidInputError(
                f"rrf_k: expected fusion='rrf' beside it, got weighted fusion and rrf_k={shown(rrf_k)}"
            )
        return RRF_K, ALPHA if alpha is None else number(alpha, "alpha", 0.0, 1.0)
    return RRF_K if rrf_k is None else number(rrf_k, "rrf_k", 0.0, math.inf), None


def _rerank_depth(rerank: object, depth: object) -> int | None:
    """Return how many candidates the reranker sees; `None` lets the core decide."""
    if rerank is not None and not callable(rerank):
        hint = (
            "; tiercel.open(path, rerank=...) chooses what vectors are compared with" if isinstance(rerank, str) else ""
        )
        expected = "rerank: expected a callable (query, texts) -> scores"
        raise InvalidInputError(f"{expected}, got {type(rerank).__name__}{hint}")
    if depth is None:
        return None
    if rerank is None:
        raise InvalidInputError(f"rerank_depth: expected rerank beside it, got {shown(depth)} alone")
    return whole(depth, "rerank_depth", 1, 100_000)


_USUAL: Final = frozenset(("filter", "include", "k", "recall"))
_CONVERTED_DEFAULTS: Final = _converted(dict(DEFAULTS))


def names_options(method: _Method) -> _Method:
    """Show each search option with its default, not `**options`, in `help` and completions."""
    signature = inspect.signature(method)
    kept = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    kinds = SearchOptions.__annotations__
    named = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kinds[name])
        for name, default in DEFAULTS.items()
    ]
    cast("Any", method).__signature__ = signature.replace(parameters=[*kept, *named])
    return method
