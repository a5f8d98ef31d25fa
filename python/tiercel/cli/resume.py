"""Finds the records of a file that a collection does not have yet."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tiercel import Collection, CorruptionError
from tiercel.embed import HashingEmbedder, embed_missing

Record = dict[str, Any]


def new_records(collection: Collection, records: Sequence[Record], embedder: HashingEmbedder | None) -> list[bool]:
    """Return for each record whether it would change the collection, if written in this order."""
    names = [each["id"] if isinstance(each["id"], str) else None for each in records]
    there = _contents(collection, [name for name in names if name is not None])
    new: list[bool] = []
    for name, record, vector in zip(names, records, _vectors(records, embedder), strict=True):
        content = _content(record.get("text"), record.get("metadata"), vector)
        # The collection refuses anything that is no id.
        new.append(name is None or there.get(name) != content)
        if name is not None:
            there[name] = content
    return new


def _vectors(records: Sequence[Record], embedder: HashingEmbedder | None) -> list[object]:
    """Return the vectors of the records, made by the embedder if they have none."""
    vectors: list[object] = [record.get("vector") for record in records]
    if embedder is None:
        return vectors
    texts = [text if isinstance(text := record.get("text"), str) else None for record in records]
    return list(embed_missing(vectors, texts, embedder))


def _contents(collection: Collection, ids: list[str]) -> dict[str, object]:
    try:
        found = collection.get(ids, include=("text", "metadata", "vector"))
    except CorruptionError:
        # Writing repairs records that cannot be read.
        return {}
    return {match.id: _content(match.text, match.metadata, match.vector) for match in found if match is not None}


def _content(text: object, metadata: object, vector: object) -> object:
    """Return a value that is equal for equal records. The order of keys counts; 1 is not 1.0."""
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
    # Anything that is no vector equals nothing.
    return object()
