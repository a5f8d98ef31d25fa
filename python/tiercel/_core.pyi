"""The compiled core of tiercel. Import from `tiercel`, not from here."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self, SupportsIndex, TypeAlias, TypedDict, TypeVar, final, overload, type_check_only

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Buffer, disjoint_base

from tiercel.cache.tiers import TierStats
from tiercel.neighbours import RangeMatches

__all__ = [
    "CollectionCore",
    "FastPath",
    "FilesCore",
    "Finally",
    "HashingEmbedder",
    "Index",
    "Matches",
    "MemoryCore",
    "PersistentTierCore",
    "ScanCore",
    "Sketch",
    "StoreCore",
    "TierCore",
    "TierLook",
    "__version__",
    "build_profile",
    "pack_envelope",
    "seal",
    "simd_level",
    "simd_levels",
    "unpack_envelope",
    "unseal",
]

_Metric: TypeAlias = Literal["cosine", "dot", "l2"]
_Dtype: TypeAlias = Literal["f32", "f16"]
_Storage: TypeAlias = Literal["auto", "sq4", "sq8", "raw"]
_Quality: TypeAlias = Literal["exact", "certified", "approximate"]
_Progress: TypeAlias = Callable[[int, int], object]
_Key: TypeAlias = str | bytes
# The property of this name hides the type within the class.
_Content: TypeAlias = bytes
_T = TypeVar("_T")

__version__: str

_Envelope: TypeAlias = tuple[float, int, int, int, int, int, int, int, list[str]]
_Row: TypeAlias = tuple[str, str | None, str | None, NDArray[np.float32] | None, int]
_Included: TypeAlias = tuple[bool, bool, bool, bool]
# What was read from the disk, the last batch, the number of rows.
_Moment: TypeAlias = tuple[int, int, int]
_Batch: TypeAlias = tuple[
    list[str], ArrayLike | None, list[bool] | None, list[str | None] | None, list[str | None] | None
]

@final
class CollectionCore:
    """What `tiercel.Collection` calls; use that."""

    def __new__(
        cls,
        path: str,
        dim: int | None,
        metric: str | None,
        languages: tuple[str | None, str | None] | None,
        fingerprint: str | None,
        durability: str,
        threads: int,
        read_only: bool,
        schema: list[tuple[str, str]] | None,
        create: bool,
    ) -> Self: ...
    @property
    def dim(self) -> int | None: ...
    @property
    def metric(self) -> str: ...
    @property
    def language(self) -> str | None: ...
    @property
    def fingerprint(self) -> str | None: ...
    @property
    def schema(self) -> list[tuple[str, str]]: ...
    @property
    def closed(self) -> bool: ...
    def __len__(self) -> int: ...
    def sequence(self) -> int: ...
    def contains(self, id: str) -> bool: ...
    def upsert(self, batch: _Batch, if_sequence: list[int] | None) -> int: ...
    def update(self, batch: _Batch, if_sequence: list[int] | None) -> int: ...
    def set_metadata(self, ids: list[str], metadata: list[str | None], if_sequence: list[int] | None) -> int: ...
    def patch_metadata(
        self, ids: list[str], merge: list[str | None], remove: list[str], if_sequence: list[int] | None
    ) -> int: ...
    def delete(self, ids: list[str], if_sequence: list[int] | None) -> int: ...
    def delete_where(self, filter: str) -> int: ...
    def clear(self) -> int: ...
    def get(self, ids: list[str], include: _Included) -> list[_Row | None]: ...
    def search(
        self,
        vector: ArrayLike | None,
        text: str | None,
        options: dict[str, Any],
        reranker: Callable[[int, list[str]], list[float]] | None,
    ) -> tuple[Any, ...]: ...
    def search_many(
        self,
        vectors: ArrayLike | None,
        texts: list[str] | None,
        options: dict[str, Any],
        reranker: Callable[[int, list[str]], list[float]] | None,
        threads: int,
    ) -> list[tuple[Any, ...]]: ...
    def moment(self) -> _Moment: ...
    def nearest(
        self, vector: ArrayLike, filter: str | None, k: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], tuple[float, float], _Moment]: ...
    def search_among(
        self,
        vector: ArrayLike,
        options: dict[str, Any],
        rows: NDArray[np.uint32],
        since: _Moment,
        limit: int,
        is_filtered: bool,
    ) -> tuple[tuple[Any, ...], _Moment, tuple[float, float]] | None: ...
    def count(self, filter: str | None) -> int: ...
    def scan(
        self,
        filter: str | None,
        order: tuple[str, bool] | None,
        limit: int | None,
        after: str | None,
        include: _Included,
    ) -> ScanCore: ...
    def checkpoint(self) -> None: ...
    def refresh(self) -> bool: ...
    def follow(self, seconds: float) -> None: ...
    def wait_idle(self) -> None: ...
    def compact(self) -> None: ...
    def backup(self, path: str) -> None: ...
    def verify(self) -> list[str]: ...
    def stats(self) -> dict[str, Any]: ...
    def close(self) -> None: ...
    def end(self) -> None: ...

@final
class ScanCore:
    """What `tiercel.Scan` calls; use that."""

    def chunk(self) -> list[_Row]: ...
    def position(self, at: int) -> str | None: ...
    def release(self) -> None: ...

@final
class HashingEmbedder:
    """Embedder without a model: unit vectors of the words of a text and of their parts, hashed. It is lexical: texts are near if
    they share words or parts of words, whatever they mean.

    It needs no download and gives the same vectors on every machine and in every version. Texts without words share one vector.

    Parameters
    ----------
    dim : int
        Length of every vector, 1 to 32768. The longer, the fewer words share a place.
    seed : int
        Chooses the places, 0 to 2**64 - 1.

    Raises
    ------
    InvalidInputError
        A parameter is of the wrong type or out of range.

    Examples
    --------
    >>> from tiercel.embed import HashingEmbedder
    >>> embedder = HashingEmbedder(dim=384)
    >>> dogs, birds = embedder.embed_documents(("a dog barks", "birds sing"))
    >>> query = embedder.embed_query("barking dogs")
    >>> bool(query @ dogs > query @ birds)
    True
    """

    def __new__(cls, dim: int = 384, seed: int = 0) -> Self: ...
    @property
    def dim(self) -> int:
        """Length of every vector."""
    @property
    def fingerprint(self) -> str:
        """Names what makes the vectors; equal for equal `dim` and `seed`."""
    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts; dtype float32, shape `(len(texts), dim)`.

        Raises
        ------
        InvalidInputError
            `texts` is not a sequence of strings that UTF-8 can hold.
        """
    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The vector of a text; dtype float32, shape `(dim,)`.

        Raises
        ------
        InvalidInputError
            `text` is not a string that UTF-8 can hold.
        """
    def __getnewargs__(self) -> tuple[int, int]:
        """Pickle support."""

@final
class Matches(Sequence[Any]):
    """The answer of `Index.search`: a sequence, of `Neighbour` for a 1-D query, nearest first, and of one `Matches` a query for a 2-D one.

    A 1-D query gives arrays of shape `(k,)` and `counts` of shape `()`; a 2-D query of shape `(n, dim)` gives `(n, k)`
    and `(n,)`. `k` is what was asked for, or the number of vectors in the index when that is smaller. Where fewer than `k`
    results exist (a filter allows fewer), the rest of a row is padding: ids with the largest u64, distances with infinity.
    The sequence has no padding. Answers are equal if they have equal results in them; their quality does not count.
    """

    @property
    def ids(self) -> NDArray[np.uint64]:
        """Ids, nearest first; dtype uint64, shape `(k,)` or `(n, k)`."""
    @property
    def distances(self) -> NDArray[np.float32]:
        """Distances, smallest first; dtype float32, same shape as `ids`.

        `l2` is the squared Euclidean distance, `cosine` is 1 - cos, `dot` the negated inner product. They are computed
        from the stored vectors in full precision, never from codes.
        """
    @property
    def counts(self) -> NDArray[np.uint64]:
        """How many results of each row are real, not padding; dtype uint64, shape `()` or `(n,)`."""
    @property
    def quality(self) -> _Quality:
        """`"exact"` when an exact search found the whole answer, `"certified"` when a `SemanticCache` has proven that one would find
        the same, `"approximate"` otherwise.
        """
    def to_list(self) -> list[Any]:
        """What `json.dumps` accepts: a dict with `id` and `distance` a result, in a list for a 1-D query, in a list a query for a 2-D one. A
        distance that is infinite is None.
        """
    def to_dict(self) -> dict[str, Any]:
        """The same under "matches", with the quality."""
    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Where an element is first met, from `start` to before `stop`; `ValueError` if it is not there."""
    def count(self, value: Any) -> int:
        """How often an element is there."""
    def _with_quality(self, quality: _Quality) -> Matches:
        """The same answer under another quality, with arrays of its own."""
    def _repr_html_(self) -> str:
        """A table for Jupyter."""
    def __copy__(self) -> Matches:
        """The same answer, with arrays of its own."""
    def __deepcopy__(self, memo: object) -> Matches:
        """The same answer, with arrays of its own."""
    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle support."""
    @classmethod
    def _restored(
        cls, ids: NDArray[np.uint64], distances: NDArray[np.float32], counts: NDArray[np.uint64], quality: str
    ) -> Matches:
        """What was pickled; a 0-D array of counts is the answer to one query."""
    def __len__(self) -> int:
        """Number of results for a 1-D query, number of queries for a 2-D one."""
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]:
        """Goes through the elements of the sequence."""
    def __reversed__(self) -> Iterator[Any]:
        """Goes through them from the last to the first."""
    def __eq__(self, other: object, /) -> bool:
        """Whether this is an answer with equal results."""
    __hash__: None  # type: ignore[assignment]

@type_check_only
class Stats(TypedDict):
    """What `Index.stats` returns; sizes in bytes, times in seconds."""

    len: int
    """Vectors that can be found."""
    tombstones: int
    """Slots of removed vectors, still walked through and not yet reused."""
    linked: int
    """Slots in the graph; the rest is scanned."""
    storage: Literal["none", "sq4", "sq8", "raw"]
    """The codec in use: `"none"` before there are enough vectors to train one, `"raw"` when no codec ranks well enough."""
    codec_recall: float | None
    """Share of the true ten nearest found among the 20 nearest by code on sampled rows, or None without a codec."""
    graph_recall: float | None
    """Share of the true ten nearest that walks with 200 candidates found for sampled rows, or None without a graph.

    Below 0.95 searches scan the codes instead of walking.
    """
    bytes: dict[str, int]
    """Bytes by part: `vectors`, `codes`, `links`, `ids`, `other` and their sum `total`."""
    bytes_per_vector: float
    """All bytes apart from the full vectors, divided by the slots in use."""
    levels: int
    """Levels of the graph; 0 without one."""
    mean_degree: float
    """Mean number of neighbours at level 0."""
    simd: Literal["scalar", "avx2", "avx512"]
    """The instruction set this index runs on."""
    build_seconds: float
    """Time spent linking vectors into the graph, summed over all calls."""

@final
class Index:
    """Nearest-neighbour index in memory.

    Vectors are kept as given; a compact code of each drives the search and the best candidates are compared again in full
    precision. A small index is scanned, a large one is a graph (HNSW, Malkov and Yashunin 2016, arXiv 1603.09320). All
    methods may be called from several threads at once; the GIL is released while they work.

    Parameters
    ----------
    dim : int
        Length of every vector, 1 to 32768.
    metric : {"cosine", "dot", "l2"}
        What is smallest for the nearest: 1 - cos, the negated inner product, or the squared Euclidean distance.
    dtype : {"f32", "f16"}
        How vectors are kept: 4 bytes a value as given, or 2 bytes rounded to half precision.
    storage : {"auto", "sq4", "sq8", "raw"}
        Codes that the search runs on: 4 or 8 bits a value, or none. "auto" takes the smallest that ranks this data well.
    m : int
        Neighbours kept for each vector in the upper levels, 2 to 512; twice as many at level 0.
    ef_construction : int
        Candidates kept while a vector is linked, 1 to 65536.
    seed : int
        Seed of the levels and the rotation, 0 to 2**64 - 1. Equal calls with an equal seed build equal graphs, whatever `threads`.

    Raises
    ------
    InvalidInputError
        A parameter is of the wrong type or out of range; or TIERCEL_SIMD names an instruction set this machine lacks.

    Examples
    --------
    >>> import numpy as np, tiercel
    >>> index = tiercel.Index(dim=3)
    >>> index.add(np.eye(3)).tolist()
    [0, 1, 2]
    >>> index.search([0.9, 0.1, 0.0], k=2).ids.tolist()
    [0, 1]
    """

    def __new__(
        cls,
        dim: int,
        metric: _Metric = "cosine",
        dtype: _Dtype = "f32",
        storage: _Storage = "auto",
        m: int = 16,
        ef_construction: int = 200,
        *,
        seed: int = 0,
    ) -> Self: ...
    @property
    def dim(self) -> int:
        """Length of every vector."""
    @property
    def metric(self) -> _Metric:
        """The metric given at construction."""
    @property
    def dtype(self) -> _Dtype:
        """How vectors are kept."""
    @property
    def storage(self) -> _Storage:
        """The storage given at construction; `stats()["storage"]` tells what is in use."""
    @property
    def m(self) -> int:
        """Neighbours kept for each vector in the upper levels."""
    @property
    def ef_construction(self) -> int:
        """Candidates kept while a vector is linked."""
    @property
    def seed(self) -> int:
        """Seed of the levels and the rotation."""
    @property
    def version(self) -> int:
        """A number that grows with every change: while it stays, the index holds the same vectors."""
    @property
    def ids(self) -> NDArray[np.uint64]:
        """Ids of all vectors in the order they were added; dtype uint64, shape `(len(index),)`. A copy."""
    def add(
        self,
        vectors: ArrayLike,
        ids: ArrayLike | None = None,
        *,
        threads: int | None = None,
        progress: _Progress | None = None,
    ) -> NDArray[np.uint64]:
        """Add vectors; all of them or, if anything is wrong or the call is interrupted, none.

        Parameters
        ----------
        vectors : array of shape (n, dim) or (dim,)
            Any real dtype (bfloat16 and the like, too), layout and byte order; converted to float32. Masked values are refused.
        ids : array of n integers, optional
            Ids, 0 to 2**64 - 2, not yet in the index. Without them, counting continues after the largest id that was ever
            given or counted. No id is counted twice, not even after the index was emptied, or an addition interrupted.
        threads : int, optional
            Threads to work on; by default all cores that this process may use.
        progress : callable, optional
            Called as `progress(done, total)` in vectors linked, from the calling thread, a few times a second and at the end.

        Returns
        -------
        array of uint64, shape (n,)
            The ids of the new vectors.

        Raises
        ------
        InvalidInputError
            NaN, infinity or a value that overflows float32 (or float16 with dtype "f16") in a vector, a zero vector under
            cosine, an array that is not numeric or not 1-D or 2-D, an id given twice, taken or out of range, a bad `threads`.
        DimensionMismatchError
            Vectors of another length than `dim`.
        """
    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        ef_search: int | None = None,
        recall: float | None = None,
        filter: ArrayLike | None = None,
        threads: int | None = None,
    ) -> Matches:
        """Find the k nearest vectors of each query.

        Parameters
        ----------
        queries : array of shape (n, dim) or (dim,)
            Any real dtype (bfloat16 and the like, too), layout and byte order; converted to float32. Masked values are refused.
        k : int
            Results a query, at least 1; more than the index holds gives as many as it holds.
        ef_search : int, optional
            Candidates kept during the walk, at least 1; raised to k when smaller. Give this or `recall`, not both.
        recall : float, optional
            Wanted recall@k, above 0 and at most 1; 0.95 when neither is given. 1 is exact search. Below 1 a fixed table
            chooses `ef_search`; it was measured on text embeddings and is not yet calibrated on the vectors of this index.
        filter : array of bool or of integers, optional
            Either a mask of shape `(len(index),)` aligned with `index.ids`, or the allowed ids (unknown ones are ignored).
        threads : int, optional
            Threads to work on; by default all cores that this process may use. One query always runs on the calling thread.

        Raises
        ------
        InvalidInputError
            NaN or infinity in a query, a zero query under cosine, k below 1, a mask of the wrong length, or another argument
            of the wrong type or out of range.
        DimensionMismatchError
            Queries of another length than `dim`.

        Examples
        --------
        >>> import numpy as np, tiercel
        >>> index = tiercel.Index(dim=2, metric="l2")
        >>> _ = index.add([[0, 0], [3, 4], [6, 8]], ids=[7, 8, 9])
        >>> matches = index.search([0, 0], k=2, filter=[8, 9])
        >>> matches.ids.tolist(), matches.distances.tolist(), matches.quality
        ([8, 9], [25.0, 100.0], 'exact')
        """
    def _search_among(
        self,
        query: ArrayLike,
        k: int,
        candidates: ArrayLike,
        since: int,
        limit: int,
        filter: ArrayLike | None = None,
    ) -> tuple[Matches, int] | None:
        """What `SemanticCache` calls: the k nearest of `candidates` and of all that was added since a version, exactly, and the version
        that they are of; None when that may be more than `limit`.
        """
    def _norms(self) -> tuple[float, float]:
        """What `SemanticCache` calls: the smallest and the largest norm of all vectors; infinity and 0 under l2."""
    def range_search(
        self, queries: ArrayLike, radius: float, *, filter: ArrayLike | None = None, threads: int | None = None
    ) -> RangeMatches:
        """Find every vector within a distance of each query, exactly.

        Parameters
        ----------
        queries : array of shape (n, dim) or (dim,)
            Any real dtype (bfloat16 and the like, too), layout and byte order; converted to float32. Masked values are refused.
        radius : float
            Largest distance, in the unit of `Matches.distances` (squared for `l2`); equal distances are included.
        filter, threads
            As in `search`.

        Raises
        ------
        InvalidInputError
            As in `search`; or `radius` is NaN.
        DimensionMismatchError
            Queries of another length than `dim`.
        """
    def remove(self, ids: ArrayLike) -> int:
        """Remove vectors; returns how many were there. Unknown ids and repeated ones count 0.

        Parameters
        ----------
        ids : int, or array of integers

        Raises
        ------
        InvalidInputError
            `ids` are not integers from 0 to 2**64 - 1.
        """
    def clear(self) -> int:
        """Remove all vectors and give their memory back; returns how many there were. Ids that the index counts by itself go on
        where they were.
        """
    def get(self, ids: ArrayLike) -> NDArray[np.float32]:
        """Vectors by id, as they were given (rounded to half precision with dtype "f16").

        Parameters
        ----------
        ids : int, or array of n integers

        Returns
        -------
        array of float32, shape (dim,) for an int, (n, dim) for an array

        Raises
        ------
        NotFoundError
            An id is not in the index.
        InvalidInputError
            `ids` are not integers from 0 to 2**64 - 1.
        """
    def optimize(self, *, threads: int | None = None, progress: _Progress | None = None) -> None:
        """Finish all pending work and lay the index out for speed: link every vector, reach every one, drop spare memory.

        Searches go on meanwhile. Worth a call after the last `add` of a load. `threads` and `progress` as in `add`.
        """
    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file; the old content stays until the new one is safely on disk.

        Raises
        ------
        StorageFailedError
            The file cannot be written; `DiskFullError` when the disk is full.
        """
    @classmethod
    def load(cls, path: str | PathLike[str]) -> Index:
        """Read an index that `save` wrote.

        Raises
        ------
        MissingFileError
            There is no such file.
        StorageFailedError
            The file cannot be read.
        CorruptionError
            The file is damaged, cut short, of a newer format or not a tiercel index.
        """
    def to_bytes(self) -> bytes:
        """The content of the file that `save` would write."""
    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """Make an index from `to_bytes`. Raises `CorruptionError` as `load` does."""
    def stats(self) -> Stats:
        """Sizes, degrees, levels, instruction set and build time."""
    def __len__(self) -> int:
        """Number of vectors that can be found."""
    def __contains__(self, id: object, /) -> bool:
        """Whether an id is in the index; False for anything that is not an integer."""
    def __iter__(self) -> Iterator[int]:
        """The ids, in the order they were added, as of now."""
    def __copy__(self) -> Index:
        """An independent copy."""
    def __deepcopy__(self, memo: object) -> Index:
        """An independent copy."""
    def __reduce__(self) -> tuple[Callable[[bytes], Index], tuple[bytes]]:
        """Pickle support, through `to_bytes`."""

