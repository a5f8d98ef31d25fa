"""Sample data that comes with tiercel: real text with real embeddings, small enough to ship.

The data is Princeton WordNet 3.0 under its own licence, in `wordnet/LICENSE` beside this file.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["WordnetSample", "load_wordnet_sample"]

_WORDNET = Path(__file__).parent / "wordnet"


@dataclass(frozen=True, slots=True, eq=False)
class WordnetSample:
    """5,000 glosses of WordNet 3.0 as documents and 200 example sentences as queries, with their embeddings.

    The sentences were taken out of the glosses, so queries are a different kind of text from
    documents. The embeddings are those of all-MiniLM-L6-v2 (384 values), stored as 8-bit codes:
    their cosine distance to the full ones is at most 1e-4.
    """

    vectors: NDArray[np.float32]
    """Embeddings of the documents, unit length; float32, shape (5000, 384)."""
    texts: tuple[str, ...]
    """Documents: the words of a synset and its gloss."""
    ids: tuple[str, ...]
    """Part of speech and WordNet offset of each synset, such as `"noun-00001740"`."""
    queries: NDArray[np.float32]
    """Embeddings of the queries, unit length; float32, shape (200, 384)."""
    query_texts: tuple[str, ...]
    """Queries: sentences that use a word of a synset."""
    relevant: NDArray[np.uint64]
    """Row of the document that each query illustrates; uint64, shape (200,)."""


def load_wordnet_sample() -> WordnetSample:
    """Read the WordNet sample.

    Examples
    --------
    >>> import tiercel
    >>> sample = tiercel.datasets.load_wordnet_sample()
    >>> sample.vectors.shape, sample.queries.shape
    ((5000, 384), (200, 384))
    >>> sample.query_texts[33]
    'The lightning bolt twigged in several directions'
    >>> sample.texts[int(sample.relevant[33])]
    'twig: branch out in a twiglike manner'
    """
    docs, queries = _read_lines("docs.jsonl.gz"), _read_lines("queries.jsonl.gz")
    with np.load(_WORDNET / "vectors.npz", allow_pickle=False) as arrays:
        vectors = _decode(arrays["base_codes"], arrays["base_scales"])
        query_vectors = _decode(arrays["queries_codes"], arrays["queries_scales"])
    return WordnetSample(
        vectors=vectors,
        texts=tuple(doc["text"] for doc in docs),
        ids=tuple(doc["id"] for doc in docs),
        queries=query_vectors,
        query_texts=tuple(query["text"] for query in queries),
        relevant=np.array([query["relevant"] for query in queries], np.uint64),
    )


def _read_lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(_WORDNET / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _decode(codes: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors = codes * scales[:, None]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
