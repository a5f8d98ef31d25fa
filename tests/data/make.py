"""Write the files with which tests/project/test_old_files.py checks that old files still load.

Run `python tests/data/make.py index 1`, `collection 1`, `words 1`, `code 1` or `cache-files 1`,
once per format version, with the tiercel that is released with it. Never recreate the files of a
released version.
"""

# Letters of many languages.
# ruff: noqa: RUF001

import hashlib
import json
import lzma
import multiprocessing
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import tiercel
from tiercel.cache import Files

HERE = Path(__file__).parent


def small() -> tiercel.Index:
    """A few vectors, with chosen ids and tombstones."""
    rng = np.random.default_rng(1)
    index = tiercel.Index(5, "cosine", seed=3)
    index.add(rng.standard_normal((40, 5)), ids=rng.permutation(1000)[:40])
    index.delete(index.ids[::4])
    return index


def graph() -> tiercel.Index:
    """Codes, a graph, unlinked vectors, half precision. A grid in order compresses well."""
    index = tiercel.Index(2, "l2", "f16", "sq8", m=2, ef_construction=100, seed=4)
    points = np.stack(np.divmod(np.arange(8200), 91), axis=1)
    index.add(points)
    index.add(points[:7] + 0.125, ids=np.arange(7, dtype=np.uint64) + np.uint64(2**63))
    index.delete(np.arange(0, 8200, 100))
    return index


def answers(index: tiercel.Index) -> dict[str, object]:
    """The settings of the index, and the results of its searches."""
    # Off the grid and to one side, so that no two distances are equal.
    aside = np.array([0.08, 0.03, *[0.0] * (index.dim - 2)])
    queries = index.get(index.ids[:: len(index) // 12]) + aside
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


def collection(path: Path) -> None:
    """Records in a checkpoint and records only in the log, as a killed process leaves them."""
    opened = tiercel.open(path, dim=3, schema={"year": int})
    ids = [f"r{number}" for number in range(30)]
    vectors = np.random.default_rng(5).standard_normal((30, 3))
    metadata = [{"year": 1990 + number} for number in range(30)]
    texts = [f"record of the year {1990 + number}" for number in range(30)]
    opened.upsert(ids, vectors, texts, metadata)
    opened.delete(["r3", "r4"])
    opened.checkpoint()
    opened.upsert(
        ["late", "r5"], [[9, 9, 9], [0, 0, 9]], ["came late", "a second version"], [{"year": 2030}, {"year": 2031}]
    )
    opened.delete(["r6"])
    os._exit(0)


def words(path: Path) -> None:
    """Texts in forms of letters that early rules distinguished, as a killed process leaves them."""
    opened = tiercel.open(path, language="turkish")
    texts = ["IŞIK İstanbul", "cafe\u0301 STRASSE", "ΟΔΥΣΣΕΥΣ", "Café Straße", "ışık"]
    opened.upsert(["city", "café", "king"], texts=texts[:3])
    opened.checkpoint()
    opened.upsert(["later", "light"], texts=texts[3:])
    os._exit(0)


def code(path: Path) -> None:
    """Code and tables that version 2 of the rules did not cut, as a killed process leaves them."""
    opened = tiercel.open(path)
    opened.upsert(["import", "row"], texts=["import os.path.join", "1003,7,8,9"])
    opened.checkpoint()
    opened.upsert(["name"], texts=["foo_bar of the U.S.A."])
    os._exit(0)


def write_collection(version: int, name: str = "", make: Callable[[Path], None] = collection) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"collection-v{version}{name}"
        writer = multiprocessing.get_context("spawn").Process(target=make, args=(path,))
        writer.start()
        writer.join()
        archive(path)


def content(number: int) -> bytes:
    """Incompressible bytes, from 64 bytes to 32 KiB."""
    return b"".join(hashlib.blake2b(f"{number} {at}".encode()).digest() for at in range(number * number * 20 + 1))


def write_cache_files(version: int) -> None:
    """Contents of all sizes, equal ones, one that was replaced and one that was deleted."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"cache-files-v{version}"
        with Files(path, 4 << 20) as files:
            for number in range(12):
                files[f"key {number}"] = content(number // 2)
            files[b"\x00bytes"], files["empty"], files["repeated"] = b"tiny", b"", b"again and again, " * 1000
            files["gone"] = b"x"
            del files["gone"]
            files["key 3"] = b"replaced"
        archive(path)


def archive(path: Path) -> None:
    with lzma.open(HERE / f"{path.name}.tar.xz", "w", preset=9) as out, tarfile.open(fileobj=out, mode="w") as packed:
        packed.add(path, path.name)


def write_indexes(version: int) -> None:
    for name, index in {"small": small(), "graph": graph()}.items():
        path = HERE / f"index-v{version}-{name}"
        path.with_suffix(".tiercel.xz").write_bytes(lzma.compress(index.to_bytes(), preset=9))
        path.with_suffix(".json").write_text(json.dumps(answers(index)) + "\n")


if __name__ == "__main__":
    write = {
        "index": write_indexes,
        "collection": write_collection,
        "words": partial(write_collection, name="-words", make=words),
        "code": partial(write_collection, name="-code", make=code),
        "cache-files": write_cache_files,
    }
    write[sys.argv[1]](int(sys.argv[2]))