@disjoint_base
class TierCore:
    """The interface of every tier: bytes by key."""

    def __getitem__(self, key: _Key, /) -> _Content:
        """Return self[key]."""
    def __setitem__(self, key: _Key, value: Buffer, /) -> None:
        """Set self[key] to value."""
    def __delitem__(self, key: _Key, /) -> None:
        """Delete self[key]."""
    def __contains__(self, key: object, /) -> bool:
        """Whether a key is present; False for anything that is neither a str nor bytes."""
    def __len__(self) -> int:
        """Number of keys."""
    def __iter__(self) -> Iterator[_Key]:
        """The keys at this moment, in no order."""
    @overload
    def get(self, key: _Key, default: None = None) -> _Content | None: ...
    @overload
    def get(self, key: _Key, default: _Content) -> _Content: ...
    @overload
    def get(self, key: _Key, default: _T) -> _Content | _T: ...
    def get_many(self, keys: Iterable[_Key]) -> list[_Content | None]:
        """The values of keys, in their order; None for each that is not there."""
    def put(self, key: _Key, value: Buffer) -> bool:
        """Store a value. Return False if it is too large for the tier, or the disk refuses it."""
    def put_evicting(self, key: _Key, value: Buffer) -> tuple[bool, list[tuple[_Key, _Content]]]:
        """Store a value, and return whether that succeeded and the entries that were evicted.

        A replaced value is not among them, but this one is if the tier evicts it at once. A refused value evicts nothing.
        """
    def delete(self, key: _Key) -> bool:
        """Delete a key. Return whether it was present."""
    def clear(self) -> None:
        """Remove everything, and release the memory. If the disk refuses, `stats()` counts it and `flush` returns False."""
    @property
    def bytes(self) -> int:
        """Bytes that count against the size of the tier."""
    def stats(self) -> TierStats:
        """Contents and counters since the tier was opened."""

