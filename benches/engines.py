"""The engines to compare: each a graph of the same M and ef_construction over vectors of unit
length.

Builds run on two threads, searches on one.
"""

import importlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

K = 10
M = 16
EF_CONSTRUCTION = 200
BUILD_THREADS = 2

Vectors = NDArray[np.float32]


class Engine(Protocol):
    """The interface of an engine; each engine has its own type of index."""

    name: str
    module: str
    """The module that must be importable."""
    package: str
    """The name of its package."""

    def build(self, vectors: Vectors) -> Any: ...
    def search(self, index: Any, queries: Vectors, ef_search: int) -> NDArray[Any]:
        """Ids of the K nearest, for one query (1-D) or a batch (2-D)."""
        ...

    def save(self, index: Any, path: Path) -> None: ...
    def load(self, path: Path, count: int, dim: int) -> Any: ...


class Tiercel:
    module = package = "tiercel"

    def __init__(self, name: str, storage: str) -> None:
        self.name = name
        self.storage = storage

    def build(self, vectors: Vectors) -> Any:
        import tiercel

        index = tiercel.Index(vectors.shape[1], "cosine", storage=self.storage, m=M, ef_construction=EF_CONSTRUCTION)
        index.add(vectors, threads=BUILD_THREADS)
        index.optimize(threads=BUILD_THREADS)
        return index

    def search(self, index: Any, queries: Vectors, ef_search: int) -> NDArray[Any]:
        return index.search(queries, K, ef_search=ef_search, threads=1).ids

    def save(self, index: Any, path: Path) -> None:
        index.save(path)

    def load(self, path: Path, count: int, dim: int) -> Any:
        import tiercel

        return tiercel.Index.load(path)


class Hnswlib:
    name = module = package = "hnswlib"

    def build(self, vectors: Vectors) -> Any:
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
        index.set_num_threads(BUILD_THREADS)
        index.add_items(vectors)
        index.set_num_threads(1)
        return index

    def search(self, index: Any, queries: Vectors, ef_search: int) -> NDArray[Any]:
        index.set_ef(ef_search)
        return index.knn_query(queries, K)[0]

    def save(self, index: Any, path: Path) -> None:
        index.save_index(str(path))

    def load(self, path: Path, count: int, dim: int) -> Any:
        import hnswlib

        index = hnswlib.Index("ip", dim)
        index.load_index(str(path), max_elements=count)
        index.set_num_threads(1)
        return index


class FaissHnswSq8:
    """A graph over 8-bit codes, whose nearest are compared again in full precision."""

    name = "faiss-hnsw-sq8"
    module = "faiss"
    package = "faiss-cpu"

    def build(self, vectors: Vectors) -> Any:
        import faiss

        faiss.omp_set_num_threads(BUILD_THREADS)
        codes = faiss.ScalarQuantizer.QT_8bit
        graph = faiss.IndexHNSWSQ(vectors.shape[1], codes, M, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = EF_CONSTRUCTION
        index = faiss.IndexRefineFlat(graph)
        index.k_factor = 2
        index.train(vectors)
        index.add(vectors)
        faiss.omp_set_num_threads(1)
        return index, graph

    def search(self, index: Any, queries: Vectors, ef_search: int) -> NDArray[Any]:
        refined, graph = index
        graph.hnsw.efSearch = ef_search
        return refined.search(np.atleast_2d(queries), K)[1]

    def save(self, index: Any, path: Path) -> None:
        import faiss

        faiss.write_index(index[0], str(path))

    def load(self, path: Path, count: int, dim: int) -> Any:
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.read_index(str(path))
        return index, faiss.downcast_index(index.base_index)


class Usearch:
    name = package = "usearch"
    module = "usearch.index"

    def build(self, vectors: Vectors) -> Any:
        index = self._new(vectors.shape[1])
        index.add(np.arange(len(vectors)), vectors, threads=BUILD_THREADS)
        return index

    def search(self, index: Any, queries: Vectors, ef_search: int) -> NDArray[Any]:
        index.expansion_search = ef_search
        return index.search(queries, K, threads=1).keys

    def save(self, index: Any, path: Path) -> None:
        index.save(str(path))

    def load(self, path: Path, count: int, dim: int) -> Any:
        index = self._new(dim)
        index.load(str(path))
        return index

    def _new(self, dim: int) -> Any:
        from usearch.index import Index

        return Index(ndim=dim, metric="ip", dtype="f32", connectivity=M, expansion_add=EF_CONSTRUCTION)


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Tiercel("tiercel", "auto"),
        Tiercel("tiercel-sq8", "sq8"),
        Hnswlib(),
        FaissHnswSq8(),
        Usearch(),
    )
}


def is_installed(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
