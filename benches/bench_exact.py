"""Exact search of a batch in float32, on one thread: every query is compared with every vector."""

from collections.abc import Callable
from typing import Any

import pytest
from engines import K, Vectors, is_installed
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from workload import Workload

QUERIES = 500
PASSES = 3

Search = Callable[[Vectors], NDArray[Any]]


def tiercel_exact(vectors: Vectors) -> Search:
    import tiercel

    # No graph is needed for exact search; without codes none is trained either.
    index = tiercel.Index(vectors.shape[1], "dot", storage="raw", m=2, ef_construction=1)
    index.add(vectors)
    return lambda queries: index.search(queries, K, recall=1, threads=1).ids


def faiss_flat(vectors: Vectors) -> Search:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda queries: index.search(queries, K)[1]


def usearch_exact(vectors: Vectors) -> Search:
    from usearch.index import MetricKind, search

    return lambda queries: search(vectors, queries, K, MetricKind.IP, exact=True, threads=1).keys


ENGINES = {
    "tiercel": ("tiercel", tiercel_exact),
    "faiss-flat": ("faiss", faiss_flat),
    "usearch-exact": ("usearch.index", usearch_exact),
}
