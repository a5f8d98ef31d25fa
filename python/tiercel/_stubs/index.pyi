"""Indexes and what they find. Import from `tiercel`, not from here."""

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any, Literal, Self, SupportsIndex, TypeAlias, TypedDict, final, overload, type_check_only

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.neighbours import RangeMatches
from tiercel.results import Quality

_Metric: TypeAlias = Literal["cosine", "dot", "l2"]
_Dtype: TypeAlias = Literal["f32", "f16"]
_Storage: TypeAlias = Literal["auto", "sq4", "sq8", "raw"]
_Progress: TypeAlias = Callable[[int, int], object]

@final
class Matches(Sequence[Any]):
    """The answer of `Index.search`: a sequence of `Neighbour`, nearest first, for a 1-D query, and
    of one `Matches` per query for a 2-D one.

    A 1-D query returns arrays of shape `(k,)` and `counts` of shape `()`; a 2-D query of shape
    `(n, dim)` returns `(n, k)` and `(n,)`. `k` is the number asked for, or the number of vectors
    in the index if that is smaller. If a row has fewer than `k` results (a filter allows fewer),
    the rest is padding: ids with the largest u64, distances with infinity. The sequence has no
    padding. Answers are equal if their results are equal; their quality does not count.
    """

    @property
    def ids(self) -> NDArray[np.uint64]:
        """Ids, nearest first; dtype uint64, shape `(k,)` or `(n, k)`."""
    @property
    def distances(self) -> NDArray[np.float32]:
        """Distances, smallest first; dtype float32, same shape as `ids`.

        `l2` is the squared Euclidean distance, `cosine` is 1 - cos, `dot` the negated inner
        product. They are computed from the stored vectors in full precision, never from codes.
        """
    @property
    def counts(self) -> NDArray[np.uint64]:
        """Number of results in each row without padding; dtype uint64, shape `()` or `(n,)`."""
    @property
    def quality(self) -> Quality:
        """`"exact"` if an exact search found the whole answer, `"certified"` if a `SemanticCache`
        has proven that one would find the same, `"approximate"` otherwise.
        """
    def to_list(self) -> list[Any]:
        """Return a list that `json.dumps` accepts: one dict with `id` and `distance` per result of
        a 1-D query, one list of these per query of a 2-D one. An infinite distance becomes None.
        """
    def to_dict(self) -> dict[str, Any]:
        """Return the same list under "matches", with the quality."""
    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Return the first place of an element from `start` to before `stop`; raise `ValueError` if
        there is none.
        """
    def count(self, value: Any) -> int:
        """Count how often an element occurs."""
    def _with_quality(self, quality: Quality) -> Matches:
        """Return the same answer with another quality and separate arrays."""
    def _repr_html_(self) -> str:
        """Return a table for Jupyter."""
    def __copy__(self) -> Matches:
        """Return a copy with separate arrays."""
    def __deepcopy__(self, memo: object) -> Matches:
        """Return a copy with separate arrays."""
    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle support."""
    @classmethod
    def _restored(
        cls, ids: NDArray[np.uint64], distances: NDArray[np.float32], counts: NDArray[np.uint64], quality: str
    ) -> Matches:
        """Restore a pickled answer; a 0-D array of counts belongs to the answer to one query."""
    def __len__(self) -> int:
        """Return the number of results of a 1-D query, or the number of queries in a 2-D one."""
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]:
        """Iterate over the elements."""
    def __reversed__(self) -> Iterator[Any]:
        """Iterate over the elements from the last to the first."""
    def __eq__(self, other: object, /) -> bool:
        """Whether both answers have equal results."""
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

    The index keeps vectors as passed. A search compares a compact code of each, then rescores
    the best candidates in full precision. A small index is scanned, a large one is a graph
    (HNSW, Malkov and Yashunin 2016, arXiv 1603.09320). All methods are thread-safe and release
    the GIL while they work.

    Parameters
    ----------
    dim : int
        Length of every vector, 1 to 32768.
    metric : {"cosine", "dot", "l2"}
        Distance, smallest for the nearest: 1 - cos, the negated inner product, or the squared
        Euclidean distance.
    dtype : {"f32", "f16"}
        How vectors are kept: 4 bytes per value as passed, or 2 bytes rounded to half
        precision.
    storage : {"auto", "sq4", "sq8", "raw"}
        Codes that the search compares: 4 or 8 bits per value, or none. "auto" chooses the
        smallest that rank this data well.
    m : int
        Neighbours kept for each vector in the upper levels, 2 to 512; twice as many at level 0.
    ef_construction : int
        Candidates kept while a vector is linked, 1 to 65536.
    seed : int
        Seed of the levels and the rotation, 0 to 2**64 - 1. Equal calls with an equal seed build
        equal graphs, for any `threads`.

    Raises
    ------
    InvalidInputError
        A parameter is of the wrong type or out of range; or TIERCEL_SIMD names an unknown
        instruction set or one that this machine lacks.

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
        """The metric passed at construction."""
    @property
    def dtype(self) -> _Dtype:
        """How vectors are kept."""
    @property
    def storage(self) -> _Storage:
        """The storage passed at construction; `stats()["storage"]` is the one in use."""
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
        """A number that grows with every change; while it stays, the vectors are the same."""
    @property
    def ids(self) -> NDArray[np.uint64]:
        """Ids of all vectors in the order of adding, copied; dtype uint64, shape `(len(index),)`."""
    def add(
        self,
        vectors: ArrayLike,
        ids: ArrayLike | None = None,
        *,
        threads: int | None = None,
        progress: _Progress | None = None,
    ) -> NDArray[np.uint64]:
        """Add vectors: all, or none if anything is wrong or the call is interrupted.

        Parameters
        ----------
        vectors : array of shape (n, dim) or (dim,)
            Any real dtype (even bfloat16), layout and byte order, as float32; no masked values.
        ids : array of n integers, optional
            Ids, 0 to 2**64 - 2, not yet in the index; by default, counted on from the largest ever
            used. No id is counted twice, even after deletions or an interrupted addition.
        threads : int, optional
            Threads to work on; by default all cores that this process may use.
        progress : callable, optional
            Called as `progress(linked, total)` on this thread, a few times a second and at the end.

        Returns
        -------
        array of uint64, shape (n,)
            The ids of the new vectors.

        Raises
        ------
        InvalidInputError
            NaN, infinity or overflow of float32 (float16 for dtype "f16"), a zero vector for
            cosine, an array not numeric, 1-D or 2-D, a duplicate or out-of-range id, bad `threads`.
        ConflictError
            An id is already in the index; `upsert` replaces its vector.
        DimensionMismatchError
            Vectors of another length than `dim`.
        """
    def upsert(
        self,
        ids: ArrayLike,
        vectors: ArrayLike,
        *,
        threads: int | None = None,
        progress: _Progress | None = None,
    ) -> int:
        """Add vectors or replace those of these ids: all, or none on an error or interruption.

        A search finds the old vector of an id or the new one, never both or neither. A replaced
        vector leaves a tombstone, and its id moves to the end of `ids`.

        Parameters
        ----------
        ids : int, or array of n integers
            Ids, 0 to 2**64 - 2. If an id occurs twice, the last one wins.
        vectors : array of shape (n, dim) or (dim,)
            As in `add`.
        threads, progress
            As in `add`. An exception from the last call of `progress` undoes nothing.

        Returns
        -------
        int
            The number of vectors written: that of distinct ids.

        Raises
        ------
        InvalidInputError, DimensionMismatchError
            As in `add`.
        """
    def search(
        self,
        queries: ArrayLike,
        k: int = 10,
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
            As `vectors` in `add`.
        k : int
            Results per query, at least 1; at most as many as the index holds are returned.
        ef_search : int, optional
            Candidates kept in the walk, at least 1, raised to k. Pass this or `recall`, not both.
        recall : float, optional
            Target recall@k, above 0 to 1 (exact); 0.95 if neither is passed. Below 1, `ef_search`
            is from a fixed table, measured on text embeddings, not yet calibrated on these vectors.
        filter : array of bool or of integers, optional
            Mask in the order of `ids`, shape `(len(index),)`, or allowed ids; ignores unknown ones.
        threads : int, optional
            As in `add`. One query always runs on the calling thread.

        Raises
        ------
        InvalidInputError
            NaN or infinity in a query, a zero query under cosine, k below 1, a mask of the wrong
            length, or another argument of the wrong type or out of range.
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
        """For `SemanticCache`: the k nearest, exactly, of `candidates` and of all vectors added since
        a version, and the current version; None if more than `limit` may have been added.
        """
    def _norms(self) -> tuple[float, float]:
        """For `SemanticCache`: smallest and largest norm of all vectors; infinity and 0 under l2."""
    def range_search(
        self, queries: ArrayLike, radius: float, *, filter: ArrayLike | None = None, threads: int | None = None
    ) -> RangeMatches:
        """Find every vector within a distance of each query, exactly.

        Parameters
        ----------
        queries : array of shape (n, dim) or (dim,)
            As `vectors` in `add`.
        radius : float
            Largest distance, inclusive, in the unit of `Matches.distances` (squared for `l2`).
        filter, threads
            As in `search`.

        Raises
        ------
        InvalidInputError
            As in `search`; or `radius` is NaN.
        DimensionMismatchError
            Queries of another length than `dim`.
        """
    def delete(self, ids: ArrayLike) -> int:
        """Delete vectors by id, and return how many were deleted. Unknown ids change nothing.

        Parameters
        ----------
        ids : int, or array of integers

        Raises
        ------
        InvalidInputError
            `ids` are not integers from 0 to 2**64 - 1.
        """
    def clear(self) -> int:
        """Delete all vectors, free memory, and return their number. Ids count on as before."""
    @overload
    def get(self, ids: SupportsIndex) -> NDArray[np.float32] | None: ...
    @overload
    def get(self, ids: ArrayLike) -> list[NDArray[np.float32] | None]:
        """Return the vector of an id, or a list for an array of ids; None for an unknown id.

        Parameters
        ----------
        ids : int, or array of n integers

        Returns
        -------
        array of float32, shape (dim,), or None; a list of n of these, in order, for n ids
            As added, but rounded to half precision with dtype "f16". `numpy.array(index.get(ids))`
            has the shape (n, dim) if every id is in the index.

        Raises
        ------
        InvalidInputError
            `ids` are not integers from 0 to 2**64 - 1.
        """
    def count(self, *, filter: ArrayLike | None = None) -> int:
        """Count the vectors that a filter allows, or all.

        Parameters
        ----------
        filter : array of bool or of integers, optional
            As in `search`.

        Raises
        ------
        InvalidInputError
            A mask of the wrong length, or a filter of the wrong type.
        """
    def optimize(self, *, threads: int | None = None, progress: _Progress | None = None) -> None:
        """Finish all pending work and lay the index out for speed: link every vector, make each
        reachable, drop spare memory.

        Searches go on meanwhile. Call it after the last `add` of a load. Options as in `add`.
        """
    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file; the old content stays until the new one is safely on disk.

        Raises
        ------
        StorageFailedError
            The file cannot be written; `DiskFullError` if the disk is full.
        """
    @classmethod
    def load(cls, path: str | PathLike[str]) -> Index:
        """Read an index that `save` wrote.

        Raises
        ------
        MissingFileError
            The file does not exist.
        StorageFailedError
            The file cannot be read.
        CorruptionError
            The file is damaged, cut short, of a newer format or not a tiercel index.
        """
    def to_bytes(self) -> bytes:
        """Return the content of the file that `save` would write."""
    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """Make an index from the bytes of `to_bytes`. Raises `CorruptionError` as `load` does."""
    def stats(self) -> Stats:
        """Return sizes, degrees, levels, instruction set and build time."""
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
