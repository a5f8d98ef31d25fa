"""Documents with queries, to fill and search collections."""

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tiercel

K = 10
RARE = "adv"
"""The part of speech that the suites filter by: 3% of the documents."""

Vectors = NDArray[np.float32]
NOISE = 0.2
"""Length of the noise added to the vectors of copies, whose own length is 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Documents:
    """Records, and queries each of which has one record as its answer."""

    name: str
    ids: list[str]
    vectors: Vectors
    texts: list[str]
    metadata: list[dict[str, Any]]
    queries: Vectors
    query_texts: list[str]
    relevant: list[str]

    def batches(self, size: int = 1000) -> Iterable[tuple[list[str], Vectors, list[str], list[dict[str, Any]]]]:
        for start in range(0, len(self.ids), size):
            part = slice(start, start + size)
            yield self.ids[part], self.vectors[part], self.texts[part], self.metadata[part]

    def rare(self) -> NDArray[np.bool_]:
        return np.array([each["pos"] == RARE for each in self.metadata])

    def hits(self, found: Iterable[Sequence[str]]) -> float:
        """Share of the queries, from the first on, whose relevant document was found."""
        got = [relevant in ids for ids, relevant in zip(found, self.relevant, strict=False)]
        return sum(got) / len(got)


def load(directory: Path | None, count: int | None, times: int = 1) -> Documents:
    """Load the documents of a directory, or the sample: `count` of them, in `times` copies."""
    documents = _sample() if directory is None else _files(directory)
    if count is not None:
        documents = _some(documents, count)
    return documents if times == 1 else _copies(documents, times)


def _files(directory: Path) -> Documents:
    docs, queries = _lines(directory / "docs.jsonl.gz"), _lines(directory / "queries.jsonl.gz")
    return Documents(
        name=directory.name,
        ids=[doc["id"] for doc in docs],
        vectors=_unit(np.load(directory / "base.f16.npy")),
        texts=[doc["text"] for doc in docs],
        metadata=[doc["metadata"] for doc in docs],
        queries=_unit(np.load(directory / "queries.f16.npy")),
        query_texts=[query["text"] for query in queries],
        relevant=[query["relevant"] for query in queries],
    )


def _sample() -> Documents:
    sample = tiercel.datasets.load_wordnet_sample()
    return Documents(
        name="WordNet sample",
        ids=list(sample.ids),
        vectors=sample.vectors,
        texts=list(sample.texts),
        metadata=[_metadata(name, text) for name, text in zip(sample.ids, sample.texts, strict=True)],
        queries=sample.queries,
        query_texts=list(sample.query_texts),
        relevant=[sample.ids[row] for row in sample.relevant],
    )


def _metadata(name: str, text: str) -> dict[str, Any]:
    """Metadata that the sample omits, from `"adv-00001740"` and `"word, another: gloss"`."""
    pos, offset = name.split("-")
    words = text.split(":", maxsplit=1)[0].split(", ")
    return {"pos": pos, "words": words, "n_words": len(words), "offset": int(offset)}


def _some(documents: Documents, count: int) -> Documents:
    """Select `count` evenly spaced documents, sorted by part of speech, and their queries."""
    rows = np.linspace(0, len(documents.ids) - 1, count, dtype=np.int64)
    ids = [documents.ids[row] for row in rows]
    there = set(ids)
    asked = [at for at, relevant in enumerate(documents.relevant) if relevant in there]
    return Documents(
        name=f"{documents.name}, a part",
        ids=ids,
        vectors=documents.vectors[rows],
        texts=[documents.texts[row] for row in rows],
        metadata=[documents.metadata[row] for row in rows],
        queries=documents.queries[asked],
        query_texts=[documents.query_texts[at] for at in asked],
        relevant=[documents.relevant[at] for at in asked],
    )


def _copies(documents: Documents, times: int) -> Documents:
    rng = np.random.default_rng(0)
    vectors = [documents.vectors]
    for _ in range(times - 1):
        noise = rng.standard_normal(documents.vectors.shape, np.float32)
        noise *= NOISE / np.sqrt(np.float32(noise.shape[1]))
        vectors.append(_unit(documents.vectors + noise))
    return Documents(
        name=f"{documents.name}, {times} times",
        ids=documents.ids + [f"{name}+{copy}" for copy in range(1, times) for name in documents.ids],
        vectors=np.concatenate(vectors),
        texts=documents.texts * times,
        metadata=documents.metadata * times,
        queries=documents.queries,
        query_texts=documents.query_texts,
        relevant=documents.relevant,
    )


def _unit(vectors: NDArray[Any]) -> Vectors:
    copy = vectors.astype(np.float32)
    copy /= np.linalg.norm(copy, axis=1, keepdims=True)
    return copy


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Truth:
    """The result of exact search, as the similarity that a tenth result must reach; ties count."""

    def __init__(self, documents: Documents, queries: Vectors, allowed: NDArray[np.bool_] | None = None) -> None:
        self._documents = documents
        self._queries = queries
        self._rows = {name: row for row, name in enumerate(documents.ids)}
        base = documents.vectors if allowed is None else documents.vectors[allowed]
        self._most = min(K, len(base))
        blocks = np.array_split(queries, max(1, len(queries) // 256))
        bounds = [np.partition(block @ base.T, -self._most, axis=1)[:, -self._most] for block in blocks]
        self._bounds = np.concatenate(bounds)

    def recall(self, found: Sequence[Sequence[str]]) -> float:
        """Share of the true nearest among the results, query by query from the first on."""
        hits = 0
        for ids, query, bound in zip(found, self._queries, self._bounds, strict=False):
            rows = [self._rows[name] for name in ids]
            hits += int((self._documents.vectors[rows] @ query >= bound - 1e-5).sum())
        return hits / (len(found) * self._most)
