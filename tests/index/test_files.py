"""A saved index loads unchanged, or not at all."""

import copy
import errno
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from container import header, meta, rewritten, sections
from support.disks import small_disk
from support.reference import Metric, Truth

import tiercel
from tiercel import CorruptionError, DiskFullError, StorageFailedError

DIM = 6
WAYS: dict[str, Callable[[tiercel.Index, Path], tiercel.Index]] = {
    "file": lambda index, path: index.save(path) or tiercel.Index.load(path),
    "bytes": lambda index, _: tiercel.Index.from_bytes(index.to_bytes()),
    "pickle": lambda index, _: pickle.loads(pickle.dumps(index)),
    "copy": lambda index, _: copy.copy(index),
}


def rows(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)


def make(count: int, metric: Metric = "l2", **options: Any) -> tiercel.Index:
    """An index with gaps in its ids, and with tombstones."""
    index = tiercel.Index(DIM, metric, **{"m": 4, "ef_construction": 40, **options})
    index.add(rows(count), ids=np.arange(count) * 3)
    index.delete(np.arange(0, count, 5) * 3)
    return index


def options(index: tiercel.Index) -> list[object]:
    return [index.dim, index.metric, index.dtype, index.storage, index.m, index.ef_construction, index.seed]


def assert_same(index: tiercel.Index, other: tiercel.Index) -> None:
    assert options(other) == options(index)
    assert {**other.stats(), "simd": "", "bytes": {}, "bytes_per_vector": 0} == {
        **index.stats(),
        "simd": "",
        "bytes": {},
        "bytes_per_vector": 0,
    }
    np.testing.assert_array_equal(other.ids, index.ids)
    np.testing.assert_array_equal(other.get(index.ids), index.get(index.ids))
    queries = rows(20, seed=2)
    mask = np.arange(len(index)) % 3 == 0
    for settings in ({}, {"recall": 1}, {"ef_search": 30}, {"recall": 0.99, "filter": mask}):
        one, two = index.search(queries, 10, **settings), other.search(queries, 10, **settings)
        np.testing.assert_array_equal(one.ids, two.ids)
        np.testing.assert_array_equal(one.distances, two.distances)
        np.testing.assert_array_equal(one.counts, two.counts)
        assert one.quality == two.quality
    np.testing.assert_array_equal(index.range_search(queries, 1.0).ids, other.range_search(queries, 1.0).ids)
    assert other.to_bytes() == index.to_bytes()


KINDS: list[tuple[int, Any, Metric]] = [
    (0, "auto", "cosine"),
    (1, "auto", "dot"),
    (500, "auto", "l2"),
    (1500, "sq4", "cosine"),
    (1500, "sq8", "l2"),
    (1500, "pq3x8", "cosine"),
    (1500, "rq2x8", "l2"),
    (9000, "sq4", "l2"),
    (9000, "opq3x4", "l2"),
    (9000, "sq8", "dot"),
    (1500, "rabitq1", "l2"),
    (1500, "rabitq4", "dot"),
    (1500, "f16", "l2"),
    (1500, "bf16", "cosine"),
    (9000, "rabitq3", "cosine"),
    (9000, "raw", "cosine"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("count", "storage", "metric"), KINDS)
def test_an_index_comes_back_as_it_was(
    simd: str, tmp_path: Path, count: int, storage: Any, metric: Metric, way: str
) -> None:
    index = make(count, metric, storage=storage, dtype="f16" if count == 1500 else "f32", seed=7)
    other = WAYS[way](index, tmp_path / "index")
    assert_same(index, other)
    assert other.stats()["simd"] == simd


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [0, 500, 1500, 9000])
def test_an_index_that_came_back_goes_on(simd: str, tmp_path: Path, count: int, way: str) -> None:
    index = make(count)
    other = WAYS[way](index, tmp_path / "index")
    # Both continue in the same way, and independently of each other.
    new = 3 * (count - 1) + 1 if count else 0
    for one in (index, other):
        assert one.add(rows(300, seed=3)).tolist() == list(range(new, new + 300))
        assert one.delete([new, new + 9, new + 299, new + 300, 2**63]) == 3
        one.optimize()
    queries, ids = rows(20, seed=4), other.ids
    np.testing.assert_array_equal(ids, index.ids)
    truth = Truth(ids, np.array(other.get(ids)), queries, "l2")
    truth.check_exact(other.search(queries, 10, recall=1), 10)
    assert truth.recall(other.search(queries, 10, ef_search=200), 10) >= 0.9
    other.delete(ids)
    np.testing.assert_array_equal(index.ids, ids)


