"""What changes the records of a collection."""

from collections.abc import Iterable, Sequence
from typing import cast

from numpy.typing import ArrayLike

from tiercel._core import CollectionCore
from tiercel.checks import (
    Metadata,
    beside,
    column_of_vectors,
    expected_sequences,
    given_vectors,
    record_ids,
    record_texts,
)
from tiercel.embed import Embedder, embed_missing
from tiercel.errors import InvalidInputError
from tiercel.filters import Filter, as_json
from tiercel.plain import given_metadata, record_metadata
from tiercel.twins import twin

__all__ = ["Writing"]


class Writing:
    """The methods of `Collection` that write."""

    __slots__ = ()

    _core: CollectionCore
    _embedder: Embedder | None

    def upsert(
        self,
        ids: str | Iterable[str],
        vectors: ArrayLike | Sequence[ArrayLike | None] | None = None,
        texts: str | Iterable[str | None] | None = None,
        metadata: Metadata | Iterable[Metadata | None] | None = None,
        *,
        if_sequence: int | Iterable[int] | None = None,
    ) -> int:
        """Put records in: all of them or, if anything is wrong, none. A record takes the place of an older one with its id, as a whole.

        When this returns, the batch is on disk (as `durability` says) and searches find it.

        Parameters
        ----------
        ids
            Strings of 1 to 512 bytes in UTF-8. Of equal ids the last wins. A single string is one record: then `vectors` is one vector of
            shape `(dim,)`, `texts` a string and `metadata` a dict.
        vectors
            Array of shape `(len(ids), dim)`, or a list in which `None` stands for no vector. With an embedder, texts without a
            vector are embedded.
        texts, metadata
            One for each id, or `None`. Metadata are dicts that JSON can hold, at most 64 deep and 16 MiB each, and agree with the
            schema if there is one. What comes from numpy, pandas and the standard library becomes what JSON has, see `tiercel.plain`.
        if_sequence
            Write only if each record still has the `Match.sequence` that was read: an int for all ids, or one for each. 0 means that
            there must be no such record.

        Returns
        -------
        int
            How many records were put in: different ids.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be; the message names the argument and the place.
        DimensionMismatchError
            Vectors of another length than `dim`.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        DiskFullError
            The disk is full; nothing was changed, and the collection goes on working.
        StorageFailedError
            The disk failed. Later writes are refused until the collection is opened again; reads go on.
        """
        names = record_ids(ids)
        contents = record_texts(beside(ids, texts), names)
        values = record_metadata(beside(ids, metadata), names)
        vectors = column_of_vectors(vectors)
        if self._embedder is not None and contents is not None:
            vectors = embed_missing(vectors, contents, self._embedder)
        rows, with_vector = given_vectors(vectors, len(names))
        sequences = expected_sequences(if_sequence, len(names))
        return self._core.upsert(names, rows, with_vector, contents, values, sequences)

    def update_metadata(
        self,
        ids: str | Iterable[str],
        metadata: Metadata | Iterable[Metadata | None],
        *,
        if_sequence: int | Iterable[int] | None = None,
    ) -> int:
        """Replace the metadata of records, all or none; returns how many of the ids are there. Unknown ids change nothing.

        Parameters
        ----------
        ids, metadata
            As in `upsert`.
        if_sequence
            As in `upsert`: replace only what has not been written since it was read.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        """
        names = record_ids(ids)
        values = given_metadata(beside(ids, metadata), names)
        return self._core.set_metadata(names, values, expected_sequences(if_sequence, len(names)))

    def delete(
        self,
        ids: str | Iterable[str] | None = None,
        *,
        filter: Filter | Metadata | None = None,
        if_sequence: int | Iterable[int] | None = None,
    ) -> int:
        """Remove records by id, or those that pass a filter; returns how many were there.

        A filter is applied and its records are removed in one step: a record that another thread changes meanwhile is removed only if it
        still passes.

        Parameters
        ----------
        ids
            One id or many; unknown ids change nothing.
        filter
            An expression of `F`, or its dict form.
        if_sequence
            As in `upsert`, with `ids`: remove only what has not been written since it was read.

        Raises
        ------
        InvalidInputError
            Neither `ids` nor `filter` is given, or both are, or an argument is not what it must be.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        """
        if (ids is None) == (filter is None):
            raise InvalidInputError(
                "delete: expected ids or filter, got both"
                if ids is not None
                else "delete: expected ids or filter, got neither"
            )
        if ids is not None:
            names = record_ids(ids)
            return self._core.delete(names, expected_sequences(if_sequence, len(names)))
        if if_sequence is not None:
            raise InvalidInputError("if_sequence: expected ids beside it, got a filter")
        return self._core.delete_where(as_json(cast("Filter | Metadata", filter)))

    aupsert = twin(upsert)
    aupdate_metadata = twin(update_metadata)
    adelete = twin(delete)
