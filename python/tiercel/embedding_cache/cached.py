"""An embedder with a cache."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import compress, islice
from typing import Final, NoReturn, Protocol, TypeAlias, TypedDict, cast, final

import numpy as np
from numpy.typing import NDArray

from tiercel._core import Finally
from tiercel.async_methods import async_method
from tiercel.checks import query_texts, renumbered, unicode_text
from tiercel.embed import FOR_TEXT, Embedder, check_embedder, document_vectors, query_vector
from tiercel.embedding_cache.codes import SEAL, VectorCodec, VectorDtype, largest_error, opened, sealed
from tiercel.embedding_cache.single_flight import EmbeddingFlight, EmbeddingFlights, Failure
from tiercel.errors import InvalidInputError
from tiercel.forks import fork_lock
from tiercel.handles import Handle

__all__ = ["EmbeddingCache", "EmbeddingStats", "VectorTier"]

_Embed: TypeAlias = Callable[[list[str]], NDArray[np.float32]]
_Hash: TypeAlias = "hashlib.blake2b"


class VectorTier(Protocol):
    """A tier for vectors: `tiercel.cache.Memory`, `tiercel.cache.Store` or any object with these methods."""

    def get_many(self, keys: Iterable[bytes], /) -> Sequence[bytes | None]:
        """Return the values of keys, in their order, with None for absent ones."""
        ...

    def put(self, key: bytes, value: bytes, /) -> object:
        """Store a value under a key. Return False if it was not stored."""
        ...


class EmbeddingStats(TypedDict):
    """Counters of an embedding cache since it was created."""

    texts: int
    """Requested texts."""
    hits: int
    """Texts found in the tier."""
    waited: int
    """Texts that another caller was already embedding. Equal texts of a batch count once."""
    embedded: int
    """Texts passed to the embedder. Equal texts of a batch count once."""
    calls: int
    """Calls to the embedder."""
    seconds: float
    """Seconds spent in these calls."""
    bytes: int
    """Bytes of vectors that the tier stored."""
    failures: int
    """Failed reads, values that the tier did not store, and returned values that are no vectors.

    Each was a miss.
    """
    max_error: float
    """The largest quantization error of an embedded text, as a share of the length of its vector.

    It is 0 with "f32".
    """


@final
class EmbeddingCache(Handle):
    """A thread-safe embedder that passes only new texts to another one, and caches the vectors.

    The texts of a batch that are not in the tier go to the embedder in one call, equal ones once.
    Threads that request the same new text at the same time share one call (single flight). A text
    that the tier fails to return is embedded, and a vector that it fails to store is still
    returned.

    With `dtype="sq8"` vectors are stored, and returned, as 8-bit codes with one scale per vector:
    its largest absolute value / 127. The error of a value is at most half of that, and
    `stats()["max_error"]` is the largest error of a whole vector. The first call already returns
    decoded codes, so no result depends on what was cached. `dtype="f32"` stores and returns the
    vectors of the embedder bit for bit, in four times the space.

    Parameters
    ----------
    embedder : tiercel.embed.Embedder
        Makes the vectors. Queries and documents are cached separately.
    tier : VectorTier
        Stores the vectors: `tiercel.cache.Memory`, `tiercel.cache.Store`, or an object with
        `get_many(keys)` and `put(key, value)`. It may also hold other values, and vectors of other
        models, because keys include the fingerprint.
    dtype : {"sq8", "f32"}
        The encoding of the vectors.

    Raises
    ------
    InvalidInputError
        An argument has the wrong type or is out of range.

    Examples
    --------
    >>> import tempfile, tiercel
    >>> from tiercel.cache import Memory
    >>> from tiercel.embed import HashingEmbedder
    >>> embedder = tiercel.EmbeddingCache(HashingEmbedder(dim=8), Memory(1 << 20))
    >>> with tiercel.open(tempfile.mkdtemp(), embedder=embedder) as collection:
    ...     collection.upsert(["cat", "other cat"], texts=["a cat sleeps", "a cat sleeps"])
    2
    >>> embedder.stats()["embedded"], embedder.fingerprint
    (1, 'tiercel-hashing-1/dim=8/seed=0/sq8')
    """

    def __init__(self, embedder: Embedder, tier: VectorTier, *, dtype: VectorDtype = "sq8") -> None:
        self._dim: Final = check_embedder(embedder, None)
        for name in ("get_many", "put"):
            if not callable(getattr(tier, name, None)):
                raise InvalidInputError(f"tier: expected an object with {name}, got {type(tier).__name__}")
        self._codec: Final = VectorCodec(self._dim, dtype)
        self._embedder: Final = embedder
        self._tier: Final = tier
        self._fingerprint: Final = embedder.fingerprint if dtype == "f32" else f"{embedder.fingerprint}/{dtype}"
        self._documents: Final = _model("document", embedder.fingerprint, self._dim, dtype)
        self._queries: Final = _model("query", embedder.fingerprint, self._dim, dtype)
        self._flights: Final = EmbeddingFlights()
        self._lock: Final = fork_lock()
        self._stats: Final = EmbeddingStats(
            texts=0, hits=0, waited=0, embedded=0, calls=0, seconds=0.0, bytes=0, failures=0, max_error=0.0
        )

    @property
    def dim(self) -> int:
        """The length of every vector."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the embedder, with `/sq8` for codes, because they change the vectors.

        A collection accepts only the fingerprint that it was made with.
        """
        return self._fingerprint

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts that a search can find; return float32 of shape `(len(texts), dim)`.

        Raise what the embedder raises, and `InvalidInputError` if `texts` is not a list of `str` or
        if the embedder returns anything but finite vectors of its length, which are not cached.
        """
        return self._vectors(query_texts(texts), self._documents, self._embed_documents)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a text to search with; return float32 of shape `(dim,)`.

        It raises the errors of `embed_documents`.
        """
        return self._vectors([unicode_text(text, "text")], self._queries, self._embed_query)[0]

    aembed_documents = async_method(embed_documents)
    aembed_query = async_method(embed_query)

    def stats(self) -> EmbeddingStats:
        """Return the counters."""
        with self._lock:
            return self._stats.copy()

    def _embed_documents(self, texts: list[str]) -> NDArray[np.float32]:
        return document_vectors(self._embedder, texts)

    def _embed_query(self, texts: list[str]) -> NDArray[np.float32]:
        return query_vector(self._embedder, texts[0])[None]

    def _vectors(self, texts: list[str], model: _Hash, embed: _Embed) -> NDArray[np.float32]:
        keys = [_key(model, text) for text in texts]
        # Equal texts have the same key.
        missing = dict(zip(keys, texts, strict=True))
        completions = self._flights.completions
        values = self._read(list(missing))
        self._count(texts=len(texts), hits=sum(key in values for key in keys))
        failed: dict[bytes, EmbeddingFlight] = {}
        while missing := {key: text for key, text in missing.items() if key not in values}:
            own: dict[bytes, EmbeddingFlight] = {}
            made: dict[bytes, bytes] = {}
            errors: list[Exception] = []
            with Finally(self._flights.end_all, own, made, errors):
                theirs = self._flights.join_all(missing, own, failed)
                if own:
                    try:
                        made.update(self._made({key: missing[key] for key in own}, completions, embed))
                    except Exception as error:  # noqa: BLE001 - it is raised again
                        errors.append(error)
                        _raise(error, own, keys)
            values |= made
            for key, flight in theirs.items():
                outcome = flight.wait()
                if not isinstance(outcome, Failure):
                    values[key] = outcome
                    self._count(waited=1)
                # A second failure is final. A failure of a call that also had other texts, or an
                # interruption, does not count.
                elif outcome.error is None or not outcome.keys <= missing.keys():
                    failed.pop(key, None)
                elif key in failed:
                    _raise(outcome.error, outcome.keys, keys)
                else:
                    failed[key] = flight
        return self._codec.decode([values[key] for key in keys])

    def _made(self, mine: dict[bytes, str], completions: int, embed: _Embed) -> dict[bytes, bytes]:
        """Return the values of the keys that this caller makes."""
        made: dict[bytes, bytes] = {}
        # Another caller may have stored some since they were looked up.
        if self._flights.completions != completions:
            made = self._read(list(mine))
            self._count(waited=len(made))
        new = {key: text for key, text in mine.items() if key not in made}
        if not new:
            return made
        try:
            return made | self._embedded(new, embed)
        except InvalidInputError as error:
            _raise(error, new, list(mine))

    def _embedded(self, new: dict[bytes, str], embed: _Embed) -> dict[bytes, bytes]:
        began = time.perf_counter()
        vectors = embed(list(new.values()))
        seconds = time.perf_counter() - began
        values = self._codec.encode(vectors)
        self._count(embedded=len(new), calls=1, seconds=seconds)
        error = largest_error(vectors, self._codec.decode(values))
        with self._lock:
            self._stats["max_error"] = max(self._stats["max_error"], error)
        made = dict(zip(new, values, strict=True))
        self._keep(made)
        return made

    def _read(self, keys: list[bytes]) -> dict[bytes, bytes]:
        """Read keys from the tier, which may be remote and shared, so anything wrong is a miss."""
        if not keys:
            return {}
        try:
            # A faulty tier may return an endless iterator.
            values: list[object] = list(islice(self._tier.get_many(keys), len(keys) + 1))
        except Exception:  # noqa: BLE001 - tiers may raise anything
            values = []
        if len(values) != len(keys):
            self._count(failures=1)
            return {}
        there = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        whole = {key: opened(key, value, self._codec.size) for key, value in there.items()}
        found = {key: value for key, value in whole.items() if value is not None}
        sound = self._codec.sound(list(found.values()))
        found = dict(compress(found.items(), sound))
        self._count(failures=len(there) - len(found))
        return found

    def _keep(self, made: Mapping[bytes, bytes]) -> None:
        kept = 0
        # Stop at the first error, because each attempt may take a whole timeout.
        with suppress(Exception):
            for key, value in made.items():
                kept += self._tier.put(key, sealed(key, value)) is not False
        self._count(bytes=kept * (SEAL + self._codec.size), failures=len(made) - kept)

    def _count(self, **more: float) -> None:
        counts = cast("dict[str, float]", self._stats)
        with self._lock:
            for name, number in more.items():
                counts[name] += number


def _raise(error: Exception, asked: Iterable[bytes], keys: list[bytes]) -> NoReturn:
    """Raise the error of an embedder that was passed the texts of `asked` to a caller that has all
    of these among its `keys`. A text is named by its place among the caller's.
    """
    first: dict[bytes, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    if (named := renumbered(error, FOR_TEXT, [first[key] for key in asked])) is not None:
        raise named from error
    raise error


def _model(*described: object) -> _Hash:
    """Begin a hash that no text can extend to the hash of another model."""
    name = hashlib.blake2b(repr(described).encode()).digest()
    return hashlib.blake2b(name, digest_size=32, person=b"tiercel vector 2")


def _key(model: _Hash, text: str) -> bytes:
    hashed = model.copy()
    hashed.update(text.encode())
    return hashed.digest()
