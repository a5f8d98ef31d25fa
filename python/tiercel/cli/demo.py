"""`tiercel demo`: real text, real embeddings, an index, a collection, a cache of answers, and what they find."""

import argparse
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import tiercel
from tiercel import Index
from tiercel.cli.answer import Answer
from tiercel.cli.demo_cache import cache_lines, show_cache
from tiercel.cli.demo_collection import collection_lines, show_collection
from tiercel.cli.info import describe, index_lines
from tiercel.cli.measure import queries_per_second, recall_at_k
from tiercel.cli.progress import progress
from tiercel.datasets import WordnetSample, load_wordnet_sample

K = 10
SHOWN = 5
# A query whose gloss is found first, one whose gloss comes later, and one whose gloss is not shown.
EXAMPLES = (33, 50, 1)
RECALLS = (0.9, 0.95, 0.99, 1.0)


def run(args: argparse.Namespace) -> Answer:
    """Index the WordNet sample, show three queries, and measure recall and throughput.

    Then store the sample in a collection, and answer from a cache.
    """
    sample = load_wordnet_sample()
    index = Index(sample.vectors.shape[1], "cosine")
    start = time.perf_counter()
    with progress("building") as report:
        index.add(sample.vectors, threads=args.threads, progress=report)
        index.optimize(threads=args.threads, progress=report)
    seconds = time.perf_counter() - start
    found = index.search(sample.queries, K, threads=args.threads)
    document: dict[str, Any] = {
        "hardware": tiercel.hardware().to_dict(),
        "index": describe(index),
        "build_seconds": seconds,
        "examples": [_example(index, sample, row) for row in EXAMPLES],
        "queries": len(sample.queries),
        "relevant_found": int((found.ids == sample.relevant[:, None]).any(axis=1).sum()),
        "searches": list(_searches(index, sample, args.threads)),
        "collection": show_collection(sample),
        "cache": show_cache(index, sample),
    }
    return Answer(document, _lines(index, document))


def _example(index: Index, sample: WordnetSample, row: int) -> dict[str, Any]:
    matches = index.search(sample.queries[row], SHOWN)
    relevant = int(sample.relevant[row])
    return {
        "query": sample.query_texts[row],
        "relevant": sample.ids[relevant],
        "results": [
            {"id": sample.ids[found], "distance": distance, "relevant": found == relevant, "text": sample.texts[found]}
            for found, distance in zip(matches.ids.tolist(), matches.distances.tolist(), strict=True)
        ],
    }


def _searches(index: Index, sample: WordnetSample, threads: int | None) -> Iterator[dict[str, Any]]:
    exact = index.search(sample.queries, K, recall=1.0, threads=threads)
    for recall in RECALLS:

        def search(recall: float = recall) -> tiercel.Matches:
            return index.search(sample.queries, K, recall=recall, threads=threads)

        matches = search()
        yield {
            "recall_asked": recall,
            "recall": recall_at_k(matches, exact, index.metric),
            "qps": queries_per_second(search, len(sample.queries)),
            "quality": matches.quality,
        }


def _lines(index: Index, document: dict[str, Any]) -> Iterator[str]:
    machine = document["hardware"]
    yield f"tiercel {tiercel.__version__} on {machine['cores']} cores with {machine['simd']}"
    yield "data         glosses of WordNet, embedded with all-MiniLM-L6-v2"
    yield f"built in     {document['build_seconds']:.2f} s"
    yield from index_lines(index)
    for example in document["examples"]:
        yield ""
        yield f'"{example["query"]}"'
        for result in example["results"]:
            mark = "*" if result["relevant"] else " "
            yield f"  {result['distance']:.3f} {mark} {textwrap.shorten(result['text'], 96, placeholder=' ...')}"
    yield "(distance, * for the gloss that the sentence was written for)"
    yield ""
    yield f"{document['relevant_found']} of {document['queries']} sentences find their gloss among the first {K}"
    yield f"{'target':>12}  {f'recall@{K}':>10}  {'QPS':>10}  quality"
    for row in document["searches"]:
        yield f"{row['recall_asked']:>12}  {row['recall']:>10.4f}  {row['qps']:>10,.0f}  {row['quality']}"
    yield ""
    yield from collection_lines(document["collection"])
    yield ""
    yield from cache_lines(document["cache"])