class MemoryCore(TierCore):
    """The core of `tiercel.cache.Memory`. Use that class."""

    def __new__(cls, bytes: int) -> Self: ...

class PersistentTierCore(TierCore):
    """The further interface of tiers that outlive the process."""

    def flush(self) -> bool:
        """Write the buffer and sync the files. If this returns True, all earlier puts and deletions survive a power cut.

        Return False if the disk refuses, or has refused since the last flush; then the tier was emptied.
        """
    def write(self) -> bool:
        """Write the buffer to the files without a sync, so that it survives the process, but not a power cut. Return False if the disk refuses."""
    def close(self) -> None:
        """Write the buffer and close the files. Closing twice is harmless."""
    @property
    def closed(self) -> bool:
        """Whether the tier was closed."""

class StoreCore(PersistentTierCore):
    """The core of `tiercel.cache.Store`. Use that class."""

    def __new__(
        cls, path: str | PathLike[str], bytes: int, level: int | None = None, *, create: bool = True
    ) -> Self: ...

@final
class TierLook:
    """The contents of the directory of a `Store` or `Files`, without a change to it. While this object lives, nobody can open it for writing."""

    def __new__(cls, path: str | PathLike[str], files: bool) -> Self: ...
    @property
    def entries(self) -> int:
        """The number of keys."""
    @property
    def bytes(self) -> int:
        """Bytes that count against the size of the tier."""
    @property
    def damaged(self) -> int:
        """Damaged parts other than values."""
    def is_whole(self, number: int) -> bool:
        """Whether the value of this number is intact."""

