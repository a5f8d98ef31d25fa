"""tiercel."""

from pathlib import Path
from typing import Any

from data import RARE, K, Vectors
from numpy.typing import NDArray

import tiercel
from tiercel import Collection, F


class Tiercel:
    about = 'durability "always", a graph of M=16, ef_construction=128; `upsert` of 1,000, including the text index; then `wait_idle`'
    efforts = (0.5, 0.6, 0.7, 0.75, 0.8, 0.825, 0.85, 0.875, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
    _collection: Collection
    _recall = 0.95

    def create(self, path: Path, dim: int) -> None:
        self._collection = tiercel.open(path, dim=dim)

    def open(self, path: Path) -> tuple[int, int]:
        self._collection = tiercel.open(path)
        return len(self._collection), self._collection.dim or 0

    def put(self, ids: list[str], vectors: Vectors, texts: list[str], metadata: list[dict[str, Any]]) -> None:
        self._collection.upsert(ids, vectors, texts, metadata)

    def wait_idle(self) -> None:
        self._collection.wait_idle()

    def exert(self, effort: float) -> None:
        self._recall = effort

    def search(self, query: NDArray[Any], *, filtered: bool, whole: bool) -> list[str]:
        condition = F("pos") == RARE if filtered else None
        if whole:
            return [match.id for match in self._collection.search(query, k=K, recall=self._recall, filter=condition)]
        return self._collection.search(query, k=K, recall=self._recall, filter=condition, include=()).ids

    def close(self) -> None:
        self._collection.close()


STORE = Tiercel()
