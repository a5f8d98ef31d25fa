"""tiercel: the retrieval engine that a Python service embeds.

>>> import numpy as np, tiercel
>>> index = tiercel.Index(dim=3)
>>> index.add(np.eye(3)).tolist()
[0, 1, 2]
>>> index.search([0.9, 0.1, 0.0], k=2).ids.tolist()
[0, 1]
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tiercel._core import Index, Matches, __version__, build_profile
from tiercel.errors import (
    AlreadyOpenError,
    ClosedError,
    ConflictError,
    CorruptionError,
    DeadlineExceededError,
    DimensionMismatchError,
    DiskFullError,
    ForkedProcessError,
    InvalidInputError,
    MissingDependencyError,
    MissingFileError,
    ReadOnlyFileSystemError,
    RecursiveLoadError,
    StorageFailedError,
    TiercelError,
)

if TYPE_CHECKING:
    # Written `x as x`, not in __all__: a star import must not bring in modules with these names.
    from tiercel import cache as cache
    from tiercel import datasets, embed, rerank
    from tiercel import filters as filters
    from tiercel import plain as plain
    from tiercel import schema as schema
    from tiercel.cache import Cache
    from tiercel.collection import Collection
    from tiercel.embedding_cache import EmbeddingCache
    from tiercel.filters import F, Filter
    from tiercel.found import Found, Match
    from tiercel.neighbours import Neighbour, RangeMatches
    from tiercel.opening import open as open  # noqa: A004 - not in __all__, because a star import must not hide the builtin
    from tiercel.policy.hardware import hardware
    from tiercel.results import SearchHit, SearchResult
    from tiercel.scan import AsyncScan, Scan
    from tiercel.search import Expand
    from tiercel.semantic import QueryCache, SemanticCache

__all__ = [
    "AlreadyOpenError",
    "AsyncScan",
    "Cache",
    "ClosedError",
    "Collection",
    "ConflictError",
    "CorruptionError",
    "DeadlineExceededError",
    "DimensionMismatchError",
    "DiskFullError",
    "EmbeddingCache",
    "Expand",
    "F",
    "Filter",
    "ForkedProcessError",
    "Found",
    "Index",
    "InvalidInputError",
    "Match",
    "Matches",
    "MissingDependencyError",
    "MissingFileError",
    "Neighbour",
    "QueryCache",
    "RangeMatches",
    "ReadOnlyFileSystemError",
    "RecursiveLoadError",
    "Scan",
    "SearchHit",
    "SearchResult",
    "SemanticCache",
    "StorageFailedError",
    "TiercelError",
    "__version__",
    "datasets",
    "embed",
    "hardware",
    "rerank",
]

_LATER = {
    "AsyncScan": "scan",
    "Cache": "cache",
    "Collection": "collection",
    "EmbeddingCache": "embedding_cache",
    "Expand": "search",
    "F": "filters",
    "Filter": "filters",
    "Found": "found",
    "Match": "found",
    "Neighbour": "neighbours",
    "QueryCache": "semantic",
    "RangeMatches": "neighbours",
    "Scan": "scan",
    "SearchHit": "results",
    "SearchResult": "results",
    "SemanticCache": "semantic",
    "hardware": "policy.hardware",
    "open": "opening",
}

_MODULES = {"cache", "datasets", "embed", "filters", "plain", "rerank", "schema"}

# It has the methods of a sequence.
Sequence.register(Matches)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

if build_profile == "debug":
    import warnings

    warnings.warn(
        "tiercel was built for tests, with checks and less optimization: slower than a release build",
        RuntimeWarning,
        stacklevel=2,
    )


def __getattr__(name: str) -> object:
    # Names that few programs need are imported on first use, so that `import tiercel` stays cheap.
    from importlib import import_module

    if name in _LATER:
        value: object = getattr(import_module(f"tiercel.{_LATER[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"tiercel.{name}")
    else:
        raise AttributeError(f"module 'tiercel' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LATER, *_MODULES})