class FilesCore(PersistentTierCore):
    """The core of `tiercel.cache.Files`. Use that class."""

    def __new__(cls, path: str | PathLike[str], bytes: int, level: int | None = 3, *, create: bool = True) -> Self: ...

def pack_envelope(fields: _Envelope, value: Buffer) -> bytes:
    """Encode an envelope with its value: cost, epoch, turn, written, fresh until, grace, idle, touched, tags."""

def unpack_envelope(data: bytes) -> tuple[_Envelope, int] | None:
    """Decode an envelope. Return its fields and the offset of the value, or None for other bytes."""

@final
class Finally:
    """A context manager that calls a function when its block ends, and lets nothing keep that from happening.

    Python runs the handlers of signals between the calls of a program, so a Ctrl-C can come in after a `try` was left and before its `finally` has done
    anything, and within what that calls. This object is not written in Python: between the beginning of the block and the call there is no
    such place. A call that is interrupted is made again, to its end; then the interruption goes on. So the function must be one that can be called
    again wherever it was left, and raises nothing of its own.
    """

    def __new__(cls, work: Callable[..., object], /, *arguments: object) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None: ...

@final
class FastPath:
    """The fast path of reads from a memory tier, for fresh values of the current epoch without tags and idle time."""

    def __new__(cls, memory: MemoryCore, sketch: Sketch) -> Self: ...
    def get(self, name: _Key, epoch: int, now: int) -> bytes | None:
        """Count the key in the sketch, and return its value if the tier has a valid one."""

    def latencies(self) -> list[int]:
        """Count the reads that returned a value: those at index n took less than 2**n nanoseconds and at least half of that."""

