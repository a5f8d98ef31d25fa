"""Embedders: models that turn texts into vectors.

A collection opened with an embedder embeds texts that come without a vector, and searches for a
text by words and by vector.

>>> import tempfile, tiercel
>>> from tiercel.embed import HashingEmbedder
>>> collection = tiercel.open(tempfile.mkdtemp(), embedder=HashingEmbedder())
>>> collection.upsert(["cat", "hen"], texts=["a cat sleeps", "a hen lays eggs"])
2
>>> collection.search(text="sleeping")[0].id
'cat'
>>> collection.close()

A model's package is imported only when its embedder is created.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final, Protocol, cast, final

import numpy as np
from numpy.typing import NDArray

from tiercel._core import HashingEmbedder
from tiercel.arrays import as_array
from tiercel.checks import renumbered, shown, whole
from tiercel.dependencies import needed
from tiercel.errors import InvalidInputError

__all__ = [
    "Embedder",
    "FastEmbedEmbedder",
    "HashingEmbedder",
    "LangChainEmbedder",
    "LlamaIndexEmbedder",
    "Model2VecEmbedder",
    "SentenceTransformersEmbedder",
    "from_callable",
]

BATCH: Final = 256
"""Documents per batch: this bounds memory, and Ctrl-C is noticed between batches."""
MAX_DIM: Final = 32768
FOR_TEXT: Final = " for text "
"""Precedes the number of a text in an error about its vector."""


class Embedder(Protocol):
    """Turns texts into vectors. It runs on the thread that called the collection."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the model and everything else that changes its vectors.

        A collection refuses an embedder with another one.
        """
        ...

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts to be found; returns dtype float32, shape `(len(texts), dim)`."""
        ...

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a text to search for; returns dtype float32, shape `(dim,)`."""
        ...


class _Adapter(ABC):
    """Passes texts to a model in batches and checks the vectors it returns."""

    def __init__(self, dim: int, fingerprint: str) -> None:
        _check(dim, fingerprint)
        self._dim = dim
        self._fingerprint = fingerprint

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """Identifies the model."""
        return self._fingerprint

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts to be found; returns dtype float32, shape `(len(texts), dim)`."""
        vectors = np.empty((len(texts), self._dim), np.float32)
        for start in range(0, len(texts), BATCH):
            batch = list(texts[start : start + BATCH])
            made = _checked(self._documents(batch), (len(batch), self._dim), type(self).__name__, start)
            vectors[start : start + BATCH] = made
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a text to search for; returns dtype float32, shape `(dim,)`."""
        return self._checked(self._query(text), (self._dim,))

    def _checked(self, vectors: object, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return _checked(vectors, shape, type(self).__name__)

    @abstractmethod
    def _documents(self, texts: list[str]) -> object: ...

    @abstractmethod
    def _query(self, text: str) -> object: ...


@final
class CallableEmbedder(_Adapter):
    """The embedder that `from_callable` creates."""

    def __init__(self, function: Callable[[list[str]], object], dim: int, fingerprint: str) -> None:
        super().__init__(dim, fingerprint)
        if not callable(function):
            raise InvalidInputError(f"function: expected a callable, got {type(function).__name__}")
        self._function = function

    def _documents(self, texts: list[str]) -> object:
        return self._function(texts)

    def _query(self, text: str) -> object:
        return self._checked(self._function([text]), (1, self.dim))[0]


def from_callable(function: Callable[[list[str]], object], dim: int, fingerprint: str) -> CallableEmbedder:
    """Create an embedder from a function that maps a list of texts to their vectors, for documents
    and queries alike.

    Parameters
    ----------
    function
        Takes at most 256 texts at a time; returns an array of shape `(len(texts), dim)`, or lists
        of numbers.
    dim
        Length of every vector.
    fingerprint
        Identifies the model and everything else that changes its vectors.

    Examples
    --------
    >>> from tiercel.embed import from_callable
    >>> embedder = from_callable(lambda texts: [[len(text), 1] for text in texts], dim=2, fingerprint="length")
    >>> embedder.embed_documents(["a", "abc"]).tolist()
    [[1.0, 1.0], [3.0, 1.0]]
    """
    return CallableEmbedder(function, dim, fingerprint)


class _Loaded(_Adapter):
    """A model in this process, loaded by name. The length of its vectors is measured."""

    def __init__(self, model: Any, fingerprint: str | None, package: str, load: Callable[[str], Any]) -> None:
        if fingerprint is None:
            if not isinstance(model, str):
                raise InvalidInputError("fingerprint: expected a str for a model that is not a name, got None")
            fingerprint = f"{package}/{model}"
        self._model: Any = load(model) if isinstance(model, str) else model
        super().__init__(np.asarray(self._query("length")).size, fingerprint)


@final
class SentenceTransformersEmbedder(_Loaded):
    """A model of the package sentence-transformers.

    Parameters
    ----------
    model
        Name or path of a model, or a `SentenceTransformer`. The model's own prompts for queries and
        documents apply.
    fingerprint
        Identifies the model; by default, its name.
    """

    def __init__(self, model: str | Any, fingerprint: str | None = None) -> None:
        # Each call changes the tokenizer, so threads take turns.
        self._lock = Lock()
        super().__init__(model, fingerprint, "sentence-transformers", self._load)

    @staticmethod
    def _load(name: str) -> Any:
        return needed("sentence_transformers", "sentence-transformers").SentenceTransformer(name)

    def _documents(self, texts: list[str]) -> object:
        return self._encode("encode_document", texts)

    def _query(self, text: str) -> object:
        return self._encode("encode_query", text)

    def _encode(self, method: str, texts: list[str] | str) -> object:
        # Before version 5 there was one method for both.
        encode = getattr(self._model, method, self._model.encode)
        with self._lock:
            return encode(texts, show_progress_bar=False, convert_to_numpy=True)


@final
class FastEmbedEmbedder(_Loaded):
    """A model of the package fastembed.

    Parameters
    ----------
    model
        Name of a model, or a `TextEmbedding`.
    fingerprint
        Identifies the model; by default, its name.
    """

    def __init__(self, model: str | Any, fingerprint: str | None = None) -> None:
        super().__init__(model, fingerprint, "fastembed", self._load)

    @staticmethod
    def _load(name: str) -> Any:
        return needed("fastembed", "fastembed").TextEmbedding(model_name=name)

    def _documents(self, texts: list[str]) -> object:
        return list(self._model.passage_embed(texts))

    def _query(self, text: str) -> object:
        return next(iter(self._model.query_embed(text)))


@final
class Model2VecEmbedder(_Loaded):
    """A static model of the package model2vec: the mean of token vectors, fast without a GPU.

    Parameters
    ----------
    model
        Name or path of a model, or a `StaticModel`.
    fingerprint
        Identifies the model; by default, its name.
    """

    def __init__(self, model: str | Any, fingerprint: str | None = None) -> None:
        super().__init__(model, fingerprint, "model2vec", self._load)

    @staticmethod
    def _load(name: str) -> Any:
        return needed("model2vec", "model2vec").StaticModel.from_pretrained(name)

    def _documents(self, texts: list[str]) -> object:
        return self._model.encode(texts)

    def _query(self, text: str) -> object:
        return self._model.encode([text])[0]


@final
class LangChainEmbedder(_Adapter):
    """An `Embeddings` object of LangChain.

    Parameters
    ----------
    embeddings
        Has the methods `embed_documents` and `embed_query`.
    dim, fingerprint
        As in `from_callable`: the object has neither.
    """

    def __init__(self, embeddings: Any, dim: int, fingerprint: str) -> None:
        super().__init__(dim, fingerprint)
        self._embeddings = _with_methods(embeddings, "embed_documents", "embed_query")

    def _documents(self, texts: list[str]) -> object:
        return self._embeddings.embed_documents(texts)

    def _query(self, text: str) -> object:
        return self._embeddings.embed_query(text)


@final
class LlamaIndexEmbedder(_Adapter):
    """A `BaseEmbedding` object of LlamaIndex.

    Parameters
    ----------
    embeddings
        Has the methods `get_text_embedding_batch` and `get_query_embedding`.
    dim, fingerprint
        As in `from_callable`: the object has neither.
    """

    def __init__(self, embeddings: Any, dim: int, fingerprint: str) -> None:
        super().__init__(dim, fingerprint)
        self._embeddings = _with_methods(embeddings, "get_text_embedding_batch", "get_query_embedding")

    def _documents(self, texts: list[str]) -> object:
        return self._embeddings.get_text_embedding_batch(texts)

    def _query(self, text: str) -> object:
        return self._embeddings.get_query_embedding(text)


def check_embedder(embedder: Any, dim: object) -> int:
    """Check an embedder, and that its vectors have the length `dim`, if any; return the length."""
    _with_methods(embedder, "embed_documents", "embed_query", argument="embedder")
    for name in ("dim", "fingerprint"):
        if not hasattr(embedder, name):
            raise InvalidInputError(f"embedder: expected an object with {name}, got {type(embedder).__name__}")
    _check(embedder.dim, embedder.fingerprint)
    if dim is not None and whole(dim, "dim", 1, MAX_DIM) != embedder.dim:
        raise InvalidInputError(f"dim: expected {embedder.dim}, the dim of the embedder, got {dim!r}")
    return embedder.dim


def embed_missing(vectors: Any, texts: Sequence[str | None], embedder: Embedder) -> Any:
    """Embed the texts that came without a vector and are not blank; return the vectors of all
    records.
    """
    rows = _with_gaps(vectors, len(texts)) or []
    pairs = zip(rows, texts, strict=False)
    wanted = {at: text for at, (row, text) in enumerate(pairs) if row is None and text and not is_blank(text)}
    if not wanted:
        return vectors
    try:
        made = document_vectors(embedder, list(wanted.values()))
    except InvalidInputError as error:
        if (named := renumbered(error, FOR_TEXT, list(wanted))) is not None:
            raise named from error
        raise
    if len(wanted) == len(rows):
        return made
    for at, vector in zip(wanted, made, strict=True):
        rows[at] = vector
    return rows


def is_blank(text: str) -> bool:
    """Whether a text has nothing to embed. A collection never passes one to its embedder, and stores
    no vector for it.
    """
    return not text.strip()


def _with_gaps(vectors: Any, count: int) -> list[Any] | None:
    """List one vector per record, `None` where it is missing.

    Return `None` for an array, which has no gaps, and for a wrong length.
    """
    if vectors is None:
        return [None] * count
    if not isinstance(vectors, list | tuple):
        return None
    rows = list(cast("Sequence[Any]", vectors))
    return rows if len(rows) == count else None


def document_vectors(embedder: Embedder, texts: list[str]) -> NDArray[np.float32]:
    """Embed documents and check the vectors; returns dtype float32, shape `(len(texts), dim)`."""
    return _checked(embedder.embed_documents(texts), (len(texts), embedder.dim), type(embedder).__name__)


def query_vector(embedder: Embedder, text: str) -> NDArray[np.float32]:
    """Embed a query and check the vector, because the embedder may be anyone's code."""
    return _checked(embedder.embed_query(text), (embedder.dim,), type(embedder).__name__)


