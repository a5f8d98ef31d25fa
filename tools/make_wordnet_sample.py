#!/usr/bin/env python3
"""Make the WordNet sample in `python/tiercel/datasets/wordnet/`, which tiercel includes.

python tools/make_wordnet_sample.py SOURCE [DESTINATION]

SOURCE contains `base.f16.npy`, `queries.f16.npy`, `docs.jsonl.gz`, `queries.jsonl.gz` and
`LICENSE`: glosses as documents, example sentences as queries, both embedded. 200 queries are drawn
first, then the documents that they illustrate, then others at random up to 5,000. The same source
yields the same files, byte for byte.
"""

import argparse
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

DOCUMENTS = 5_000
QUERIES = 200
SEED = 3
LIMIT_BYTES = 3_000_000
HOME = Path(__file__).resolve().parents[1] / "python" / "tiercel" / "datasets" / "wordnet"


def read_lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    # Without a time in the header, the same rows yield the same file.
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def choose(docs: list[dict[str, Any]], queries: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Choose the rows of the documents and of the queries to keep."""
    rng = np.random.default_rng(SEED)
    row_of = {doc["id"]: row for row, doc in enumerate(docs)}
    query_rows = rng.choice(len(queries), QUERIES, replace=False).tolist()
    relevant = {row_of[queries[row]["relevant"]] for row in query_rows}
    others = np.setdiff1d(np.arange(len(docs)), sorted(relevant))
    filled = rng.choice(others, DOCUMENTS - len(relevant), replace=False).tolist()
    return sorted([*relevant, *filled]), query_rows


def encode(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes from -127 to 127 and row scales: `codes * scale` is nearly the unit vector."""
    unit = vectors.astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    scales = (np.abs(unit).max(axis=1) / 127).astype(np.float32)
    return np.rint(unit / scales[:, None]).astype(np.int8), scales


def largest_error(vectors: np.ndarray, codes: np.ndarray, scales: np.ndarray) -> float:
    """Return the largest cosine distance between a vector and its decoded codes."""
    decoded = codes * scales[:, None]
    exact = vectors.astype(np.float64)
    cosines = (decoded * exact).sum(axis=1) / np.linalg.norm(decoded, axis=1) / np.linalg.norm(exact, axis=1)
    return float(1 - cosines.min())


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the WordNet sample that tiercel includes.")
    parser.add_argument("source", type=Path, help="directory of the whole data")
    parser.add_argument("destination", type=Path, nargs="?", default=HOME, help="directory to write to")
    args = parser.parse_args()
    source, destination = args.source, args.destination
    destination.mkdir(parents=True, exist_ok=True)

    docs, queries = read_lines(source / "docs.jsonl.gz"), read_lines(source / "queries.jsonl.gz")
    doc_rows, query_rows = choose(docs, queries)
    position = {docs[row]["id"]: new for new, row in enumerate(doc_rows)}
    write_lines(destination / "docs.jsonl.gz", [{"id": docs[row]["id"], "text": docs[row]["text"]} for row in doc_rows])
    write_lines(
        destination / "queries.jsonl.gz",
        [{"text": queries[row]["text"], "relevant": position[queries[row]["relevant"]]} for row in query_rows],
    )

    arrays = {}
    for name, rows in (("base", doc_rows), ("queries", query_rows)):
        vectors = np.load(source / f"{name}.f16.npy", mmap_mode="r")[rows]
        codes, scales = encode(vectors)
        arrays |= {f"{name}_codes": codes, f"{name}_scales": scales}
        error = largest_error(vectors, codes, scales)
        print(f"{name}: {len(rows)} vectors, largest cosine distance to the source {error:.1e}")
    np.savez_compressed(destination / "vectors.npz", **arrays)
    shutil.copyfile(source / "LICENSE", destination / "LICENSE")

    total = sum(path.stat().st_size for path in destination.iterdir())
    print(f"{total:,} bytes in {destination}")
    if total > LIMIT_BYTES:
        raise SystemExit(f"too large: expected at most {LIMIT_BYTES:,} bytes, got {total:,}")


if __name__ == "__main__":
    main()