@final
class Sketch:
    """Estimates how often keys were added recently, up to 15. An estimate is never too low for additions since the last halving.

    Parameters
    ----------
    width : int
        Keys to distinguish, 1 to 2**28; each takes two bytes. All counts are halved after ten times as many additions, and again
        after each further half of that.

    Raises
    ------
    InvalidInputError
        `width` is not such an int.

    Examples
    --------
    >>> from tiercel._core import Sketch
    >>> sketch = Sketch(1000)
    >>> sketch.add("a"), sketch.add("a"), sketch.count("a"), sketch.count("b")
    (1, 2, 2, 0)
    """

    def __new__(cls, width: int) -> Self: ...
    def add(self, key: _Key) -> int:
        """Add a key, and return its new estimate."""
    def count(self, key: _Key) -> int:
        """The estimate of how often a key was added."""

def seal(key: _Key, value: Buffer, level: int | None = None) -> bytes:
    """Add a checksum of key and value, and compress the value with zstd if that makes it smaller.

    Raises `InvalidInputError` for a key, a value or a level (None, or 1 to 22) of another kind.
    """

def unseal(key: _Key, frame: Buffer, most: int) -> bytes | None:
    """Return the value in a sealed frame; None if it is damaged, of another key, or larger than `most` bytes.

    Raises `InvalidInputError` for a key, a frame or a limit of another kind.
    """

def simd_levels() -> dict[str, bool]:
    """Instruction sets by name, weakest first, and whether this machine has each."""

def simd_level() -> str:
    """The instruction set a new index would use: the best of the machine, or the one that TIERCEL_SIMD names.

    Raises `InvalidInputError` when TIERCEL_SIMD names an unknown one or one that the machine lacks.
    """

build_profile: Literal["release", "debug"]
"""How this module was compiled."""
