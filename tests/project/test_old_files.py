"""Files of every released version still load; `tests/data/make.py` wrote them."""

import hashlib
import json
import lzma
import tarfile
from pathlib import Path

import numpy as np
import pytest
from support.places import DATA

import tiercel
from tiercel._core import TierLook
from tiercel.cache import Files

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
    # This also reads the graph and the codes, not only the vectors.
    found = index.search(known["queries"], 8, ef_search=100).ids.tolist()
    hits = [len(set(row) & set(true)) for row, true in zip(found, known["ids"], strict=True)]
    assert np.mean(hits) >= 0.95 * 8
    new = np.full(index.dim, -1.5)
    assert index.add(new).tolist() == [known["next id"]]
    index.optimize()
    assert index.search(new, 1).ids.tolist() == [known["next id"]]


def content(number: int) -> bytes:
    """Same as in `tests/data/make.py`."""
    return b"".join(hashlib.blake2b(f"{number} {at}".encode()).digest() for at in range(number * number * 20 + 1))


def test_a_directory_of_files_from_before_small_ones_were_packed_is_read(tmp_path: Path) -> None:
    with lzma.open(DATA / "cache-files-v1.tar.xz") as unpacked, tarfile.open(fileobj=unpacked) as archive:
        archive.extractall(tmp_path, filter="data")
    directory = tmp_path / "cache-files-v1"
    before = set(directory.glob("blobs/*/*"))
    known: dict[str | bytes, bytes] = {f"key {number}": content(number // 2) for number in range(12)}
    known |= {b"\x00bytes": b"tiny", "empty": b"", "repeated": b"again and again, " * 1000, "key 3": b"replaced"}
    look = TierLook(str(directory), files=True)
    assert (look.entries, look.damaged) == (len(known), 0)
    assert all(look.is_whole(number) for number in range(look.entries))
    del look
    with Files(directory, 4 << 20) as files:
        assert dict(files.items()) == known
        # In the oldest format, each of these has a file.
        assert files.bytes >= len(before) * 8192
        assert set(directory.glob("blobs/*/*")) == before
        for key, value in known.items():
            files[key] = value + b"!"
        # Now only large contents have one.
        assert len(list(directory.glob("blobs/*/*"))) == 2
    with Files(directory, 4 << 20) as files:
        assert dict(files.items()) == {key: value + b"!" for key, value in known.items()}
        assert files.stats()["damaged"] == 0
