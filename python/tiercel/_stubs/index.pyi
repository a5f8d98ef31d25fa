"""Indexes and their results. Import from `tiercel`, not from here."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from os import PathLike
from typing import Any, Literal, Self, SupportsIndex, TypeAlias, TypedDict, final, overload, type_check_only

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.neighbours import RangeMatches
from tiercel.results import Quality

_Metric: TypeAlias = Literal["cosine", "dot", "l2"]
_Dtype: TypeAlias = Literal["f32", "f16"]
_Raw: TypeAlias = Literal["memory", "disk", "none"]
_Rerank: TypeAlias = Literal["full", "f16", "none"]
_Kind: TypeAlias = Literal["hnsw", "ivf", "flat"]
_Build: TypeAlias = Literal["fast", "balanced", "dense"]
_Profile: TypeAlias = Literal["small", "medium", "large", "memory-constrained", "write-heavy"]
_Progress: TypeAlias = Callable[[int, int], object]

@final
class Matches(Sequence[Any]):
    """The result of `Index.search`: a sequence of `Neighbour`, nearest first, for a 1-D query; of
    one `Matches` per query for a 2-D one.

    For a 1-D query, `ids` and `distances` have the shape `(k,)` and `counts` has `()`; for a 2-D
    query of shape `(n, dim)`, they have `(n, k)` and `(n,)`. `k` is at most the number of vectors
    in the index. If a filter allows fewer than `k` results, the rest of a row is padding: 2**64 - 1
    in `ids`, infinity in `distances`. The sequence has no padding. Results with equal hits are
    equal; quality does not count.
    """

    @property
    def ids(self) -> NDArray[np.uint64]:
        """Ids, nearest first; dtype uint64, shape `(k,)` or `(n, k)`."""
    @property
    def distances(self) -> NDArray[np.float32]:
        """Distances, smallest first; dtype float32, same shape as `ids`.

        1 - cos for `cosine`, the negated inner product for `dot`, the squared Euclidean distance
        for `l2`; computed from the stored vectors in full precision, or from codes if the index was
        made with `rerank="none"` or `raw="none"`; with `rerank="f16"`, from vectors in half
        precision.
        """
    @property
    def counts(self) -> NDArray[np.uint64]:
        """Number of results in each row, without padding; dtype uint64, shape `()` or `(n,)`."""
    @property
    def quality(self) -> Quality:
        """`"exact"` if an exact search found this, `"certified"` if a `SemanticCache` proved that
        it would, else `"approximate"`.
        """
    def to_list(self) -> list[Any]:
        """Convert to what `json.dumps` accepts: a list of dicts with `id` and `distance`; for a 2-D
        query, a list per query. An infinite distance becomes None.
        """
    def to_dict(self) -> dict[str, Any]:
        """Convert to a dict with the quality, and `to_list()` under "matches"."""
    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Return the first index of an element from `start` until `stop`, or raise `ValueError`."""
    def count(self, value: Any) -> int:
        """Count the elements equal to a value."""
    def _with_quality(self, quality: Quality) -> Matches:
        """Copy the result with another quality."""
    def _repr_html_(self) -> str:
        """Make a table for Jupyter."""
    def __copy__(self) -> Matches:
        """Copy the result."""
    def __deepcopy__(self, memo: object) -> Matches:
        """Copy the result."""
    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle support."""
    @classmethod
    def _restored(
        cls, ids: NDArray[np.uint64], distances: NDArray[np.float32], counts: NDArray[np.uint64], quality: str
    ) -> Matches:
        """Restore a pickled result. A 0-D array of counts means one 1-D query."""
    def __len__(self) -> int:
        """Number of results for a 1-D query, number of queries for a 2-D one."""
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]:
        """Iterate over the elements of the sequence."""
    def __reversed__(self) -> Iterator[Any]:
        """Iterate over the elements from last to first."""
    def __eq__(self, other: object, /) -> bool:
        """Whether the other is a result with equal hits."""
    __hash__: None  # type: ignore[assignment]

@type_check_only
class Stats(TypedDict):
    """The result of `Index.stats`; sizes in bytes, times in seconds."""

    len: int
    """Vectors that can be found."""
    tombstones: int
    """Slots of deleted vectors that walks still pass through, not yet reused."""
    linked: int
    """Slots in the graph; the others are scanned."""
    lists: int
    """Lists that the vectors are divided into; 0 unless `kind` is `"ivf"`."""
    storage: str
    """The codec in use: `"none"` until one can be trained, `"raw"` if none ranks well enough."""
    codec_recall: float | None
    """Share of the true 10 nearest among the 20 nearest by code, sampled; None without a codec."""
    graph_recall: float | None
    """Share of the true ten nearest that walks with 200 candidates find, for sampled rows; None
    without a graph.

    Below 0.95, searches scan the codes instead of walking.
    """
    bytes: dict[str, int]
    """Bytes by part: `vectors`, `codes`, `links`, `lists`, `ids`, `other` and their sum `total`."""
    disk_bytes: int
    """Bytes of full vectors on disk."""
    why: str | None
    """Why a budget of memory led to this storage; None without one, and until codes are fitted."""
    bytes_per_vector: float
    """All bytes except the full vectors, divided by the slots in use; a copy of them in half
    precision counts."""
    levels: int
    """Levels of the graph; 0 without one."""
    mean_degree: float
    """Mean number of neighbours at level 0."""
    simd: Literal["scalar", "avx2", "avx512"]
    """The instruction set that this index uses."""
    build_seconds: float
    """Total time spent linking vectors into the graph, or putting them into lists."""

@final
class Index:
    """A nearest-neighbour index.

    By default the index keeps the full vectors. A search compares their compact codes, then
    compares the best candidates again in full precision. It scans a small index and walks the graph
    of a large one (HNSW, Malkov and Yashunin 2016, arXiv 1603.09320). All methods may be called
    from several threads at once; they release the GIL while they work.

    Parameters
    ----------
    dim : int
        Length of every vector, 1 to 32768.
    metric : {"cosine", "dot", "l2"}
        The distance: 1 - cos, the negated inner product, or the squared Euclidean distance.
    dtype : {"f32", "f16"}
        How vectors are stored: 4 bytes per value, or 2 bytes, rounded to half precision.
    storage : {"auto", "sq4", "sq8", "rabitq1" to "rabitq4", "f16", "bf16", "raw"} or str
        Codes that searches compare: 4 or 8 bits per value, directions of 1 to 4 bits per value
        (RaBitQ), floats of 16 bits, or none; "f32" is another name of "raw". "auto" uses the
        smallest of "sq4" and "sq8" that ranks the data well. Much smaller codes rank less well, so
        that more vectors are compared again: "pq48x8" is 48 codes of 8 bits each, "pq96x4" is 96 of
        4 bits, each for its part of the vector; "opq48x8" and "opq96x4" also fit a rotation;
        "rq4x8" is 4 codes of 8 bits, each for all of the vector.
    m : int
        Neighbours of each vector on the upper levels, 2 to 512; twice as many on level 0.
    ef_construction : int
        Candidates kept while linking a vector, 1 to 65536.
    raw : {"memory", "disk", "none"}
        Where the full vectors are. With "disk" they are in a temporary file, whose directory TMPDIR
        chooses; searches read those of the best candidates. `load` leaves them in the index's file.
        If they cannot be written or read, a call raises `StorageFailedError` or `CorruptionError`.
        With "none" they are forgotten as soon as there are codes: `get` and exact searches work
        with what the codes stand for, and the codec stays the one that the first vectors, more than
        1,024, were coded with. Codes of 1 or 2 bits and products are slow to link then.
    rerank : {"full", "f16", "none"}
        What the best candidates of a search are compared with once more: full vectors, a copy of
        them in half precision, in memory, or nothing, which is the default if `raw` is "none". With
        "none", distances are those of codes, and `recall` holds for what codes can tell apart.
        Exact searches still compare full vectors. If you pass `memory` without this, the budget
        chooses between "full" and "f16".
    memory : int or str, optional
        The most bytes that the index may take, or a string such as "2GB" or "500MiB". As it grows,
        the fastest of these is chosen that fits: "auto" codes with full vectors in memory (unless
        `raw` is "disk"), then with full vectors on disk and `rerank="f16"`, then without the copy in
        half precision, then "rabitq2" and "rabitq1". `stats()["why"]` explains it. An addition that
        does not fit raises `InvalidInputError`.
    kind : {"hnsw", "ivf", "flat"}
        How a search among more than 8,192 vectors finds candidates: it walks through a graph, scans
        the codes of the nearest of many lists, or scans all codes. With "ivf", `recall` follows
        from what the index measures on its own vectors. It is built in a fraction of the time of a
        graph, but each search takes longer. `m` and `ef_construction` are for "hnsw" alone.
    build : {"fast", "balanced", "dense"}
        What `m` and `ef_construction` are by default: 16 and 80, 16 and 200, or 32 and 300.
    seed : int
        Seed of the levels and the rotation, 0 to 2**64 - 1. The same calls with the same seed build
        the same graph, or the same lists, whatever `threads` is.

    Raises
    ------
    InvalidInputError
        A parameter has the wrong type or is out of range, `storage` is "raw" although `raw` is not
        "memory", `storage` is given or `raw` is "none" with `memory`, `rerank` is "full" although
        `raw` is "none", or TIERCEL_SIMD names an instruction set that this machine lacks.

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
        storage: str = "auto",
        m: int = 16,
        ef_construction: int = 200,
        *,
        raw: _Raw = "memory",
        rerank: _Rerank = "full",
        memory: int | str | None = None,
        kind: _Kind = "hnsw",
        build: _Build = "balanced",
        seed: int = 0,
    ) -> Self: ...
    @classmethod
    def profile(cls, name: _Profile, dim: int, **options: Any) -> Index:
        """Create an index for a common case.

        Parameters
        ----------
        name : {"small", "medium", "large", "memory-constrained", "write-heavy"}
            "small": up to about 20,000 vectors, no graph to build. "medium": the defaults, up to about
            a million. "large": more; full vectors on disk. "memory-constrained": also codes of 1 bit
            per value. "write-heavy": a graph that is built in less time and finds a little less.
        dim : int
            Length of every vector.
        **options
            Other arguments of `Index`, which take precedence.

        Raises
        ------
        InvalidInputError
            There is no such profile, or an option is invalid.

        Examples
        --------
        >>> import tiercel
        >>> tiercel.Index.profile("large", dim=384).raw
        'disk'
        """
    @property
    def dim(self) -> int:
        """Length of every vector."""
    @property
    def metric(self) -> _Metric:
        """The metric passed to the constructor."""
    @property
    def dtype(self) -> _Dtype:
        """How vectors are stored."""
    @property
    def storage(self) -> str:
        """The storage passed to the constructor; `stats()["storage"]` is the one in use."""
    @property
    def m(self) -> int:
        """Neighbours of each vector on the upper levels."""
    @property
    def ef_construction(self) -> int:
        """Candidates kept while linking a vector."""
    @property
    def raw(self) -> _Raw:
        """Where the full vectors are."""
    @property
    def rerank(self) -> _Rerank:
        """What searches compare the best candidates with once more."""
    @property
    def memory(self) -> int | None:
        """The most bytes of memory to take, or None."""
    @property
    def kind(self) -> _Kind:
        """How the nearest vectors are found."""
    @property
    def seed(self) -> int:
        """Seed of the levels and the rotation."""
    @property
    def version(self) -> int:
        """A number that grows with every change to the vectors in the index."""
    @property
    def ids(self) -> NDArray[np.uint64]:
        """A copy of all ids, in the order they were added; dtype uint64, shape `(len(index),)`."""
    def add(
        self,
        vectors: ArrayLike,
        ids: ArrayLike | None = None,
        *,
        threads: int | None = None,
        progress: _Progress | None = None,
    ) -> NDArray[np.uint64]:
        """Add vectors: all of them or none. If the last call of `progress` raises, they have been added.

        Parameters
        ----------
        vectors : array of shape (n, dim) or (dim,)
            Any real dtype, even bfloat16, layout and byte order, read as float32; no masked values.
        ids : array of n integers, optional
            Ids, 0 to 2**64 - 2, not yet in the index. By default, the index counts on from its
            largest id so far. It never counts an id twice, even after `clear` or an interruption.
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
            NaN, infinity or overflow of the `dtype`, a zero vector under cosine, a non-numeric
            array, one that is not 1-D or 2-D, an id out of range or repeated, or invalid `threads`.
        ConflictError
            An id is already in the index; `upsert` replaces its vector.
        DimensionMismatchError
            Vectors whose length is not `dim`.
        """
    def upsert(
        self,
        ids: ArrayLike,
        vectors: ArrayLike,
        *,
        threads: int | None = None,
        progress: _Progress | None = None,
    ) -> int:
        """Add vectors, or replace those of known ids: all or none, even if interrupted.

        A search finds either the old vector of an id or the new one. A replaced vector leaves a
        tombstone, and its id moves to the end of `ids`.

        Parameters
        ----------
        ids : int, or array of n integers
            Ids, 0 to 2**64 - 2. If an id occurs twice, the last one wins.
        vectors : array of shape (n, dim) or (dim,)
            As in `add`.
        threads, progress
            As in `add`. If the last call of `progress` raises, the vectors have been written.

        Returns
        -------
        int
            The number of vectors written, one for each distinct id.

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
            Results per query, at least 1; limited to the number of vectors in the index.
        ef_search : int, optional
            Candidates kept, at least 1; raised to k if smaller. Pass this or `recall`, not both.
        recall : float, optional
            Target recall@k, above 0 and at most 1; 0.95 if neither is passed. 1 is exact, unless
            `raw` is "none". Below 1, a table measured on text embeddings chooses `ef_search`, and
            more where a survey found that the vectors of this index need it; queries unlike them may
            find less. With kind "ivf", the index has measured how many of its lists that takes. Many
            queries are compared with all vectors where that costs less; `quality` is "exact" then.
        filter : array of bool or of integers, optional
            Mask of shape `(len(index),)`, aligned with `ids`, or allowed ids; ignores unknown ones.
        threads : int, optional
            As in `add`. One query always uses one thread.

        Raises
        ------
        InvalidInputError
            NaN or infinity in a query, a zero query under cosine, k below 1, a mask of the wrong
            length, or another argument that has the wrong type or is out of range.
        DimensionMismatchError
            Queries whose length is not `dim`.

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
        """For `SemanticCache`: search `candidates` and all vectors added since a version, exactly.
        Return the k nearest and the version searched; None if more than `limit` may be new.
        """
    def _norms(self) -> tuple[float, float]:
        """For `SemanticCache`: return the smallest and largest norm; infinity and 0 under l2."""
    def range_search(
        self, queries: ArrayLike, radius: float, *, filter: ArrayLike | None = None, threads: int | None = None
    ) -> RangeMatches:
        """Find every vector within a distance of each query; exactly, unless `raw` is "none".

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
            As in `search`, or `radius` is NaN.
        DimensionMismatchError
            Queries whose length is not `dim`.
        """
    def delete(self, ids: ArrayLike | AbstractSet[int]) -> int:
        """Delete vectors by id; return how many were in the index. Unknown ids are ignored.

        Parameters
        ----------
        ids : int, or array or set of integers

        Raises
        ------
        InvalidInputError
            `ids` are not integers from 0 to 2**64 - 2 (or 2**64 - 1, which no vector has).
        """
    def clear(self) -> int:
        """Delete all vectors and free their memory; return how many there were."""
    @overload
    def get(self, ids: SupportsIndex) -> NDArray[np.float32] | None: ...
    @overload
    def get(self, ids: ArrayLike) -> list[NDArray[np.float32] | None]:
        """Get the vector of an id, or a list of vectors for many ids; None for each unknown id.

        Vectors are returned as they were added; with dtype "f16", rounded to half precision; with
        raw "none", as what their codes stand for.

        Parameters
        ----------
        ids : int, or array of n integers

        Returns
        -------
        array of float32, shape (dim,), or None; for an array of ids, a list of n in their order
            `numpy.array(index.get(ids))` has the shape (n, dim) if every id is in the index.

        Raises
        ------
        InvalidInputError
            `ids` are not integers from 0 to 2**64 - 2 (or 2**64 - 1, which no vector has).
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
        """Link every vector, make each reachable and drop spare memory, so that searches are fast.

        Call it after the last `add` of a load; searches continue meanwhile. With kind "ivf", it fits
        the lists to all vectors. Arguments as in `add`.
        """
    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file. The old content stays until the new one is safely on disk.

        Raises
        ------
        StorageFailedError
            The file cannot be written; `DiskFullError` if the disk is full.
        """
    @classmethod
    def load(cls, path: str | PathLike[str], *, raw: _Raw = "memory", rerank: _Rerank = "full") -> Index:
        """Read an index that `save` wrote.

        Parameters
        ----------
        path : str or PathLike
        raw : {"memory", "disk", "none"}
            Where the full vectors are. With "disk" they stay in this file, which is read and
            checked once. It may be replaced or removed afterwards, but not changed. Vectors added
            later go to a temporary file. With "none" they are left behind, as in the constructor. A
            file without full vectors is loaded without, whatever `raw` is.
        rerank : {"full", "f16", "none"}
            As in the constructor, but "full" is "none" where there are no full vectors.

        Raises
        ------
        InvalidInputError
            `raw` is not "memory" for an index whose searches compare full vectors, or `rerank` is
            "f16" for vectors that are beyond its range or not there.
        MissingFileError
            The file does not exist.
        StorageFailedError
            The file cannot be read.
        CorruptionError
            The file is damaged, truncated, in a newer format or not a tiercel index.
        """
    def to_bytes(self) -> bytes:
        """Return the bytes that `save` would write."""
    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """Create an index from `to_bytes`. Raises `CorruptionError` as `load` does."""
    def stats(self) -> Stats:
        """Return sizes, degrees, levels, the instruction set and the build time."""
    def __len__(self) -> int:
        """Number of vectors that can be found."""
    def __contains__(self, id: object, /) -> bool:
        """Whether an id is in the index; False for anything that is not an integer."""
    def __iter__(self) -> Iterator[int]:
        """Iterate over the current ids, in the order they were added."""
    def __copy__(self) -> Index:
        """An independent copy."""
    def __deepcopy__(self, memo: object) -> Index:
        """An independent copy."""
    def __reduce__(self) -> tuple[Callable[[bytes], Index], tuple[bytes]]:
        """Pickle support, through `to_bytes`."""
