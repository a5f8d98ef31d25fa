"""chromadb."""

from pathlib import Path
from typing import Any

import chromadb
from chromadb.api.client import SharedSystemClient
from chromadb.config import Settings
from data import RARE, K, Vectors
from numpy.typing import NDArray
from peers.store import EF_CONSTRUCTION, EFFORTS, M, flat


class Chroma:
    about = (
        f"PersistentClient, durability as it comes; max_neighbors={M}, ef_construction={EF_CONSTRUCTION}; `upsert` of "
        "1,000, indexed as it goes"
    )
    efforts = EFFORTS

    def _client(self, path: Path) -> Any:
        return chromadb.PersistentClient(str(path), settings=Settings(anonymized_telemetry=False))

    def create(self, path: Path, dim: int) -> None:
        self._path = path
        graph = {"space": "cosine", "max_neighbors": M, "ef_construction": EF_CONSTRUCTION}
        self._collection = self._client(path).create_collection(
            "records", configuration={"hnsw": graph}, embedding_function=None
        )

    def open(self, path: Path) -> tuple[int, int]:
        self._path = path
        self._collection = self._client(path).get_collection("records", embedding_function=None)
        dim = len(self._collection.peek(1)["embeddings"][0])
        return self._collection.count(), dim

    def put(self, ids: list[str], vectors: Vectors, texts: list[str], metadata: list[dict[str, Any]]) -> None:
        self._collection.upsert(ids, vectors, [flat(each) for each in metadata], texts)

    def wait_idle(self) -> None:
        """Do nothing: acknowledged records are indexed."""

    def exert(self, effort: float) -> None:
        if self._collection.configuration["hnsw"]["ef_search"] == effort:
            return
        self._collection.modify(configuration={"hnsw": {"ef_search": effort}})
        # A loaded graph keeps the effort that it was loaded with.
        SharedSystemClient.clear_system_cache()
        self._collection = self._client(self._path).get_collection("records", embedding_function=None)

    def search(self, query: NDArray[Any], *, filtered: bool, whole: bool) -> list[str]:
        wanted = ["distances", "documents", "metadatas"] if whole else ["distances"]
        condition = {"pos": RARE} if filtered else None
        return self._collection.query(query_embeddings=[query], n_results=K, where=condition, include=wanted)["ids"][0]

    def close(self) -> None:
        """Do nothing: the process ends."""


STORE = Chroma()