@pytest.mark.parametrize("storage", ["sq4", "sq8", "rabitq2", "raw"])
def test_every_instruction_set_reads_what_another_wrote(
    simd: str, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIERCEL_SIMD")
    best = make(9000, storage=storage)
    monkeypatch.setenv("TIERCEL_SIMD", simd)
    other = tiercel.Index.from_bytes(best.to_bytes())
    assert other.stats()["simd"] == simd
    assert other.to_bytes() == best.to_bytes()
    queries = rows(50, seed=2)
    for settings in ({"recall": 1}, {"ef_search": 100}):
        one, two = best.search(queries, 10, **settings), other.search(queries, 10, **settings)
        # The last bits of a distance may differ, and with them the order of nearly equal ones.
        np.testing.assert_allclose(one.distances, two.distances, rtol=1e-5)
        assert np.mean(one.ids == two.ids) > 0.99


def test_what_was_interrupted_is_saved_like_the_rest(simd: str) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 0:
            raise InterruptedError

    for count in (0, 500, 1500):
        index = make(count)
        with pytest.raises(InterruptedError):
            index.add(rows(150_000, seed=3), progress=interrupt)
        np.testing.assert_array_equal(index.ids, make(count).ids)
        assert_same(index, tiercel.Index.from_bytes(index.to_bytes()))


SMALL = make(9, dtype="f16", storage="sq4").to_bytes()
LARGE = make(9000, storage="sq8").to_bytes()


def refused(data: bytes, path: Path) -> None:
    """Check that both ways of reading refuse it, and that the error names its source and a byte."""
    path.write_bytes(data)
    with pytest.raises(CorruptionError, match=f"^{re.escape(str(path))}: .* at byte \\d+$"):
        tiercel.Index.load(path)
    refused_bytes(data)


def refused_bytes(data: bytes) -> None:
    with pytest.raises(CorruptionError, match=r"^data: .* at byte \d+$"):
        tiercel.Index.from_bytes(data)


def test_every_flipped_bit_and_byte_is_found(simd: str, tmp_path: Path) -> None:
    assert len(SMALL) < 2000
    for at in range(len(SMALL)):
        for bit in range(8):
            refused_bytes(SMALL[:at] + bytes([SMALL[at] ^ 1 << bit]) + SMALL[at + 1 :])
        refused(SMALL[:at] + bytes([SMALL[at] ^ 0xFF]) + SMALL[at + 1 :], tmp_path / "index")


def test_a_file_cut_at_any_length_is_found(simd: str, tmp_path: Path) -> None:
    for length in range(len(SMALL)):
        refused(SMALL[:length], tmp_path / "index")


@pytest.mark.parametrize("more", [b"\0", b"x", b"\0" * 64, SMALL], ids=["a zero", "a letter", "zeros", "itself"])
def test_a_file_that_is_too_long_is_found(simd: str, tmp_path: Path, more: bytes) -> None:
    refused(SMALL + more, tmp_path / "index")


def test_flips_and_cuts_of_a_large_file_are_found(simd: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    ends = [end + at for _, start, length in sections(LARGE) for end in (start, start + length) for at in (-1, 0, 1)]
    for at in {*ends, *rng.integers(0, len(LARGE), 100).tolist()} - {len(LARGE), len(LARGE) + 1}:
        refused(LARGE[:at] + bytes([LARGE[at] ^ (1 << rng.integers(8))]) + LARGE[at + 1 :], tmp_path / "index")
        refused(LARGE[:at], tmp_path / "index")


FOREIGN = {
    "empty": b"",
    "text": b"id,vector\n" * 50,
    "zeros": bytes(4096),
    "gzip": b"\x1f\x8b\x08" + bytes(range(256)) * 4,
    "npy": b"\x93NUMPY\x01\x00v\x00" + b" " * 200,
    "pickle": pickle.dumps(list(range(500))),
    "the magic alone": b"TIERCEL\0",
    "the magic and noise": b"TIERCEL\0" + np.random.default_rng(0).bytes(4096),
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_refused(simd: str, tmp_path: Path, data: bytes) -> None:
    refused(data, tmp_path / "index")


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    data = SMALL[:8] + struct.pack("<I", 2) + SMALL[12:]
    with pytest.raises(CorruptionError, match="expected format version 1, got 2; a newer tiercel"):
        tiercel.Index.from_bytes(data)


EXTREMES = [0, 1, 2, 3, 255, 65_536, 2**31 - 1, 2**31, 2**32 - 1]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_wrong_numbers_under_right_checksums_do_no_harm(simd: str, data: bytes) -> None:
    rng = np.random.default_rng(5)
    count = hypothesis.settings.default.max_examples // 4
    for tag, start, length in sections(data):
        words = range(0, length - 3, 4)
        for at in [*words[:count], *rng.choice(words, min(count, len(words)), replace=False).tolist()]:
            value = struct.pack("<I", EXTREMES[rng.integers(len(EXTREMES))])
            broken = rewritten(data, tag, data[start : start + at] + value + data[start + at + 4 : start + length])
            try:
                index = tiercel.Index.from_bytes(broken)
            except CorruptionError:
                continue
            # If it loads it is a valid index, whatever it finds.
            assert index.search(rows(3), 5, ef_search=20).ids.shape == (3, min(5, len(index)))
            assert len(index.ids) == len(index)
            index.add(rows(20, seed=9), ids=2**40 + np.arange(20))
            index.optimize()
            tiercel.Index.from_bytes(index.to_bytes())


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_no_file_makes_a_reader_allocate_more_than_its_length(simd: str, tmp_path: Path) -> None:
    huge = 2**40
    found = sections(SMALL)
    for at, (tag, _, _) in enumerate(found):
        lengths = [huge if other == at else length for other, (_, _, length) in enumerate(found)]
        names = [tag for tag, _, _ in found]
        (tmp_path / f"length of {tag.decode()}").write_bytes(header(names, lengths, len(SMALL)) + SMALL[256:])
        (tmp_path / f"length of {tag.decode()} and the file").write_bytes(header(names, lengths) + SMALL[256:])
    for name, values in {"slots": {24: 2**31 - 1, 32: 2**31 - 1}, "levels": {40: 2**32 - 1}, "dim": {0: 32768}}.items():
        (tmp_path / name).write_bytes(rewritten(SMALL, b"META", meta(SMALL, values)))
    program = """
import resource, sys, tiercel
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
for path in sys.argv[1:]:
    try:
        tiercel.Index.load(path)
    except tiercel.CorruptionError:
        continue
    sys.exit(path)
"""
    command = [sys.executable, "-c", program, *sorted(str(path) for path in tmp_path.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        tiercel.Index.load(tmp_path / "index")
    assert (error.value.errno, error.value.filename) == (errno.ENOENT, str(tmp_path / "index"))


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    for call in (tiercel.Index.load, make(9).save):
        with pytest.raises(StorageFailedError) as error:
            call(tmp_path)
        assert error.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="makes pipes and links")
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    index = make(3)
    for path, what in [(pipe, "a pipe"), (Path("/dev/zero"), "a device")]:
        with pytest.raises(StorageFailedError, match=what):
            tiercel.Index.load(path)
        with pytest.raises(StorageFailedError, match="device or pipe"):
            index.save(path)
    assert pipe.is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="makes links")
def test_links_to_the_file_and_to_its_directory(tmp_path: Path) -> None:
    index = make(3)
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "linked").symlink_to(data)
    index.save(tmp_path / "linked" / "index")
    assert (data / "index").is_file()
    link = tmp_path / "link"
    link.symlink_to(data / "index")
    assert_same(tiercel.Index.load(link), index)
    # The link is replaced, and its target stays.
    other = make(5)
    other.save(link)
    assert not link.is_symlink()
    assert_same(tiercel.Index.load(link), other)
    assert_same(tiercel.Index.load(data / "index"), index)


def test_a_path_without_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    index = make(9)
    index.save("index")
    index.save(Path("index"))
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    assert_same(index, tiercel.Index.load("index"))


def test_saving_again_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "index"
    for count in (1500, 9, 500):
        make(count).save(path)
        assert path.read_bytes() == make(count).to_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def assert_kept(path: Path, index: tiercel.Index, code: int) -> None:
    """Check that saving fails with this errno, keeps the old file and leaves no other."""
    there = sorted(path.parent.iterdir())
    with pytest.raises(StorageFailedError) as error:
        index.save(path)
    assert error.value.errno == code
    assert error.value.filename == str(path)
    assert sorted(path.parent.iterdir()) == there
    assert path.read_bytes() == SMALL
    assert len(tiercel.Index.load(path)) == 7


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(StorageFailedError) as error:
        make(9).save(tmp_path / "no" / "index")
    assert error.value.errno == errno.ENOENT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits and permissions of Unix")
def test_a_save_that_fails_half_way_keeps_the_old_file(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "index"
    path.write_bytes(SMALL)
    index = make(9000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        assert_kept(path, index, errno.EFBIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions of Unix")
def test_a_directory_that_may_not_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "index"
    path.write_bytes(SMALL)
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write anywhere")
        assert_kept(path, make(9000), errno.EACCES)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        path = disk / "index"
        path.write_bytes(SMALL)
        index = make(9000)
        with pytest.raises(DiskFullError):
            index.save(path)
        assert_kept(path, index, errno.ENOSPC)
        # The disk remains usable: a smaller file is saved.
        make(500).save(path)
        assert len(tiercel.Index.load(path)) == 400
