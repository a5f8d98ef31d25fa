"""Exact search of a batch in float32, on one thread: compares every query with every vector."""

from collections.abc import Callable
from typing import Any

import pytest
from engines import ENGINES, K, Vectors, is_installed
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from workload import Workload

QUERIES = 500
PASSES = 5

Search = Callable[[Vectors], NDArray[Any]]


def tiercel(workload: Workload) -> Search:
    index = workload.index(ENGINES["tiercel"])
    return lambda queries: index.search(queries, K, recall=1, threads=1).ids


def faiss_flat(workload: Workload) -> Search:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(workload.vectors.shape[1])
    index.add(workload.vectors)
    return lambda queries: index.search(queries, K)[1]


def usearch_exact(workload: Workload) -> Search:
    from usearch.index import MetricKind, search

    return lambda queries: search(workload.vectors, queries, K, MetricKind.IP, exact=True, threads=1).keys


# The module that each engine needs, and the function that makes its search.
EXACT: dict[str, tuple[str, Callable[[Workload], Search]]] = {
    "tiercel": ("tiercel", tiercel),
    "faiss-flat": ("faiss", faiss_flat),
    "usearch-exact": ("usearch.index", usearch_exact),
}


@pytest.mark.benchmark(group="exact")
@pytest.mark.parametrize("name", EXACT)
def bench_exact(benchmark: BenchmarkFixture, name: str, workload: Workload) -> None:
    module, make = EXACT[name]
    if not is_installed(module):
        pytest.skip(f"{module} is not installed")
    search, queries = make(workload), workload.queries[:QUERIES]
    found = benchmark.pedantic(search, (queries,), rounds=PASSES, warmup_rounds=1)
    benchmark.extra_info.update(
        engine=name, recall=workload.recall_of(found), qps=len(queries) / benchmark.stats.stats.min
    )
