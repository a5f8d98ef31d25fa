"""Write the files by which test_old_files.py knows that old files keep loading: `python tests/data/make.py 1`.

To be run once a format version, by the tiercel that is released with it. Files of a released version are never made again.
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np

import tiercel

HERE = Path(__file__).parent


def small() -> tiercel.Index:
    """A few vectors, given ids, tombstones."""
    rng = np.random.default_rng(1)
    index = tiercel.Index(5, "cosine", seed=3)
    index.add(rng.standard_normal((40, 5)), ids=rng.permutation(1000)[:40])
    index.remove(index.ids[::4])
    return index


def graph() -> tiercel.Index:
    """Codes, a graph, vectors that are not linked, half precision."""
    rng = np.random.default_rng(2)
    index = tiercel.Index(2, "l2", "f16", "sq8", m=2, ef_construction=100, seed=4)
    index.add(rng.standard_normal((8500, 2)))
    index.add(rng.standard_normal((7, 2)), ids=np.arange(7, dtype=np.uint64) + np.uint64(2**63))
    index.remove(np.arange(0, 8500, 100))
    return index


def answers(index: tiercel.Index) -> dict[str, object]:
    """What the index was made with, and what it finds."""
    rng = np.random.default_rng(5)
    queries = np.round(rng.standard_normal((12, index.dim)), 3)
    matches = index.search(queries, 8, recall=1)
    return {
        "options": [index.dim, index.metric, index.dtype, index.storage, index.m, index.ef_construction, index.seed],
        "stats": {name: index.stats()[name] for name in ("len", "tombstones", "linked", "storage", "levels")},
        "first ids": index.ids[:20].tolist(),
        "first vector": index.get(index.ids[0]).tolist(),
        "next id": int(tiercel.Index.from_bytes(index.to_bytes()).add(np.ones((1, index.dim)))[0]),
        "queries": queries.tolist(),
        "ids": matches.ids.tolist(),
        "distances": np.round(matches.distances.astype(float), 6).tolist(),
    }


def write(version: int) -> None:
    for name, index in {"small": small(), "graph": graph()}.items():
        path = HERE / f"index-v{version}-{name}"
        path.with_suffix(".tiercel.gz").write_bytes(gzip.compress(index.to_bytes(), mtime=0))
        path.with_suffix(".json").write_text(json.dumps(answers(index), indent=1) + "\n")


if __name__ == "__main__":
    write(int(sys.argv[1]))