def query_vectors(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Embed queries; returns dtype float32, shape `(len(texts), dim)`."""
    vectors = np.empty((len(texts), embedder.dim), np.float32)
    for at, text in enumerate(texts):
        vectors[at] = query_vector(embedder, text)
    return vectors


def _check(dim: object, fingerprint: object) -> None:
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= MAX_DIM:
        raise InvalidInputError(f"dim: expected an int from 1 to {MAX_DIM}, got {shown(dim)}")
    if not isinstance(fingerprint, str) or not fingerprint:
        raise InvalidInputError(f"fingerprint: expected a str that is not empty, got {shown(fingerprint)}")


def _checked(vectors: object, shape: tuple[int, ...], source: str, start: int = 0) -> NDArray[np.float32]:
    """Check what a model returned for the texts from `start` on; convert it to float32."""
    given = as_array(vectors, source)
    if given.dtype.kind not in "fiu" and given.size:
        raise InvalidInputError(f"{source}: expected numbers of shape {shape}, got values of type {given.dtype}")
    with np.errstate(over="ignore"):
        array = given.astype(np.float32, copy=False)
    if array.shape != shape:
        raise InvalidInputError(f"{source}: expected an array of shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        row = start + int(np.argwhere(~np.isfinite(np.atleast_2d(array)))[0][0])
        raise InvalidInputError(f"{source}: expected finite values, got NaN or infinity{FOR_TEXT}{row}")
    return array


def _with_methods(value: Any, *names: str, argument: str = "embeddings") -> Any:
    for name in names:
        if not callable(getattr(value, name, None)):
            raise InvalidInputError(f"{argument}: expected an object with {name}, got {type(value).__name__}")
    return value
