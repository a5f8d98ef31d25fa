"""zvec."""

from pathlib import Path
from typing import Any

import zvec
from data import RARE, K, Vectors
from numpy.typing import NDArray
from peers.store import EF_CONSTRUCTION, EFFORTS, M, flat
from zvec import (
    CollectionSchema,
    DataType,
    Doc,
    FieldSchema,
    HnswIndexParam,
    HnswQueryParam,
    InvertIndexParam,
    MetricType,
    QuantizeType,
    Query,
    VectorSchema,
)


class Zvec:
    about = (
        f"HNSW with 8-bit codes, m={M}, ef_construction={EF_CONSTRUCTION}, candidates compared again in full; an inverted "
        "index on the filtered field; `upsert` of 1,000, then `optimize` and `flush`"
    )
    efforts = EFFORTS
    _param = HnswQueryParam(ef=100, is_using_refiner=True)

    def create(self, path: Path, dim: int) -> None:
        graph = HnswIndexParam(MetricType.COSINE, m=M, ef_construction=EF_CONSTRUCTION, quantize_type=QuantizeType.INT8)
        schema = CollectionSchema(
            name="records",
            fields=[
                FieldSchema("text", DataType.STRING),
                FieldSchema("pos", DataType.STRING, index_param=InvertIndexParam()),
                FieldSchema("words", DataType.STRING),
                FieldSchema("n_words", DataType.INT64),
                FieldSchema("offset", DataType.INT64),
            ],
            vectors=VectorSchema("vector", DataType.VECTOR_FP32, dim, index_param=graph),
        )
        self._collection = zvec.create_and_open(str(path / "records"), schema)

    def open(self, path: Path) -> tuple[int, int]:
        self._collection = zvec.open(str(path / "records"))
        return self._collection.stats.doc_count, self._collection.schema.vector("vector").dimension

    def put(self, ids: list[str], vectors: Vectors, texts: list[str], metadata: list[dict[str, Any]]) -> None:
        docs = [
            Doc(id=name, vectors={"vector": vector}, fields=flat(each) | {"text": text})
            for name, vector, text, each in zip(ids, vectors, texts, metadata, strict=True)
        ]
        self._collection.upsert(docs)

    def wait_idle(self) -> None:
        self._collection.optimize()
        self._collection.flush()

    def exert(self, effort: float) -> None:
        self._param = HnswQueryParam(ef=int(effort), is_using_refiner=True)

    def search(self, query: NDArray[Any], *, filtered: bool, whole: bool) -> list[str]:
        found = self._collection.query(
            Query("vector", vector=query, param=self._param),
            topk=K,
            filter=f"pos = '{RARE}'" if filtered else None,
            output_fields=None if whole else [],
        )
        return [doc.id for doc in found]

    def close(self) -> None:
        self._collection.close()


STORE = Zvec()
