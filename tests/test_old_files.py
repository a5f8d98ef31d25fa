"""Files of every version that was ever written keep loading; `tests/data/make.py` wrote them."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

import tiercel

DATA = Path(__file__).parent / "data"
FILES = sorted(DATA.glob("*.tiercel.xz"))


def test_there_are_old_files() -> None:
    assert len(FILES) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.partition(".")[0])
def test_an_old_file_is_read(simd: str, path: Path) -> None:
    index = tiercel.Index.from_bytes(lzma.decompress(path.read_bytes()))
    known = json.loads((DATA / path.name.replace(".tiercel.xz", ".json")).read_text())
    made = [index.dim, index.metric, index.dtype, index.storage, index.m, index.ef_construction, index.seed]
    assert made == known["options"]
    assert {name: index.stats()[name] for name in known["stats"]} == known["stats"]
    assert index.ids[:20].tolist() == known["first ids"]
    assert index.get(index.ids[0]).tolist() == known["first vector"]
    matches = index.search(known["queries"], 8, recall=1)
    np.testing.assert_array_equal(matches.ids, np.array(known["ids"], np.uint64))
    np.testing.assert_allclose(matches.distances, known["distances"], atol=1e-5)
    # The graph and the codes are read too, not only the vectors.
    found = index.search(known["queries"], 8, ef_search=100).ids.tolist()
    hits = [len(set(row) & set(true)) for row, true in zip(found, known["ids"], strict=True)]
    assert np.mean(hits) >= 0.95 * 8
    new = np.full(index.dim, -1.5)
    assert index.add(new).tolist() == [known["next id"]]
    index.optimize()
    assert index.search(new, 1).ids.tolist() == [known["next id"]]
