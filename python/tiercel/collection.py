"""Collections: records in a directory, found by vector, text and metadata.

>>> import tempfile, tiercel
>>> from tiercel import F
>>> collection = tiercel.open(tempfile.mkdtemp(), dim=2)
>>> collection.upsert(["cat", "hen"], [[1, 0], [0, 1]], texts=["a cat sleeps", "a hen lays eggs"], metadata=[{"legs": 4}, {"legs": 2}])
2
>>> collection.search([0.9, 0.1], k=1)[0].id
'cat'
>>> collection.search(text="eggs")[0].id
'hen'
>>> collection.search([0.9, 0.1], text="eggs", filter=F("legs") < 4).ids
['hen']
>>> collection.close()
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, Unpack, cast, final, overload

from numpy.typing import ArrayLike

from tiercel.async_methods import async_method
from tiercel.checks import (
    INCLUDES,
    MAX_LIMIT,
    Metadata,
    included,
    query_texts,
    record_id,
    record_ids,
    refuse_unordered,
    sort_order,
    unicode_text,
    whole,
)
from tiercel.embed import is_blank, query_vector, query_vectors
from tiercel.errors import InvalidInputError
from tiercel.filters import Filter, as_json
from tiercel.found import Found, Include, Match, record
from tiercel.paths import path_name
from tiercel.places import telling_gone, telling_where
from tiercel.rerank import scored_by
from tiercel.room import check_room_to_compact
from tiercel.scan import AsyncScan, Scan
from tiercel.schema import types_of_names
from tiercel.search import (
    SearchOptions,
    check_alpha,
    names_options,
    options,
    refuse_unknown_options,
    vector_and_text,
    vectors_and_texts,
)
from tiercel.threads import thread_count
from tiercel.writing import Writing

__all__ = ["Collection"]


@final
class Collection(Writing):
    """Records in a directory, each with a string id and any of a vector, a text and metadata;
    created by `tiercel.open`.

    Every method may be called from several threads at once. A search sees the collection as it was
    when the search began and never waits for a write. As a context manager, the collection closes
    at the end. With `mode="r"`, methods that would change the collection raise `InvalidInputError`.
    A collection cannot be copied or pickled: open it in the other process.

    Every method has a version for `asyncio`, with the prefix `a`: `await collection.asearch(…)`
    does the same on a thread of the event loop.
    """

    __slots__ = ()

    @property
    def dim(self) -> int | None:
        """Length of every vector; `None` until the first vector or `tiercel.open` sets it."""
        return self._core.dim

    @property
    def metric(self) -> str:
        """The distance: "cosine", "dot" or "l2"."""
        return self._core.metric

    @property
    def storage(self) -> str:
        """The codes that were asked for, such as "auto"; `stats()["storage"]` are those in use."""
        return self._core.storage

    @property
    def raw(self) -> Literal["memory", "disk"]:
        """Where full vectors are kept until the collection is closed."""
        return self._core.raw

    @property
    def rerank(self) -> Literal["full", "f16", "none"]:
        """What searches compare the best candidates with once more until the collection is closed."""
        return self._core.rerank

    @property
    def language(self) -> str | None:
        """Language of the texts; `None` if words are taken as they are."""
        return self._core.language

    @property
    def fingerprint(self) -> str | None:
        """Identifies the embedder of the collection; `None` without one."""
        return self._core.fingerprint

    @property
    def schema(self) -> dict[str, Any]:
        """Types of metadata fields; empty without a schema."""
        return types_of_names(self._core.schema)

    @overload
    def get(self, ids: str, *, include: Iterable[Include] = ...) -> Match | None: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def get(self, ids: Iterable[str], *, include: Iterable[Include] = ...) -> list[Match | None]: ...
    def get(
        self, ids: str | Iterable[str], *, include: Iterable[Include] = INCLUDES
    ) -> Match | list[Match | None] | None:
        """Get a record by its id, or a list by many ids in their order; `None` for an id without one.

        Raises
        ------
        CorruptionError
            The metadata of a record is damaged, and `include` asks for it.
        """
        refuse_unordered(ids, "ids")
        found = self._core.get(record_ids(ids), included(include))
        records = [record(row) if row is not None else None for row in found]
        return records[0] if isinstance(ids, str) else records

    @names_options
    def search(
        self,
        vector: ArrayLike | str | None = None,
        text: str | None = None,
        **options_: Unpack[SearchOptions],
    ) -> Found:
        """Find the best records by vector, by text, or by both.

        The rankings by vector and by text are fused, then `expand`, `rerank` and `mmr` apply, in
        this order. The best `k` are returned.

        Parameters
        ----------
        vector
            Array of shape `(dim,)`: find records with vectors near it. A string means a text:
            `search("cats")` is `search(text="cats")`.
        text
            Words to find (BM25, Robertson and Zaragoza 2009). With an embedder and no `vector`, the
            search is also by the vector of the text. A blank text finds nothing.
        syntax
            How to read signs and quotes in the text. "plain": ignore them, so that any user input
            searches for its words. "operators": `"a phrase"`, `+required`, `-excluded`; every
            result satisfies them, also in a search by vector. Without a vector, exclusions alone
            find nothing.
        filter
            Return only records that match: an expression of `F`, or its dict form.
        k
            Number of results, at least 1; fewer if fewer match. There is no offset: for the second
            page of ten, ask for 20 and slice.
        recall
            Share of the true nearest by vector to find, above 0 and at most 1; 0.95 by default. 1
            is exact search.
        fusion
            How to merge the two rankings: "rrf" (default), by reciprocal rank fusion (Cormack,
            Clarke and Büttcher 2009), or "weighted", by a weighted sum of scores. Passing `alpha`
            implies "weighted".
        rrf_k
            For "rrf": each ranking adds 1 / (rrf_k + rank) to the score of a record; 5 by default.
        alpha
            For "weighted": the weight of the vector score, from 0 to 1; the text score has the
            rest. 0.5 by default. Scores are scaled first: the best of a ranking gets 1, the last of
            the vector ranking 0.2, a text score its share of the best, and a record that is missing
            from a ranking 0. 1 searches by vector alone and 0 by text alone; the scores are then
            those of that search.
        expand
            Add records that the found ones lead to, see `tiercel.Expand`.
        rerank
            A callable `(query, texts) -> scores`, such as those in `tiercel.rerank`. It scores and
            orders the best candidates by their texts. Records without a text come last, in their
            previous order, with a score of minus infinity.
        rerank_depth
            Candidates for `rerank`, 1 to 100,000 and never fewer than `k`; by default 4 k, at least
            100.
        mmr
            Diversity, from 1 (none) to 0: maximal marginal relevance (Carbonell and Goldstein
            1998). The next result is the candidate d with the largest
            `mmr * relevance(d) - (1 - mmr) * max(similarity(d, s) for s in results so far)`.
            In a search by vector alone, relevance is the score, and similarity is the score of d
            for the query s. Otherwise relevance is the score divided by the best one, or the score
            of the reranker, and similarity is the cosine. A record without a vector has similarity 0 to all. Candidates
            are the best 4 k, at least 100, or the reranked ones; beyond the first 4,096 they keep
            their order. Scores stay the same.
        include
            What each match carries: any of "text", "metadata", "vector", "highlights".
        explain
            Store the plan, with times, in `Found.plan`.

        Raises
        ------
        InvalidInputError
            There is neither a vector nor a text, or an argument or the result of `rerank` is
            invalid.
        DimensionMismatchError
            A vector whose length is not `dim`.
        """
        refuse_unknown_options("Collection.search()", options_, "vector", "text")
        vector, text = vector_and_text(vector, text)
        if vector is None and text is None:
            raise InvalidInputError("search: expected vector, text or both, got neither")
        chosen, rerank = options(**options_), options_.get("rerank")
        reranker = None if rerank is None else scored_by(rerank, None if text is None else [text])
        finds_nothing = vector is None and self._makes_nothing_of(text)
        if text is not None and unicode_text(text, "text") and vector is None and self._embedder is not None:
            vector = None if finds_nothing else query_vector(self._embedder, text)
        if finds_nothing:
            # A blank text finds nothing, whatever the fusion.
            chosen["alpha"] = None
        else:
            check_alpha(options_.get("alpha"), vector, text)
        return Found(self._core.search(vector, text, chosen, reranker))

    @names_options
    def search_many(
        self,
        vectors: ArrayLike | Sequence[str] | None = None,
        texts: Iterable[str] | None = None,
        *,
        threads: int | None = None,
        **options_: Unpack[SearchOptions],
    ) -> list[Found]:
        """Search for many vectors, many texts, or pairs of both.

        Each result is that of `search`; all are of one snapshot.

        Parameters
        ----------
        vectors
            Array of shape `(n, dim)`. Strings are taken as texts.
        texts
            `n` strings. With an embedder and no `vectors`, the search is also by the vectors of the
            texts.
        threads
            Number of threads; by default all cores that this process may use. More than 1,024 count
            as 1,024.
        options_
            As in `search`. `rerank` is called for one query after the other.

        Raises
        ------
        InvalidInputError
            There are neither vectors nor texts, they differ in number, or an argument is invalid.
        DimensionMismatchError
            Vectors whose length is not `dim`.
        """
        refuse_unknown_options("Collection.search_many()", options_, "vectors", "texts", "threads")
        if isinstance(include := options_.get("include"), Iterator):
            # It can be consumed only once.
            options_["include"] = tuple(include)
        vectors, texts = vectors_and_texts(vectors, texts)
        if vectors is None and texts is None:
            raise InvalidInputError("search_many: expected vectors, texts or both, got neither")
        chosen = options(**options_)
        rerank = options_.get("rerank")
        contents = None if texts is None else query_texts(texts)
        reranker = None if rerank is None else scored_by(rerank, contents)
        workers = thread_count(threads)
        if contents is not None and vectors is None and self._embedder is not None:
            if any(map(self._makes_nothing_of, contents)):
                # A blank text finds nothing in any snapshot.
                there = [text for text in contents if not self._makes_nothing_of(text)]
                answers = iter(self.search_many(texts=there, threads=threads, **options_) if there else [])
                return [
                    self.search(text=text, **cast("Any", options_)) if self._makes_nothing_of(text) else next(answers)
                    for text in contents
                ]
            vectors = query_vectors(self._embedder, contents)
        check_alpha(options_.get("alpha"), vectors, contents)
        return [Found(columns) for columns in self._core.search_many(vectors, contents, chosen, reranker, workers)]

    def _makes_nothing_of(self, text: str | None) -> bool:
        """Whether this text is blank, so that the embedder must not see it."""
        return self._embedder is not None and isinstance(text, str) and is_blank(text)

    def count(self, *, filter: Filter | Metadata | None = None) -> int:
        """Count the records that pass a filter, or all records."""
        return self._core.count(None if filter is None else as_json(filter))

    def scan(
        self,
        *,
        filter: Filter | Metadata | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        include: Iterable[Include] = ("text", "metadata"),
    ) -> Scan:
        """Iterate over records in order, as they are now.

        They are read on demand, and their score is `None`.

        Parameters
        ----------
        filter
            Return only records that match.
        order_by
            A field by its dotted name; `"-field"` for largest first. By default, the order of
            writing. Types come one after the other: numbers, dates, other strings, False, True,
            None, lists, dicts. Within a type the order is that of `<` in filters: dates, which are
            strings in ISO 8601, as points in time, unless the schema says `str`. Records without
            the field come last either way. The scan first reads all records and keeps the value of
            each in memory.
        limit
            Maximum number of records.
        after
            A `Scan.position`: continue after it, in the same order, even if its record is gone.
            `None` begins with the first record; an empty string is refused. A position is valid
            until `compact` has renumbered the records twice.
        include
            As in `search`.

        Raises
        ------
        InvalidInputError
            An argument is invalid, or `after` is not a position of a scan with this `order_by`.
        StorageFailedError
            While reading with `mode="r"`: the writer has replaced so much that the snapshot of the
            scan is no longer on disk. A scan never changes its snapshot; call `refresh` and begin a
            new scan `after` its position.

        Examples
        --------
        >>> import tempfile, tiercel
        >>> collection = tiercel.open(tempfile.mkdtemp())
        >>> _ = collection.upsert(["a", "b", "c"])
        >>> page = collection.scan(limit=2)
        >>> [match.id for match in page]
        ['a', 'b']
        >>> _ = collection.delete(["b"])
        >>> [match.id for match in collection.scan(after=page.position)]
        ['c']
        """
        core = self._core.scan(
            None if filter is None else as_json(filter),
            None if order_by is None else sort_order(order_by),
            None if limit is None else whole(limit, "limit", 0, MAX_LIMIT),
            None if after is None else unicode_text(after, "after"),
            included(include),
        )
        return Scan._begun(self, core, after)  # pyright: ignore[reportPrivateUsage]

    def ascan(
        self,
        *,
        filter: Filter | Metadata | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        include: Iterable[Include] = ("text", "metadata"),
    ) -> AsyncScan:
        """`scan` for `async for`.

        It begins when the first record is requested, and reads on a thread of the event loop.
        """
        chosen = partial(self.scan, filter=filter, order_by=order_by, limit=limit, after=after, include=include)
        return AsyncScan(chosen)

    def refresh(self) -> bool:
        """Load every write that was acknowledged before this call; return whether anything changed.

        Only a collection opened with `mode="r"` can fall behind. The cost of a refresh depends on
        what changed. Searches continue meanwhile, each in one snapshot. The reader loads the whole
        collection again, with both snapshots in memory, if files that lead to the new one are gone,
        or if a new checkpoint has other codes or tens of thousands of records that the reader took
        from the log. A read that needs what the writer has removed refreshes automatically and answers from
        the newer snapshot.

        Raises
        ------
        CorruptionError
            A file is damaged; the collection keeps its snapshot.
        StorageFailedError
            The directory cannot be read, or another collection has taken its place.
        MissingFileError
            The collection is gone.
        """
        return self._core.refresh()

    def wait_idle(self) -> None:
        """Do background work now: move new vectors into graphs, merge texts, drop deleted records."""
        with telling_where(self._path):
            self._core.wait_idle()

    def checkpoint(self) -> None:
        """Write indexes to files, so that opening reads them instead of building them.

        Happens automatically as the collection grows.
        """
        with telling_where(self._path):
            self._core.checkpoint()

    def compact(self, *, storage: str | None = None) -> None:
        """Rebuild without deleted records and return unused disk space.

        If most records ever written are gone, it renumbers the others; writes wait for that.

        Parameters
        ----------
        storage
            Also change the codes that searches compare, see `tiercel.open`. The index is built
            anew while searches and writes go on. Without a `dim`, the records are renumbered. After
            a crash, the collection has the old or the new codes.

        Raises
        ------
        InvalidInputError
            No storage has that name, or it has more parts than values. Nothing was changed.
        MemoryError
            Too little memory is free to build a graph beside the old ones. Nothing was changed.
        """
        with telling_where(self._path):
            check_room_to_compact(self._core.bytes_to_compact(storage))
            self._core.compact(storage)

    def verify(self) -> list[str]:
        """Read all files; return a list of what is damaged, file by file.

        An empty list means that all is well.

        Raises
        ------
        MissingFileError
            The collection is gone.
        """
        with telling_gone(self._path):
            return self._core.verify()

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the collection to a new or empty directory outside it. Open the copy as usual.

        A failed backup leaves nothing behind.

        Raises
        ------
        MissingFileError
            The collection is gone; `filename` is its directory.
        StorageFailedError, DiskFullError
            The copy could not be written; `filename` is `path`.
        """
        with telling_gone(self._path), telling_where(self._path):
            self._core.backup(path_name(path, "path"))

    def stats(self) -> dict[str, Any]:
        """Count records, rows and waiting vectors, and the bytes in memory and on disk by part.

        "trouble" is the last failure that no call raised, in background work or in a sync at an
        interval, or None. It is a dict with a "message", a "time" as from `time.time`, and "lasts":
        whether the same work has not succeeded since. Failures are also logged by the logger
        "tiercel", and the first one is a `RuntimeWarning` of the next call.
        """
        with telling_gone(self._path):
            return self._core.stats()

    aget = async_method(get)
    asearch = async_method(search)
    asearch_many = async_method(search_many)
    acount = async_method(count)
    arefresh = async_method(refresh)
    await_idle = async_method(wait_idle)
    acheckpoint = async_method(checkpoint)
    acompact = async_method(compact)
    averify = async_method(verify)
    abackup = async_method(backup)
    astats = async_method(stats)

    def __len__(self) -> int:
        return len(self._core)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the current ids, in the order of writing. `scan` returns the records."""
        return (match.id for match in self.scan(include=()))

    def __contains__(self, id: object) -> bool:
        """Whether there is a record with this id; False for what is no id."""
        try:
            name = record_id(id, "id")
        except InvalidInputError:
            return False
        return self._core.contains(name)

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"records={len(self)}"
        return f"Collection({self._path!r}, dim={self.dim}, metric={self.metric!r}, {state})"
