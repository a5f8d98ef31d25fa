"""Files with correct checksums and false claims: see also `benches/reliability/hostile.py`."""

import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Literal

import pytest
from support.places import ROOT

import tiercel

TOOLS = ROOT / "benches" / "reliability"
sys.path.insert(0, str(TOOLS))

from formats import pieces  # noqa: E402

USE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
import tiercel
for mode in ("r", "rw"):
    with tiercel.open(sys.argv[1], mode=mode) as collection:
        assert len(collection) == len(list(collection.scan())) == collection.count() == 2
        assert [match.id for match in collection.scan(filter={"$not": {"n": 1}})] == ["b"]
        assert [match.id for match in collection.search(text="text")] == ["a", "b"]
        assert collection.verify() == []
"""


def change(file: Path, kind: str, find: bytes, new: bytes) -> None:
    """Replace bytes of pieces of a file, and correct their checksums."""
    data = bytearray(file.read_bytes())
    found = [piece for piece in pieces(bytes(data)) if piece.kind == kind]
    found = [piece for piece in found if find in data[piece.start : piece.end]]
    assert found
    for piece in found:
        at = data.index(find, piece.start, piece.end)
        data[at : at + len(find)] = new
        piece.seal(data)
    file.write_bytes(data)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A closed collection of two records."""
    path = tmp_path / "collection"
    with tiercel.open(path) as made:
        made.upsert(["a", "b"], texts=["text", "another text"], metadata=[{"n": 1}, {"n": 2}])
    return path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory limit needs Linux")
def test_a_collection_that_counts_four_billion_rows_takes_memory_for_its_records(collection: Path) -> None:
    # Batches, records, log file, next row, rows in segments.
    counters = struct.pack("<3Q2I", 1, 2, 1, 2, 0)
    change(collection / "records", "page", counters, struct.pack("<3Q2I", 1, 2, 1, 2**32 - 1, 0))
    (collection / "view").unlink()
    done = subprocess.run([sys.executable, "-c", USE, collection], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mode", ["r", "rw"])
@pytest.mark.parametrize(
    "counters", [(2**63, 2, 1, 2, 0), (1, 3, 1, 3, 0), (1, 2, 2**64 - 1, 2, 0), (1, 2, 1, 1, 0), (1, 2, 1, 2, 3)]
)
def test_counters_of_what_is_not_there_are_damage(collection: Path, counters: tuple[int, ...], mode: str) -> None:
    change(collection / "records", "page", struct.pack("<3Q2I", 1, 2, 1, 2, 0), struct.pack("<3Q2I", *counters))
    (collection / "view").unlink()
    with pytest.raises(tiercel.CorruptionError):
        tiercel.open(collection, mode=mode)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory limit needs Linux")
@pytest.mark.parametrize("pages", [2**48, 2**28, 2**64 - 1])
def test_pages_that_a_view_claims_without_end_take_no_memory(collection: Path, pages: int) -> None:
    """Readers use only those that were written: a transaction that was cut short may have added more."""
    data = (collection / "view").read_bytes()
    change(collection / "view", "header", data[320:340], data[320:332] + struct.pack("<Q", pages))
    done = subprocess.run([sys.executable, "-c", USE, collection], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_view_of_a_tebibyte_of_nothing_is_damage(collection: Path) -> None:
    with (collection / "view").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(tiercel.CorruptionError):
        tiercel.open(collection, mode="r")


# In a record, the text follows the id.
DAMAGES = {"metadata": (b'{"n":1}', b'{"n":]}'), "text": (b"atext", b"ate\xff\xff")}


@pytest.mark.parametrize("mode", ["r", "rw"])
@pytest.mark.parametrize("part", DAMAGES)
def test_the_damage_of_one_record_is_its_own(collection: Path, part: str, mode: Literal["r", "rw"]) -> None:
    change(collection / "records", "page", *DAMAGES[part])
    (collection / "view").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with tiercel.open(collection, mode=mode) as opened:
            found = opened.search(text="text", include=("text", "metadata"))
            assert (found.ids, found.damaged) == (["b"], 1)
            assert [match.id for match in opened.scan(include=("text", "metadata"))] == ["b"]
            with pytest.raises(tiercel.CorruptionError, match=f"{part} of record 'a' in row 0: expected"):
                opened.get(["a"])
            assert opened.get(["b"])[0] is not None
            assert opened.stats()["damaged"] == 1
            assert any(f"{part} of record 'a'" in str(damage) for damage in opened.verify())


@pytest.mark.parametrize("mode", ["r", "rw"])
def test_a_record_with_the_id_of_another_is_damage(collection: Path, mode: Literal["r", "rw"]) -> None:
    change(collection / "records", "page", b"atext", b"btext")
    (collection / "view").unlink()
    with pytest.raises(tiercel.CorruptionError, match="expected each record to have the id that names its row"):
        tiercel.open(collection, mode=mode)
