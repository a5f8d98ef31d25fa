"""Collections: records kept in a directory, found by vector, text and metadata.

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
from typing import Any, Unpack, cast, final, overload

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
from tiercel.embed import query_vector, query_vectors
from tiercel.errors import InvalidInputError
from tiercel.filters import Filter, as_json
from tiercel.found import Found, Include, Match, record
from tiercel.paths import path_name
from tiercel.places import telling_gone, telling_where
from tiercel.policy.cores import cores
from tiercel.rerank import scored_by
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
from tiercel.writing import Writing

__all__ = ["Collection"]


@final
class Collection(Writing):
    """Records in a directory, each with a string id and any of a vector, a text and metadata; made by `tiercel.open`.

    Every method may be called from several threads at once. A search sees the collection as it was when the search began and
    never waits for a write. A context manager closes the collection at the end. What changes a collection that is open with
    `mode="r"` raises `InvalidInputError`. It cannot be copied or pickled: open it in the other process. Every method has a version for `asyncio`, with the prefix `a`: `await collection.asearch(…)`
    does the same on a thread of the event loop.
    """

    __slots__ = ()

    @property
    def dim(self) -> int | None:
        """Length of every vector; `None` until the first one was put in, unless `tiercel.open` was told."""
        return self._core.dim

    @property
    def metric(self) -> str:
        """What is smallest for the nearest vectors."""
        return self._core.metric

    @property
    def language(self) -> str | None:
        """Language of the texts, as `tiercel.open` was told; `None` where words are taken as they are."""
        return self._core.language

    @property
    def fingerprint(self) -> str | None:
        """Names the embedder of the collection; `None` without one."""
        return self._core.fingerprint

    @property
    def schema(self) -> dict[str, Any]:
        """Types of fields of the metadata, as `tiercel.open` was told; empty without a schema."""
        return types_of_names(self._core.schema)

    @overload
    def get(self, ids: str, *, include: Iterable[Include] = ...) -> Match | None: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def get(self, ids: Iterable[str], *, include: Iterable[Include] = ...) -> list[Match | None]: ...
    def get(
        self, ids: str | Iterable[str], *, include: Iterable[Include] = INCLUDES
    ) -> Match | list[Match | None] | None:
        """A record by its id, or a list of records by many ids, in their order; `None` for an id that has no record.

        Raises
        ------
        CorruptionError
            The metadata of one of them cannot be read, and is asked for.
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

        The rankings by vector and by text are fused; then come `expand`, `rerank` and `mmr`, in this order, and the best `k` are given.

        Parameters
        ----------
        vector
            Array of shape `(dim,)`: find records with vectors near it. A string here is a text: `search("cats")` is `search(text="cats")`.
        text
            Words to find (BM25, Robertson and Zaragoza 2009). With an embedder and no `vector`, records with vectors near that of the text
            are found, too. A blank text finds nothing.
        syntax
            What signs and quotes in the text mean. "plain": nothing, so any text of a user is a query for its words. "operators":
            `"a phrase"` in double quotes, `+required`, `-excluded`; where there is a vector, given or embedded, what the text requires,
            excludes and quotes holds for every result. Exclusions alone find nothing without a vector.
        filter
            Only among the records that pass: an expression of `F`, or its dict form.
        k
            Results, at least 1; fewer come back when there are fewer. There is no offset: for page two of ten ask for 20 and slice.
        recall
            Wanted share of the true nearest by vector, above 0 and at most 1; 0.95 unless given. 1 is exact search.
        fusion
            How two rankings become one: "rrf", by reciprocal rank fusion (Cormack, Clarke and Büttcher 2009), or "weighted", by a weighted
            sum of the scores. "rrf" unless `alpha` is given.
        rrf_k
            For "rrf": each ranking adds 1 / (rrf_k + rank) to the score of a record; 5 unless given.
        alpha
            For "weighted": the weight of the score by vector, from 0 to 1; that by text has the rest. 0.5 unless given. Scores are scaled
            first: the best of a ranking has 1, the worst of the ranking by vector 0.2, a score by text its share of the best, and a record
            that a ranking lacks 0. 1 is the search by vector alone, 0 the search by text alone, with their scores; they need a vector or a
            text.
        expand
            Go on to records that the found ones lead to, see `tiercel.Expand`.
        rerank
            Any callable `(query, texts) -> scores`, such as those of `tiercel.rerank`. It sees the texts of the best candidates; these get
            its scores and its order. Records without a text come last, in the order they had, their score minus infinity.
        rerank_depth
            Candidates that `rerank` sees, 1 to 100,000 and never less than `k`; 4 k, at least 100, unless given.
        mmr
            Choose for diversity, from 1 for none to 0: maximal marginal relevance (Carbonell and Goldstein 1998). The next result is the
            candidate d with the largest `mmr * relevance(d) - (1 - mmr) * max(likeness(d, s) for s in results so far)`. By vector alone,
            relevance is the score, and likeness the score of d for the query s: both are similarities under the metric. By text or by
            both, relevance is the score divided by the best one, after `rerank` it is what the reranker gave, and likeness is the cosine. A
            record without a vector has a likeness of 0 with all. Candidates are the best 4 k, at least 100, or those that were reranked;
            beyond the first 4,096 they keep their order. Scores stay as they were.
        include
            What each match brings along: any of "text", "metadata", "vector", "highlights".
        explain
            Keep the plan, with times, as `Found.plan`.

        Raises
        ------
        InvalidInputError
            Neither a vector nor a text is given, or an argument or what `rerank` returned is not what it must be.
        DimensionMismatchError
            A vector of another length than `dim`.
        """
        refuse_unknown_options("Collection.search()", options_, "vector", "text")
        vector, text = vector_and_text(vector, text)
        if vector is None and text is None:
            raise InvalidInputError("search: expected vector, text or both, got neither")
        chosen, rerank = options(**options_), options_.get("rerank")
        reranker = None if rerank is None else scored_by(rerank, None if text is None else [text])
        is_blank = vector is None and self._makes_nothing_of(text)
        if text is not None and unicode_text(text, "text") and vector is None and self._embedder is not None:
            vector = None if is_blank else query_vector(self._embedder, text)
        if is_blank:
            # It finds nothing, by whatever ranking.
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
        """Search for many vectors, many texts, or pairs of both; each answer is that of `search`. All see the collection at one moment.

        Parameters
        ----------
        vectors
            Array of shape `(n, dim)`. Strings here are texts.
        texts
            `n` strings. With an embedder and no `vectors`, records with vectors near those of the texts are found, too.
        threads
            Threads to work on; by default all cores that this process may use.
        options_
            Those of `search`. `rerank` is called for one query after the other.

        Raises
        ------
        InvalidInputError
            Neither vectors nor texts are given, they differ in number, or an argument is not what it must be.
        DimensionMismatchError
            Vectors of another length than `dim`.
        """
        refuse_unknown_options("Collection.search_many()", options_, "vectors", "texts", "threads")
        vectors, texts = vectors_and_texts(vectors, texts)
        if vectors is None and texts is None:
            raise InvalidInputError("search_many: expected vectors, texts or both, got neither")
        chosen = options(**options_)
        rerank = options_.get("rerank")
        contents = None if texts is None else query_texts(texts)
        reranker = None if rerank is None else scored_by(rerank, contents)
        workers = cores() if threads is None else whole(threads, "threads", 1, 1024)
        if contents is not None and vectors is None and self._embedder is not None:
            if any(map(self._makes_nothing_of, contents)):
                # Each answer is that of `search`, and what is blank finds nothing at any moment.
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
        """Whether the embedder is not asked for a vector of this text, since it is blank."""
        return self._embedder is not None and isinstance(text, str) and not text.strip()

    def count(self, *, filter: Filter | Metadata | None = None) -> int:
        """Count the records that pass a filter, or all."""
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
        """Records in order, without a search; their score is `None`. They are those of the moment of the call, and read as they are asked for.

        Parameters
        ----------
        filter
            Only those that pass.
        order_by
            A field by its dotted name, `"-field"` for largest first; unless given, the order in which records were written. Types follow each
            other: numbers, dates, other strings, False, True, None, lists, dicts. Within a type the order is that of `<` in filters: dates,
            which are strings in ISO 8601, as points in time, unless the schema says that the field is a `str`. Records without the field come
            last either way. The scan then reads all records first and keeps the value of each in memory.
        limit
            At most so many.
        after
            A `Scan.position`: the records behind it, in the same order; `None` begins with the first, and an empty string is no position.
            The record that stood there may be gone.
            A position counts until `compact` has numbered the records anew twice.
        include
            As in `search`.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be; `after` is no position of a scan with this `order_by`.
        StorageFailedError
            While reading, with `mode="r"`: the writer has gone on so far that the state of the scan is no longer on disk. A scan never goes on in
            another state by itself; `refresh`, and a new scan `after` its position, go on in the newest.

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
        """`scan` for `async for`: it begins when the first record is asked for, and reads on a thread of the event loop."""
        chosen = partial(self.scan, filter=filter, order_by=order_by, limit=limit, after=after, include=include)
        return AsyncScan(chosen)

    def refresh(self) -> bool:
        """Take in every write that was acknowledged before this call; returns whether anything has changed.

        Only a collection that is open with `mode="r"` can fall behind. A refresh costs as much as what has changed, searches
        go on meanwhile, and each of them sees one state. It reads the whole collection again, with both states in memory for that
        time, when the files that lead from one state to the other are gone, or when a new checkpoint holds tens of thousands of records
        that the reader has taken in one by one. A read that needs what the writer has removed refreshes by itself and answers from
        the newer state.

        Raises
        ------
        CorruptionError
            A file is damaged; the collection stays where it is.
        StorageFailedError
            The directory cannot be read, or another collection has taken its place.
        MissingFileError
            The collection is gone.
        """
        return self._core.refresh()

    def wait_idle(self) -> None:
        """Do now what the background does: move new vectors into the graph, merge texts, take out the dead."""
        with telling_where(self._path):
            self._core.wait_idle()

    def checkpoint(self) -> None:
        """Write what searches need to files, so that opening reads instead of building. Happens by itself as the collection grows."""
        with telling_where(self._path):
            self._core.checkpoint()

    def compact(self) -> None:
        """Rebuild without dead records and give unused space on disk back.

        Where most of what was ever written is gone, the records are numbered anew, and writes wait for that; see `after` of `scan`.
        """
        with telling_where(self._path):
            self._core.compact()

    def verify(self) -> list[str]:
        """Read everything on disk; returns what is damaged, file by file. An empty list is good news.

        Raises
        ------
        MissingFileError
            The collection is gone.
        """
        with telling_gone(self._path):
            return self._core.verify()

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a complete copy to a directory that is new or empty, outside that of the collection; open it like any collection.

        If it fails, nothing of the copy is left.

        Raises
        ------
        MissingFileError
            The collection is gone, and `filename` is its directory.
        StorageFailedError, DiskFullError
            The copy could not be written, and `filename` is `path`.
        """
        with telling_gone(self._path), telling_where(self._path):
            self._core.backup(path_name(path, "path"))

    def stats(self) -> dict[str, Any]:
        """Numbers of records, rows and vectors that wait; bytes in memory and on disk by part.

        "trouble" is the last failure that no call raised, of the work in the background or of a sync at an interval, or None: a dict with
        its "message", its "time" as `time.time` gives it, and whether it "lasts", that is, what failed has not succeeded since. Each one
        is also logged, by the logger "tiercel", and the first is a `RuntimeWarning` of the next call.
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
        """The ids, in the order in which records were written, as of now. `scan` returns the records."""
        return (match.id for match in self.scan(include=()))

    def __contains__(self, id: object) -> bool:
        """Whether there is a record of this id. What `get` refuses as one is refused here, too."""
        return self._core.contains(record_id(id, "id"))

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"records={len(self)}"
        return f"Collection({self._path!r}, dim={self.dim}, metric={self.metric!r}, {state})"
