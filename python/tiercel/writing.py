"""What changes the records of a collection."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Never, TypeAlias, cast

from numpy.typing import ArrayLike

from tiercel.async_methods import async_method
from tiercel.checks import (
    Metadata,
    beside,
    column_of_vectors,
    expected_sequences,
    field_names,
    given_vectors,
    many,
    record_ids,
    record_texts,
    refuse_repeated,
    refuse_texts,
    refuse_unknown,
)
from tiercel.embed import embed_missing
from tiercel.errors import ConflictError, InvalidInputError
from tiercel.filters import Filter, as_json
from tiercel.open_collection import OpenCollection
from tiercel.places import telling_where
from tiercel.plain import given_metadata, json_object, record_metadata

__all__ = ["Writing"]

_Batch: TypeAlias = tuple[list[str], Any, list[bool] | None, list[str | None] | None, list[str | None] | None]
"""Ids, vectors, which ids have one unless it is all or none, texts, metadata."""
_COLUMNS: Final = ("ids", "vectors", "texts", "metadata", "if_sequence")
_NO_VECTOR: Final = "vectors=, with None for a record that is to have no vector,"
"""How to write texts without vectors where an embedder is missing."""


class Writing(OpenCollection):
    """The methods of `Collection` that write."""

    __slots__ = ()

    def upsert(
        self,
        ids: str | Iterable[str],
        vectors: ArrayLike | Sequence[ArrayLike | None] | None = None,
        texts: str | Iterable[str | None] | None = None,
        metadata: Metadata | Iterable[Metadata | None] | None = None,
        *,
        if_sequence: int | Iterable[int] | None = None,
        **unknown: Never,
    ) -> int:
        """Put records in: all of them or, if anything is wrong, none. A record replaces an older one with its id as a whole.

        What a call leaves out is gone afterwards: `upsert("a", texts="new")` drops the vector and the metadata that "a" had. `update`
        keeps them. When this returns, the batch is on disk (as `durability` says) and searches find it.

        Parameters
        ----------
        ids
            Strings of 1 to 512 bytes in UTF-8, in a list or the like: a set has no order, and is refused beside columns. Of equal ids the last wins. A single string is one record: then `vectors` is one vector of
            shape `(dim,)`, `texts` a string and `metadata` a dict.
        vectors
            Array of shape `(len(ids), dim)`, or a list in which `None` stands for no vector. With an embedder, texts without a
            vector are embedded. If the collection was made with an embedder and opened without, texts alone are refused, for no search
            by vector would find them; `vectors=[None]`, with a `None` for each id, says that this is meant.
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
            An argument is not what it must be; the message names the argument and the place. Or texts come without `vectors`, and the
            collection was made with an embedder and opened without.
        DimensionMismatchError
            Vectors of another length than `dim`.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        DiskFullError
            The disk is full; nothing was changed, and the collection goes on working.
        StorageFailedError
            The disk failed. Later writes are refused until the collection is opened again; reads go on.
        """
        refuse_unknown("Collection.upsert()", unknown, _COLUMNS)
        batch = self._batch(ids, vectors, texts, metadata, if_sequence)
        # A list with gaps says that there is no vector: here, unlike in `update`, no old one stays beside a new text.
        if vectors is None:
            self._check_vectors_beside_texts(batch, _NO_VECTOR)
        with telling_where(self._path):
            return self._core.upsert(batch, expected_sequences(if_sequence, len(batch[0])))

    def add(
        self,
        ids: str | Iterable[str],
        vectors: ArrayLike | Sequence[ArrayLike | None] | None = None,
        texts: str | Iterable[str | None] | None = None,
        metadata: Metadata | Iterable[Metadata | None] | None = None,
        **unknown: Never,
    ) -> int:
        """Put new records in: all of them or, if an id has a record already or anything else is wrong, none.

        `upsert` replaces records instead.

        Parameters
        ----------
        ids
            As in `upsert`, and all different.
        vectors, texts, metadata
            As in `upsert`.

        Returns
        -------
        int
            How many records were added.

        Raises
        ------
        ConflictError
            An id has a record already, perhaps since a moment ago; `id` says which.
        InvalidInputError
            An id stands twice in the batch, or as in `upsert`.
        DimensionMismatchError, DiskFullError, StorageFailedError
            As in `upsert`.

        Examples
        --------
        >>> import tempfile, tiercel
        >>> collection = tiercel.open(tempfile.mkdtemp())
        >>> collection.add(["a", "b"], texts=["a cat", "a hen"])
        2
        >>> collection.add("b", texts="another hen")
        Traceback (most recent call last):
            ...
        tiercel.errors.ConflictError: ids[0]: expected a new id, got 'b', which has a record; upsert replaces it
        >>> collection.close()
        """
        refuse_unknown("Collection.add()", unknown, _COLUMNS[:-1])
        batch = self._batch(ids, vectors, texts, metadata, None)
        names = batch[0]
        refuse_repeated(names)
        if vectors is None:
            self._check_vectors_beside_texts(batch, _NO_VECTOR)
        with telling_where(self._path):
            try:
                return self._core.upsert(batch, [0] * len(names))
            except ConflictError as error:
                place = f"ids[{names.index(error.id)}]"
                message = f"{place}: expected a new id, got {error.id!r}, which has a record; upsert replaces it"
                raise ConflictError(message, error.id, error.expected, error.actual) from None

    def update(
        self,
        ids: str | Iterable[str],
        vectors: ArrayLike | Sequence[ArrayLike | None] | None = None,
        texts: str | Iterable[str | None] | None = None,
        metadata: Metadata | Iterable[Metadata | None] | None = None,
        *,
        if_sequence: int | Iterable[int] | None = None,
        **unknown: Never,
    ) -> int:
        """Change parts of records and keep the rest, all or none; returns how many of the ids are there. Unknown ids change nothing.

        Nobody else's write comes between reading the rest and writing it back. A record with a new vector or text moves to the end of
        the order of writing, as with `upsert`.

        Parameters
        ----------
        ids
            As in `upsert`. Of equal ids the later changes what the earlier left.
        vectors, texts, metadata
            As in `upsert`, but `None` keeps what the record has. With an embedder, a new text without a vector is embedded. Without one,
            the vector stays. Metadata are replaced as a whole; `patch_metadata` changes fields of them.
        if_sequence
            As in `upsert`: change only what has not been written since it was read.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be, or nothing is given to change; or texts come without vectors, and the collection was made
            with an embedder and opened without.
        DimensionMismatchError
            Vectors of another length than `dim`.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        CorruptionError
            The text or the metadata that would be kept cannot be read.
        DiskFullError, StorageFailedError
            As in `upsert`.

        Examples
        --------
        >>> import tempfile, tiercel
        >>> collection = tiercel.open(tempfile.mkdtemp())
        >>> _ = collection.upsert("a", texts="a cat", metadata={"lang": "en"})
        >>> collection.update("a", texts="a black cat")
        1
        >>> match = collection.get("a")
        >>> match.text, match.metadata
        ('a black cat', {'lang': 'en'})
        >>> collection.close()
        """
        refuse_unknown("Collection.update()", unknown, _COLUMNS)
        if vectors is None and texts is None and metadata is None:
            raise InvalidInputError("update: expected vectors, texts or metadata, got none of them")
        batch = self._batch(ids, vectors, texts, metadata, if_sequence)
        self._check_vectors_beside_texts(batch, "vectors=")
        with telling_where(self._path):
            return self._core.update(batch, expected_sequences(if_sequence, len(batch[0])))

    def _batch(self, ids: str | Iterable[str], vectors: Any, texts: Any, metadata: Any, if_sequence: Any) -> _Batch:
        """Records by columns, as the core reads them, with the vectors of texts that have none."""
        names = record_ids(ids, vectors, texts, metadata, many(if_sequence))
        refuse_texts(vectors)
        contents = record_texts(beside(ids, texts), names)
        values = record_metadata(beside(ids, metadata), names)
        vectors = column_of_vectors(vectors)
        if self._embedder is not None and contents is not None:
            vectors = embed_missing(vectors, contents, self._embedder)
        rows, with_vector = given_vectors(vectors, names)
        return names, rows, with_vector, contents, values

    def _check_vectors_beside_texts(self, batch: _Batch, cure: str) -> None:
        """Refuse a text without a vector where an embedder makes the vectors, and is not here."""
        fingerprint = None if self._embedder is not None else self._core.fingerprint
        # A reader and a closed collection refuse every write, and say why.
        if fingerprint is None or self._mode == "r" or self._core.closed:
            return
        _, vectors, with_vector, texts, _ = batch
        for at, text in enumerate(texts or ()):
            has_vector = vectors is not None if with_vector is None else with_vector[at]
            if text is not None and not has_vector:
                raise InvalidInputError(
                    f"texts[{at}]: expected a vector beside it, since vectors here are made by the embedder {fingerprint!r}, and"
                    f" the collection was opened without it: give {cure} or open with embedder="
                )

    def update_metadata(
        self,
        ids: str | Iterable[str],
        metadata: Metadata | Iterable[Metadata | None],
        *,
        if_sequence: int | Iterable[int] | None = None,
    ) -> int:
        """Replace the metadata of records, all or none; returns how many of the ids are there. Unknown ids change nothing.

        `patch_metadata` changes fields of it instead.

        Parameters
        ----------
        ids, metadata
            As in `upsert`; `None` leaves a record without metadata.
        if_sequence
            As in `upsert`: replace only what has not been written since it was read.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        """
        names = record_ids(ids, metadata)
        values = given_metadata(beside(ids, metadata), names)
        with telling_where(self._path):
            return self._core.set_metadata(names, values, expected_sequences(if_sequence, len(names)))

    def patch_metadata(
        self,
        ids: str | Iterable[str],
        merge: Metadata | Iterable[Metadata | None] | None = None,
        *,
        remove: str | Iterable[str] | None = None,
        if_sequence: int | Iterable[int] | None = None,
    ) -> int:
        """Change fields of the metadata of records, all or none; returns how many of the ids are there. Unknown ids change nothing.

        Nobody else's write comes between reading the metadata and writing it back. First the fields in `remove` go, then those of `merge`
        come in.

        Parameters
        ----------
        ids
            As in `upsert`. Of equal ids the later changes what the earlier left.
        merge
            Fields to set: one dict for all records, or one for each. A dict within a dict is merged, too; any other value, `None` and
            lists among them, takes the place of what was there. Dots mean nothing here: `{"author": {"name": "Ann"}}` sets the `name` in the
            object `author`, and `"author.name"` is a key with a dot in it. Such a key is refused where the record has that field in an object
            and no such key, since filters would no longer see the field.
        remove
            Names of fields to remove. `"author.name"` is both the key `"author.name"` and the `name` in the object `author`, so that a filter of
            this name finds nothing any more. A record may lack them.
        if_sequence
            As in `upsert`: change only what has not been written since it was read.

        Raises
        ------
        InvalidInputError
            An argument is not what it must be, neither `merge` nor `remove` is given, a key of `merge` has a dot and hides a field of the
            record, or what comes out is too large or does not agree with the schema.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        CorruptionError
            The metadata of a record cannot be read; `update_metadata` replaces them.
        DiskFullError, StorageFailedError
            As in `upsert`.

        Examples
        --------
        >>> import tempfile, tiercel
        >>> collection = tiercel.open(tempfile.mkdtemp())
        >>> _ = collection.upsert(["a", "b"], metadata=[{"lang": "en", "draft": True}, {"lang": "de"}])
        >>> collection.patch_metadata(["a", "b"], {"seen": {"by": "Ann"}}, remove=["draft"])
        2
        >>> [match.metadata for match in collection.get(["a", "b"])]
        [{'lang': 'en', 'seen': {'by': 'Ann'}}, {'lang': 'de', 'seen': {'by': 'Ann'}}]
        >>> collection.close()
        """
        if merge is None and remove is None:
            raise InvalidInputError("patch_metadata: expected merge, remove or both, got neither")
        is_one = isinstance(merge, Mapping)
        names = record_ids(ids, None if is_one else merge, many(if_sequence))
        if merge is None:
            values: list[str | None] = [None] * len(names)
        elif is_one:
            values = [json_object(cast("Metadata", merge), "merge")] * len(names)
        else:
            values = given_metadata(merge, names, "merge")
        fields = [] if remove is None else field_names(remove, "remove")
        with telling_where(self._path):
            try:
                return self._core.patch_metadata(names, values, fields, expected_sequences(if_sequence, len(names)))
            except InvalidInputError as error:
                # What comes out is refused for what is merged.
                place = r"merge" if is_one else r"merge[\1]"
                raise InvalidInputError(re.sub(r"^metadata\[(\d+)\]", place, str(error))) from None

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
            An expression of `F`, or its dict form. One that holds for every record since nothing is asked in it, such as `{}` or
            `{"$and": []}`, is refused: `clear` removes everything.
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
            if isinstance(ids, Filter | Mapping):
                kind = type(cast("object", ids)).__name__
                raise InvalidInputError(f"ids: expected a str or a list of them, got {kind}; give a filter as filter=")
            names = record_ids(ids, many(if_sequence))
            with telling_where(self._path):
                return self._core.delete(names, expected_sequences(if_sequence, len(names)))
        if if_sequence is not None:
            raise InvalidInputError("if_sequence: expected ids beside it, got a filter")
        with telling_where(self._path):
            return self._core.delete_where(as_json(cast("Filter | Metadata", filter)))

    def clear(self) -> int:
        """Remove all records in one step; returns how many there were. `compact` gives the space on disk back.

        Raises
        ------
        InvalidInputError
            The collection is open with `mode="r"`.
        DiskFullError, StorageFailedError
            As in `upsert`.
        """
        with telling_where(self._path):
            return self._core.clear()

    aadd = async_method(add)
    aupsert = async_method(upsert)
    aupdate = async_method(update)
    aupdate_metadata = async_method(update_metadata)
    apatch_metadata = async_method(patch_metadata)
    adelete = async_method(delete)
    aclear = async_method(clear)
