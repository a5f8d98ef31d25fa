"""Engines for text alone, to compare collections with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import Documents, K

Search = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Engine:
    """How to build an index of the documents, and how many queries to ask."""

    build: Callable[[Documents, Path], Search]
    queries: int | None
    about: str


def tantivy_index(documents: Documents, directory: Path) -> Search:
    import tantivy

    path = directory / "tantivy"
    path.mkdir()
    schema = tantivy.SchemaBuilder().add_text_field("text", tokenizer_name="en_stem").build()
    index = tantivy.Index(schema, path=str(path))
    # One thread and room for all documents make one segment, with documents numbered in order.
    writer = index.writer(heap_size=1 << 30, num_threads=1)
    for text in documents.texts:
        writer.add_document(tantivy.Document(text=[text]))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()
    if searcher.num_segments != 1:
        raise RuntimeError(f"expected one segment, got {searcher.num_segments}")

    def search(text: str) -> list[str]:
        query, _ = index.parse_query_lenient(text, ["text"])
        return [documents.ids[address.doc] for _, address in searcher.search(query, K, count=False).hits]

    return search


def bm25s_index(documents: Documents, directory: Path) -> Search:
    import bm25s

    def tokens(texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", show_progress=False, return_ids=False)

    index = bm25s.BM25(method="lucene")
    index.index(tokens(documents.texts), show_progress=False)

    def search(text: str) -> list[str]:
        rows, _ = index.retrieve(tokens([text]), k=K, show_progress=False)
        return [documents.ids[row] for row in rows[0]]

    return search


ENGINES = {
    "tantivy": Engine(tantivy_index, None, "words stemmed; one segment, no documents read"),
    "bm25s": Engine(bm25s_index, 500, "method lucene, stop words left out, no stemming"),
}
