"""Which records of a file a collection does not have yet."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tiercel import Collection, CorruptionError
from tiercel.embed import HashingEmbedder

Record = dict[str, Any]


def new_records(collection: Collection, records: Sequence[Record], embedder: HashingEmbedder | None) -> list[bool]:
    """Whether each of these records would change the collection if they were written one after the other."""
    names = [each["id"] if isinstance(each["id"], str) else None for each in records]
    there = _contents(collection, [name for name in names if name is not None])
    new: list[bool] = []
    for name, record, vector in zip(names, records, _vectors(records, embedder), strict=True):
        content = _content(record.get("text"), record.get("metadata"), vector)
        # What is no id is for the collection to refuse.
        new.append(name is None or there.get(name) != content)
        if name is not None:
            there[name] = content
    return new


def _vectors(records: Sequence[Record], embedder: HashingEmbedder | None) -> list[object]:
    """The vectors that the records have, or get from the embedder."""
    vectors: list[object] = [record.get("vector") for record in records]
    if embedder is not None:
        texts = [record.get("text") for record in records]
        wanted = [at for at, text in enumerate(texts) if vectors[at] is None and isinstance(text, str)]
        for at, vector in zip(wanted, embedder.embed_documents([str(texts[at]) for at in wanted]), strict=True):
            vectors[at] = vector
    return vectors


def _contents(collection: Collection, ids: list[str]) -> dict[str, object]:
    try:
        found = collection.get(ids, include=("text", "metadata", "vector"))
    except CorruptionError:
        # What cannot be read is repaired by being written.
        return {}
    return {match.id: _content(match.text, match.metadata, match.vector) for match in found if match is not None}


def _content(text: object, metadata: object, vector: object) -> object:
    """What is equal for equal records; the order of keys counts, and 1 is not 1.0."""
    return text, json.dumps(metadata), None if vector is None else _row(vector)


def _row(vector: object) -> object:
    try:
        row = np.asarray(vector)
        if row.dtype.kind in "iuf":
            with np.errstate(over="ignore"):
                return row.shape, row.astype(np.float32).tobytes()
    except ValueError:
        # Rows of different lengths.
        pass
    # What is no vector is equal to nothing.
    return object()
