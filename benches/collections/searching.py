"""Rows about searching: by vector, by text, by both, through a filter."""

from collections.abc import Callable, Sequence
from typing import Any

from bench import ENOUGH, RECALLS, Bench
from data import RARE, K, Truth
from measure import Figure, each, p50_ms, say, smallest
from texts import ENGINES

from tiercel import Collection, F

BOTH = 2000
"""Queries of the row on hybrid search."""

Ids = list[list[str]]


def ids_of(collection: Collection, bench: Bench, **options: Any) -> tuple[list[float], Ids]:
    """Search all vectors; return the seconds of each call, and the ids."""

    def search(query: Any) -> list[str]:
        return collection.search(query, k=K, include=(), **options).ids

    return each(search, bench.queries)


def enough(search: Callable[[float], Ids], truth: Truth) -> float:
    """Return the smallest `recall=` whose measured recall is enough."""
    return smallest(RECALLS, lambda recall: truth.recall(search(recall)) >= ENOUGH)


def vector(bench: Bench) -> list[Figure]:
    """One query per call, ids alone and with documents."""
    truth = bench.truth
    say(f"search by vector, {len(bench.queries):,} queries")
    with bench.opened() as collection:
        recall = enough(lambda recall: ids_of(collection, bench, recall=recall)[1], truth)
        seconds, found = ids_of(collection, bench, recall=recall)
        note = f"recall@10 {truth.recall(found):.3f} measured, with recall={recall}"
        # Only reading the matches loads the documents.
        whole, _ = each(lambda query: list(collection.search(query, k=K, recall=recall)), bench.queries)
        wanted, promised = ids_of(collection, bench)
    at_default = f"recall@10 {truth.recall(promised):.3f} measured"
    return [
        Figure("search by vector, ids alone", p50_ms(seconds), "{:.3f} ms", "0.1", note),
        Figure(
            "search by vector, with documents", p50_ms(whole), "{:.3f} ms", "0.15", "the same, text and metadata read"
        ),
        Figure("search by vector, ids alone, at the default recall", p50_ms(wanted), "{:.3f} ms", "", at_default),
    ]


def filtered(bench: Bench) -> list[Figure]:
    """Through a filter that 3% of the documents pass."""
    truth = Truth(bench.documents, bench.queries, bench.documents.rare())
    say(f"search by vector through a filter, {len(bench.queries):,} queries")
    condition = F("pos") == RARE
    with bench.opened() as collection:
        recall = enough(lambda recall: ids_of(collection, bench, recall=recall)[1], bench.truth)
        ids_of(collection, bench, recall=recall, filter=condition)
        seconds, found = ids_of(collection, bench, recall=recall, filter=condition)
        unfiltered, _ = ids_of(collection, bench, recall=recall)
        share = collection.count(filter=condition) / len(collection)
    base = p50_ms(unfiltered)
    note = f"recall@10 {truth.recall(found):.3f}; {share:.1%} of the records pass; unfiltered {base:.3f} ms"
    wanted = f"under {2 * base:.2f}, recall 0.95"
    return [Figure(f"search by vector where pos is {RARE}", p50_ms(seconds), "{:.3f} ms", wanted, note)]


def text(bench: Bench) -> list[Figure]:
    """Search all query texts one by one on one thread, compared with engines for text alone."""
    documents = bench.documents
    queries = documents.query_texts
    figures = []
    for name, engine in ENGINES.items():
        try:
            search = engine.build(documents, bench.directory)
        except ImportError:
            say(f"{name} is not installed: skipped")
            continue
        asked = queries[: engine.queries]
        say(f"search by text, {name}, {len(asked):,} queries")
        seconds, found = each(search, asked)
        note = f"hit@10 {documents.hits(found):.3f}, {len(asked):,} queries; {engine.about}"
        figures.append(Figure(f"search by text, {name}", p50_ms(seconds), "{:.3f} ms", "", note))
    say(f"search by text, tiercel, {len(queries):,} queries")
    with bench.opened() as collection:
        seconds, found = each(lambda text: collection.search(text=text, k=K, include=()).ids, queries)
    note = f"hit@10 {documents.hits(found):.3f}, {len(queries):,} queries; ids alone"
    wanted = "at or under tantivy's; hit@10 at least tantivy's"
    return [Figure("search by text", p50_ms(seconds), "{:.3f} ms", wanted, note), *figures]


def hybrid(bench: Bench) -> list[Figure]:
    """Search by vector and text with the defaults, compared with each of them alone."""
    documents = bench.documents
    queries = list(zip(documents.queries[:BOTH], documents.query_texts[:BOTH], strict=True))
    say(f"search by both, {len(queries):,} queries")

    def hits(search: Callable[[Any], Sequence[str]]) -> tuple[float, float]:
        seconds, found = each(search, queries)
        return documents.hits(found), p50_ms(seconds)

    with bench.opened() as collection:
        both, took = hits(lambda query: collection.search(query[0], text=query[1], k=K, include=()).ids)
        vectors, _ = hits(lambda query: collection.search(query[0], k=K, include=()).ids)
        words, _ = hits(lambda query: collection.search(text=query[1], k=K, include=()).ids)
    note = f"the first {len(queries):,} queries; by vector alone {vectors:.3f}, by text alone {words:.3f}"
    return [
        Figure("hit@10 by both, with the defaults", both, "{:.3f}", "at least 0.41", note),
        Figure("search by both", took, "{:.3f} ms", "", "ids alone"),
    ]
