"""lancedb."""

from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa
from data import RARE, K, Vectors
from lancedb.index import HnswSq
from numpy.typing import NDArray
from peers.store import EF_CONSTRUCTION, EFFORTS, M, flat


class Lance:
    about = (
        f"IVF_HNSW_SQ with one partition, m={M}, ef_construction={EF_CONSTRUCTION}, and refine_factor=2; a bitmap index on "
        "the filtered field; `merge_insert` of 1,000 (`add`, which looks for no older record, is twice as fast), then `optimize` "
        "and `create_index`"
    )
    efforts = EFFORTS
    _ef = 100

    def create(self, path: Path, dim: int) -> None:
        fields = {"id": pa.string(), "vector": pa.list_(pa.float32(), dim), "text": pa.string(), "pos": pa.string()}
        fields |= {"words": pa.string(), "n_words": pa.int64(), "offset": pa.int64()}
        self._schema = pa.schema(list(fields.items()))
        self._table = lancedb.connect(str(path)).create_table("records", schema=self._schema)

    def open(self, path: Path) -> tuple[int, int]:
        self._table = lancedb.connect(str(path)).open_table("records")
        return self._table.count_rows(), self._table.schema.field("vector").type.list_size

    def put(self, ids: list[str], vectors: Vectors, texts: list[str], metadata: list[dict[str, Any]]) -> None:
        rows = [flat(each) for each in metadata]
        columns = {name: [row[name] for row in rows] for name in ("pos", "words", "n_words", "offset")}
        packed = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        batch = pa.table({"id": ids, "vector": packed, "text": texts, **columns}, schema=self._schema)
        self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(batch)

    def wait_idle(self) -> None:
        self._table.optimize()
        config = HnswSq(distance_type="cosine", num_partitions=1, m=M, ef_construction=EF_CONSTRUCTION)
        self._table.create_index("vector", config=config)
        self._table.create_scalar_index("pos", index_type="BITMAP")
        self._table.wait_for_index(["vector_idx", "pos_idx"])

    def exert(self, effort: float) -> None:
        self._ef = int(effort)

    def search(self, query: NDArray[Any], *, filtered: bool, whole: bool) -> list[str]:
        asked = self._table.search(query).distance_type("cosine").ef(self._ef).refine_factor(2).limit(K)
        if filtered:
            asked = asked.where(f"pos = '{RARE}'", prefilter=True)
        columns = ["id", "text", "pos", "words", "n_words", "offset"] if whole else ["id"]
        return [row["id"] for row in asked.select([*columns, "_distance"]).to_list()]

    def close(self) -> None:
        """Do nothing: the process ends."""


STORE = Lance()
