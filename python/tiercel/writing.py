"""Writing records of a collection."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    renumbered,
)
from tiercel.embed import embed_missing, is_blank
from tiercel.errors import ConflictError, InvalidInputError
from tiercel.filters import Filter, as_json
from tiercel.open_collection import OpenCollection
from tiercel.places import telling_where
from tiercel.plain import given_metadata, json_object, record_metadata

__all__ = ["Writing"]

_Batch: TypeAlias = tuple[list[str], Any, list[bool] | None, list[str | None] | None, list[str | None] | None]
"""Ids, vectors, which ids have one (`None` for all or none), texts, metadata."""
_COLUMNS: Final = ("ids", "vectors", "texts", "metadata", "if_sequence")
_NO_VECTOR: Final = "vectors=, with None for a record without a vector,"
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
        """Write records, all or none. A record replaces an existing one with the same id entirely.

        Parts that you omit are removed: `upsert("a", texts="new")` drops the vector and the
        metadata that "a" had; `update` keeps them. When this returns, the batch is durable (see
        `durability`) and searches find it.

        Parameters
        ----------
        ids
            Strings of 1 to 512 bytes in UTF-8, in a list or the like; a set has no order and is
            refused. If an id occurs twice, the last one wins. A single string means one record:
            `vectors` is then one vector of shape `(dim,)`, `texts` a string and `metadata` a dict.
        vectors
            Array of shape `(len(ids), dim)`, or a list with `None` for records without a vector. An
            embedder embeds texts that have no vector; a blank text gets none. If the collection was
            created with an embedder but opened without it, texts alone are refused unless they are
            blank, because no search by vector would find them; pass `vectors=[None]`, with a `None`
            for each id, if you mean it.
        texts, metadata
            One for each id, or `None`. Metadata are dicts that JSON can hold, at most 64 levels and
            16 Mi characters of JSON each, and must agree with the schema, if any. Values of numpy, pandas and the
            standard library are converted, see `tiercel.plain`.
        if_sequence
            Write only if each record still has this `Match.sequence`: an int for all ids, or one
            for each. 0 means that the record must not exist.

        Returns
        -------
        int
            The number of records written, one for each distinct id.

        Raises
        ------
        InvalidInputError
            An argument is invalid; the message names the argument and the place. Or texts come
            without `vectors`, and the collection was created with an embedder but opened without
            it.
        DimensionMismatchError
            Vectors whose length is not `dim`.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        DiskFullError
            The disk is full; nothing was changed, and the collection stays usable.
        StorageFailedError
            The disk failed. Later writes are refused until the collection is reopened; reads
            continue.
        """
        refuse_unknown("Collection.upsert()", unknown, _COLUMNS)
        batch, sequences = self._batch(
            ids, vectors, texts, metadata, if_sequence, check=lambda batch: self._check_new(batch, vectors)
        )
        return self._write(self._core.upsert, batch, sequences)

    def add(
        self,
        ids: str | Iterable[str],
        vectors: ArrayLike | Sequence[ArrayLike | None] | None = None,
        texts: str | Iterable[str | None] | None = None,
        metadata: Metadata | Iterable[Metadata | None] | None = None,
        **unknown: Never,
    ) -> int:
        """Write new records, all or none.

        An id that already has a record is refused; `upsert` replaces the record.

        Parameters
        ----------
        ids
            As in `upsert`, and all different.
        vectors, texts, metadata
            As in `upsert`.

        Returns
        -------
        int
            The number of records written.

        Raises
        ------
        ConflictError
            An id already has a record; `id` says which.
        InvalidInputError
            An id occurs twice, or as in `upsert`.
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

        def check(batch: _Batch) -> None:
            refuse_repeated(batch[0])
            self._check_new(batch, vectors)

        batch, _ = self._batch(ids, vectors, texts, metadata, None, check=check)
        names = batch[0]
        try:
            return self._write(self._core.upsert, batch, [0] * len(names))
        except ConflictError as error:
            place = f"ids[{names.index(cast('str', error.id))}]"
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
        """Replace parts of records and keep the rest, all or none; return how many of the ids
        exist. Unknown ids are ignored.

        The update is atomic: no other write comes in between. A record with a new vector or text
        moves to the end of the order of writing, as with `upsert`.

        Parameters
        ----------
        ids
            As in `upsert`. If an id occurs twice, the changes apply one after the other.
        vectors, texts, metadata
            As in `upsert`, but `None` keeps what the record has. An embedder embeds a new text that
            has no vector, and a blank one is refused, because the old vector would stay beside it.
            Without an embedder, the old vector stays. Metadata are replaced entirely;
            `patch_metadata` changes single fields.
        if_sequence
            As in `upsert`.

        Raises
        ------
        InvalidInputError
            An argument is invalid, or there is nothing to change; or texts come without vectors,
            and the collection was created with an embedder but opened without it.
        DimensionMismatchError
            Vectors whose length is not `dim`.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        CorruptionError
            The text or the metadata to keep is damaged.
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
        batch, sequences = self._batch(ids, vectors, texts, metadata, if_sequence, check=self._check_changed)
        return self._write(self._core.update, batch, sequences)

    def _batch(
        self,
        ids: str | Iterable[str],
        vectors: Any,
        texts: Any,
        metadata: Any,
        if_sequence: Any,
        *,
        check: Callable[[_Batch], None],
    ) -> tuple[_Batch, list[int] | None]:
        """Check records and convert them to columns for the core; embed texts without a vector.

        Return also the sequences that the records must have. All is checked before texts are
        embedded, which may take long or cost money.
        """
        names = record_ids(ids, vectors, texts, metadata, many(if_sequence))
        refuse_texts(vectors)
        contents = record_texts(beside(ids, texts), names)
        values = record_metadata(beside(ids, metadata), names)
        vectors = column_of_vectors(vectors)
        batch = (names, *given_vectors(vectors, names), contents, values)
        check(batch)
        sequences = expected_sequences(if_sequence, len(names))
        if self._embedder is not None and contents is not None:
            vectors = embed_missing(vectors, contents, self._embedder)
            batch = (names, *given_vectors(vectors, names), contents, values)
        return batch, sequences

    def _write(
        self, write: Callable[[_Batch, list[int] | None], int], batch: _Batch, sequences: list[int] | None
    ) -> int:
        """Pass a batch to the core. The core counts only the vectors that are there."""
        names, vectors, given, *_ = batch
        count = 0 if vectors is None else len(names) if given is None else sum(given)
        with telling_where(self._path):
            self._room.check(count * (self._core.dim or 0), self._core.wait_idle)
            try:
                return write(batch, sequences)
            except InvalidInputError as error:
                rows = [at for at, is_there in enumerate(batch[2] or ()) if is_there]
                named = renumbered(error, "^vectors: .* at row ", rows)
                if named is None:
                    raise
                raise named from error

    def _check_new(self, batch: _Batch, vectors: object) -> None:
        """Refuse texts alone if the collection was opened without the embedder of its vectors."""
        # `None` in a list is deliberate here: unlike in `update`, no old vector stays beside a new
        # text. A blank text would have no vector anyway.
        if self._embedder is None and vectors is None:
            self._refuse_without_embedder(
                (at for at, text in _texts_without_vector(batch) if not is_blank(text)), _NO_VECTOR
            )

    def _check_changed(self, batch: _Batch) -> None:
        """Refuse new texts that would keep the old vector, in a collection with an embedder."""
        if self._embedder is None:
            self._refuse_without_embedder((at for at, _ in _texts_without_vector(batch)), "vectors=")
        else:
            _refuse_blank(batch)

    def _refuse_without_embedder(self, texts: Iterator[int], cure: str) -> None:
        """Refuse the first of these texts if an embedder made the vectors of the collection."""
        fingerprint = self._core.fingerprint
        # Readers and closed collections refuse every write with a better error.
        if fingerprint is None or self._mode == "r" or self._core.closed:
            return
        for at in texts:
            raise InvalidInputError(
                f"texts[{at}]: expected a vector beside it, because vectors here are made by the embedder {fingerprint!r}, and"
                f" the collection was opened without it: pass {cure} or open with embedder="
            )

    def update_metadata(
        self,
        ids: str | Iterable[str],
        metadata: Metadata | Iterable[Metadata | None] | None,
        *,
        if_sequence: int | Iterable[int] | None = None,
    ) -> int:
        """Replace the metadata of records, all or none; return how many of the ids exist.

        Unknown ids are ignored.

        `patch_metadata` changes single fields instead.

        Parameters
        ----------
        ids, metadata
            As in `upsert`; `None` for an id removes its metadata.
        if_sequence
            As in `upsert`.

        Raises
        ------
        InvalidInputError
            An argument is invalid.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        """
        names = record_ids(ids, metadata)
        values = given_metadata(cast("Any", [metadata] if isinstance(ids, str) else metadata), names)
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
        """Change metadata fields of records, all or none; return how many of the ids exist.

        Unknown ids are ignored.

        The update is atomic: no other write comes in between. Fields in `remove` are removed first,
        then `merge` is merged.

        Parameters
        ----------
        ids
            As in `upsert`. If an id occurs twice, the changes apply one after the other.
        merge
            Fields to set: one dict for all records, or one for each. Nested dicts are merged, too;
            any other value, including `None` and lists, replaces the old one. Dots have no meaning:
            `{"author": {"name": "Ann"}}` sets the `name` in the object `author`, and
            `"author.name"` is a key with a dot. Such a key is refused if the record has that field
            in an object and no such key, because filters would no longer see the field.
        remove
            Names of fields to remove. `"author.name"` removes both the key `"author.name"` and the
            `name` in the object `author`, so that no filter finds it. Missing fields are ignored.
        if_sequence
            As in `upsert`.

        Raises
        ------
        InvalidInputError
            An argument is invalid, there is neither `merge` nor `remove`, a dotted key of `merge`
            would hide a field of the record, or the resulting metadata are too large or disagree
            with the schema.
        ConflictError
            A record does not have the sequence that `if_sequence` expects.
        CorruptionError
            The metadata of a record are damaged; `update_metadata` replaces them.
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
                # The core refuses the merged metadata; name the argument instead.
                place = r"merge" if is_one else r"merge[\1]"
                raise InvalidInputError(re.sub(r"^metadata\[(\d+)\]", place, str(error))) from None

    def delete(
        self,
        ids: str | Iterable[str] | None = None,
        *,
        filter: Filter | Metadata | None = None,
        if_sequence: int | Iterable[int] | None = None,
    ) -> int:
        """Delete records by id or by a filter; return how many existed.

        A filter is atomic: a record that another thread changes meanwhile is deleted only if it
        still matches.

        Parameters
        ----------
        ids
            One id or many; unknown ids are ignored.
        filter
            An expression of `F`, or its dict form. A filter without conditions, such as `{}` or
            `{"$and": []}`, is refused: `clear` deletes everything.
        if_sequence
            As in `upsert`; only with `ids`.

        Raises
        ------
        InvalidInputError
            There is neither `ids` nor `filter`, or there are both, or an argument is invalid.
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
                raise InvalidInputError(f"ids: expected a str or a list of them, got {kind}; pass a filter as filter=")
            names = record_ids(ids, many(if_sequence))
            with telling_where(self._path):
                return self._core.delete(names, expected_sequences(if_sequence, len(names)))
        if if_sequence is not None:
            raise InvalidInputError("if_sequence: expected ids beside it, got a filter")
        with telling_where(self._path):
            return self._core.delete_where(as_json(cast("Filter | Metadata", filter)))

    def clear(self) -> int:
        """Delete all records in one step; return how many there were.

        `compact` returns the disk space.

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


def _texts_without_vector(batch: _Batch) -> Iterator[tuple[int, str]]:
    _, vectors, with_vector, texts, _ = batch
    for at, text in enumerate(texts or ()):
        has_vector = vectors is not None if with_vector is None else with_vector[at]
        if text is not None and not has_vector:
            yield at, text


def _refuse_blank(batch: _Batch) -> None:
    """Refuse to update a text to a blank one: the record would be found by its old vector."""
    for at, text in _texts_without_vector(batch):
        if is_blank(text):
            raise InvalidInputError(
                f"texts[{at}]: expected words to embed, got a blank text, and the old vector would stay: pass"
                " vectors= or upsert the whole record"
            )
