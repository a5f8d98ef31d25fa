"""The last part of `tiercel demo`: a question, the same one again, and a near one with a proof."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel import Index, Matches, SemanticCache
from tiercel.datasets import WordnetSample

# A meaningful question, and the distance of the near one from it, as a share of its length.
QUERY = 33
STEP = 0.05
K = 10


def show_cache(index: Index, sample: WordnetSample) -> dict[str, Any]:
    """Ask three questions, and compare the answer to the last one with an exact search."""
    query = sample.queries[QUERY]
    step = np.random.default_rng(0).standard_normal(len(query)).astype(np.float32)
    near = query + STEP * np.linalg.norm(query) * step / np.linalg.norm(step)
    cache = SemanticCache(index)
    asked = [_ask(cache, "a question", query), _ask(cache, "the same again", query), _ask(cache, "a near one", near)]
    exact = index.search(near, K, recall=1)
    found = cache.search(near, K)
    return {
        "query": sample.query_texts[QUERY],
        "step": STEP,
        "asked": asked,
        "equals_exact_search": found.ids.tolist() == exact.ids.tolist(),
    }


def _ask(cache: SemanticCache[Matches], name: str, query: NDArray[np.float32]) -> dict[str, Any]:
    before = cache.stats()
    start = time.perf_counter()
    found = cache.search(query, K)
    seconds = time.perf_counter() - start
    return {
        "asked": name,
        "quality": found.quality,
        "from_cache": cache.stats()["misses"] == before["misses"],
        "milliseconds": 1000 * seconds,
    }


def cache_lines(shown: dict[str, Any]) -> Iterator[str]:
    """Describe the answers for people."""
    yield f'a cache of answers, "{shown["query"]}"'
    for each in shown["asked"]:
        origin = "from the cache" if each["from_cache"] else "searched"
        yield f"  {each['asked']:<16}{each['quality']:<11}{origin:<16}{each['milliseconds']:.2f} ms"
    proven = "is" if shown["equals_exact_search"] else "IS NOT"
    yield f"the near one is {shown['step']:.0%} of its length away; its answer {proven} that of an exact search"
