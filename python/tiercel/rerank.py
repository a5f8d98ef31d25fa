"""Rerankers: models that read the query and each text together, and improve the order of the
results.

A reranker is any callable `(query, texts) -> scores` that returns one number per text, larger for
better. Pass it to `Collection.search` as `rerank`.

>>> import tempfile, tiercel
>>> collection = tiercel.open(tempfile.mkdtemp())
>>> collection.upsert(["long", "short"], texts=["an eel, a long fish", "an eel"])
2
>>> collection.search(text="eel", rerank=lambda query, texts: [-len(text) for text in texts]).ids
['short', 'long']
>>> collection.close()

A model's package is imported only when its reranker is created.
"""

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any, Protocol, cast, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.arrays import as_array
from tiercel.dependencies import needed
from tiercel.errors import InvalidInputError

__all__ = ["FastEmbedReranker", "Reranker", "SentenceTransformersReranker", "scored_by"]


class Reranker(Protocol):
    """Scores texts for a query.

    It runs on the thread that called the collection, and the collection holds no lock meanwhile.
    """

    def __call__(self, query: str, texts: Sequence[str], /) -> ArrayLike:
        """Return a finite score per text, in order; shape `(len(texts),)`, larger for better."""
        ...


@final
class SentenceTransformersReranker:
    """A cross-encoder of the package sentence-transformers.

    Parameters
    ----------
    model
        Name or path of a model, or a `CrossEncoder` that returns one score per pair.
    """

    def __init__(self, model: str | Any) -> None:
        # Each call changes the tokenizer, so threads take turns.
        self._lock = Lock()
        if isinstance(model, str):
            model = needed("sentence_transformers", "sentence-transformers").CrossEncoder(model)
        self._model: Any = model

    def __call__(self, query: str, texts: Sequence[str], /) -> ArrayLike:
        """Return a score for each text, in order."""
        with self._lock:
            return self._model.predict([(query, text) for text in texts], show_progress_bar=False)


@final
class FastEmbedReranker:
    """A cross-encoder of the package fastembed.

    Parameters
    ----------
    model
        Name of a model, or a `TextCrossEncoder`.
    """

    def __init__(self, model: str | Any) -> None:
        if isinstance(model, str):
            model = needed("fastembed.rerank.cross_encoder", "fastembed").TextCrossEncoder(model_name=model)
        self._model: Any = model

    def __call__(self, query: str, texts: Sequence[str], /) -> ArrayLike:
        """Return a score for each text, in order."""
        return list(self._model.rerank(query, list(texts)))


def scored_by(reranker: Reranker, queries: Sequence[str] | None) -> Callable[[int, list[str]], list[float]]:
    """Wrap `reranker` for the core: take the number of the query, and check the scores."""
    if queries is None:
        raise InvalidInputError("rerank: expected a text to search for, got a vector alone")

    def scored(at: int, texts: list[str]) -> list[float]:
        scores = _numbers(reranker(queries[at], texts), len(texts))
        if scores.shape != (len(texts),):
            raise InvalidInputError(f"rerank: expected {len(texts)} scores, one per text, got shape {scores.shape}")
        if not np.isfinite(scores).all():
            wrong = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise InvalidInputError(f"rerank: expected finite scores, got {scores[wrong]} for text {wrong}")
        return scores.tolist()

    return scored


def _numbers(returned: Any, count: int) -> NDArray[np.float32]:
    """Convert what a reranker returned, an array or any iterable, to an array."""
    values: Any = returned if hasattr(returned, "__array__") or not isinstance(returned, Iterable) else [*returned]
    array = as_array(values, "rerank")
    if array.dtype.kind not in "fiu" and array.size:
        got = f"values of type {array.dtype}" if array.ndim else type(cast("object", returned)).__name__
        raise InvalidInputError(f"rerank: expected {count} numbers, got {got}")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)
