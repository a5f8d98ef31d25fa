"""A full file system: nothing is lost, the error explains why, and with room all continues."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import disks

import tiercel
from tiercel import DiskFullError, InvalidInputError, ReadOnlyFileSystemError, StorageFailedError
from tiercel.beginnings import COLLECTION_LOG, TIER_LOG, nothing_left
from tiercel.cache import Files, Store

resource = pytest.importorskip("resource", reason="process limits need Unix")
KIB = 1024


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Limit the size of all files of this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "disk", "2m") as disk:
        yield disk


def upsert(collection: tiercel.Collection, first: int, count: int = 100) -> None:
    numbers = range(first, first + count)
    vectors = np.random.default_rng(first).random((count, 8), dtype=np.float32)
    collection.upsert([str(number) for number in numbers], vectors, texts=[f"word{number} " * 9 for number in numbers])


def upsert_until_full(collection: tiercel.Collection, most: int = 100_000) -> tuple[int, StorageFailedError]:
    """Return how many records were acknowledged, and the error that ended it."""
    for first in range(len(collection), most, 100):
        try:
            upsert(collection, first)
        except StorageFailedError as error:
            return first, error
    pytest.fail("there was room for all")


def content(number: int) -> bytes:
    """Large enough, and so hard to compress, that `Files` keeps it in a separate file."""
    return np.random.default_rng(number).bytes(20 * KIB)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("durability", ["always", "none"])
def test_a_batch_that_makes_a_file_too_large_is_rolled_back(tmp_path: Path, durability: str) -> None:
    with tiercel.open(tmp_path / "zoo", dim=8, durability=durability) as collection:  # pyright: ignore[reportArgumentType]
        with files_up_to(200 * KIB):
            count, error = upsert_until_full(collection)
            assert isinstance(error, DiskFullError)
            assert error.errno == errno.EFBIG
            assert "larger than the system allows" in str(error)
            assert len(collection) == count
            # Smaller writes still succeed.
            assert collection.delete(["0"]) == 1
        upsert(collection, count)
        collection.checkpoint()
        with files_up_to(64 * KIB), pytest.raises(DiskFullError) as raised:
            collection.compact()
        assert raised.value.errno == errno.EFBIG
        upsert(collection, count + 100)
        collection.compact()
        assert len(collection) == count + 199
    with tiercel.open(tmp_path / "zoo", mode="r") as collection:
        assert len(collection) == count + 199
        assert collection.verify() == []
    assert [path.name for path in (tmp_path / "zoo").glob("*.tmp")] == []


def test_an_index_that_is_too_large_for_a_file_keeps_the_old_one(tmp_path: Path) -> None:
    index = tiercel.Index(dim=8)
    index.add(np.eye(8))
    index.save(tmp_path / "index")
    before = (tmp_path / "index").read_bytes()
    index.add(np.random.default_rng(0).random((1000, 8)))
    with files_up_to(16 * KIB), pytest.raises(DiskFullError) as raised:
        index.save(tmp_path / "index")
    assert raised.value.errno == errno.EFBIG
    assert (tmp_path / "index").read_bytes() == before
    assert names(tmp_path) == ["index"]
    index.save(tmp_path / "index")
    assert len(tiercel.Index.load(tmp_path / "index")) == 1008


@pytest.mark.parametrize("size", [0, 4 * KIB])
@pytest.mark.parametrize("kind", [tiercel.open, Store, Files])
def test_what_finds_no_room_to_begin_leaves_nothing(tmp_path: Path, kind: Callable[..., Any], size: int) -> None:
    room = () if kind is tiercel.open else (1 << 20,)
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "lost+found").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for name in ("new", "a/b/c", "empty", "full"):
        with files_up_to(size), contextlib.suppress(DiskFullError):
            kind(tmp_path / name, *room).close()
            # A tier may begin with little room.
            assert size > 0
            assert kind is not tiercel.open
            return
        assert sorted(tmp_path.rglob("*")) == before
        kind(tmp_path / name, *room).close()
        shutil.rmtree(tmp_path / name.split("/")[0])
        if name in ("empty", "full"):
            (tmp_path / name).mkdir()
            before = sorted(tmp_path.rglob("*"))


def test_what_somebody_else_has_begun_stays(tmp_path: Path) -> None:
    def begun_by_another() -> None:
        with nothing_left(str(tmp_path / "zoo"), COLLECTION_LOG):
            with tiercel.open(tmp_path / "zoo", dim=8) as other:
                other.upsert("cat")
            raise OSError

    def held_by_another() -> None:
        with nothing_left(str(tmp_path / "tier"), TIER_LOG):
            held.append(Store(tmp_path / "tier", 1 << 20))
            raise OSError

    held: list[Store] = []
    for attempt in (begun_by_another, held_by_another):
        with pytest.raises(OSError, match=r"^$"):
            attempt()
    assert "cat" in tiercel.open(tmp_path / "zoo", create=False)
    held[0]["a"] = b"1"
    assert held[0].flush()


@pytest.mark.parametrize("kind", [Store, Files])
def test_a_tier_goes_on_when_its_files_may_grow_again(tmp_path: Path, kind: type[Store] | type[Files]) -> None:
    value = os.urandom(100 * KIB)
    with kind(tmp_path / "tier", 1 << 24) as tier:
        tier["early"] = b"1"
        assert tier.flush()
        with files_up_to(50 * KIB):
            assert not (tier.put("large", value) and tier.flush())
            assert tier.get("large") in (None, value)
        assert tier.stats()["failures"] > 0
        tier.flush()
        assert tier.put("large", value)
        assert tier.put("late", b"2")
        assert tier.flush()
    with kind(tmp_path / "tier", 1 << 24) as tier:
        assert tier["large"] == value
        assert tier["late"] == b"2"
        assert tier.stats()["damaged"] == 0


def test_a_file_system_that_is_read_only_says_so(small_disk: Path) -> None:
    with tiercel.open(small_disk / "zoo", dim=8) as collection:
        upsert(collection, 0)
    with Store(small_disk / "store", 1 << 20) as store:
        store["a"] = b"1"
    index = tiercel.Index(dim=8)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    tries = [
        lambda: tiercel.open(small_disk / "zoo"),
        lambda: tiercel.open(small_disk / "new", dim=8),
        lambda: Store(small_disk / "store", 1 << 20),
        lambda: Files(small_disk / "files", 1 << 20),
        lambda: index.save(small_disk / "index"),
    ]
    for attempt in tries:
        with pytest.raises(ReadOnlyFileSystemError) as raised:
            attempt()
        assert raised.value.errno == errno.EROFS
    with tiercel.open(small_disk / "zoo", mode="r") as collection:
        assert len(collection) == 100
        assert collection.verify() == []
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with tiercel.open(small_disk / "zoo") as collection:
        upsert(collection, 100)
        assert len(collection) == 200


CLI = [sys.executable, "-W", "ignore", "-m", "tiercel"]


def test_a_full_disk_is_read_whether_its_writer_is_there_or_was_killed(small_disk: Path) -> None:
    path = small_disk / "zoo"
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            count, error = upsert_until_full(tiercel.open(path, dim=8))
            os.write(tell, f"{count} {error.errno}".encode())
            signal.pause()
        finally:
            os._exit(1)
    try:
        count, code = map(int, os.read(told, 100).split())
        assert code == errno.ENOSPC
        disks.fill(small_disk)
        for is_killed in [False, True]:
            if is_killed:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            with tiercel.open(path, mode="r") as reader:
                assert len(reader) == reader.count() == count
                assert len(reader.search(text="word7")) == 1
                assert reader.verify() == []
    finally:
        os.close(tell)
        os.close(told)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    for command in ["stats", "verify"]:
        done = subprocess.run([*CLI, command, str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{count:,}" in done.stdout
    # It opens, so that room can be made.
    collection = tiercel.open(path)
    assert collection.delete([str(number) for number in range(50)]) == 50
    (small_disk / "filler").unlink()
    upsert(collection, 0)
    # Without room for a checkpoint, everything written is still present.
    with contextlib.suppress(DiskFullError):
        collection.close()
    with tiercel.open(path, mode="r") as reader:
        assert len(reader) == count


@pytest.mark.parametrize("is_there", [False, True])
def test_a_backup_that_finds_no_room_leaves_nothing(tmp_path: Path, small_disk: Path, is_there: bool) -> None:
    copy = small_disk / "copy"
    if is_there:
        copy.mkdir()
    with tiercel.open(tmp_path / "zoo", dim=8) as collection:
        upsert(collection, 0, 5000)
        collection.checkpoint()
        filler = small_disk / "filler"
        for room in [0, 64 * KIB, 900 * KIB]:
            disks.fill(small_disk)
            os.truncate(filler, filler.stat().st_size - room)
            with pytest.raises(DiskFullError) as raised:
                collection.backup(copy)
            assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(copy))
            assert names(small_disk) == (["copy", "filler"] if is_there else ["filler"])
            assert not is_there or names(copy) == []
        collection.backup(tmp_path / "copy")
    with tiercel.open(tmp_path / "copy") as collection:
        assert len(collection) == 5000


def test_a_backup_goes_nowhere_into_its_own_collection(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "zoo", dim=8) as collection:
        upsert(collection, 0)
        before = names(tmp_path / "zoo")
        (tmp_path / "link").symlink_to(tmp_path / "zoo")
        for where in ["zoo/sub", "zoo", "link/sub", "zoo/../zoo/sub"]:
            with pytest.raises(InvalidInputError, match=r"^path: expected a directory"):
                collection.backup(tmp_path / where)
        assert names(tmp_path / "zoo") == before
        # Nothing else has its name.
        collection.backup(tmp_path / "zoo-2")


@pytest.mark.parametrize("durability", ["always", "none"])
def test_a_log_that_was_removed_is_noticed_before_the_next_batch(tmp_path: Path, durability: str) -> None:
    collection = tiercel.open(tmp_path / "zoo", dim=8, durability=durability)  # pyright: ignore[reportArgumentType]
    upsert(collection, 0)
    for log in (tmp_path / "zoo").glob("log-*"):
        log.unlink()
    with pytest.raises(StorageFailedError, match="log-1: the open file was removed or replaced"):
        upsert(collection, 100)
    assert len(collection) == 100
    with pytest.raises(StorageFailedError):
        collection.close()


def test_records_that_were_removed_are_noticed_before_the_next_batch(tmp_path: Path) -> None:
    collection = tiercel.open(tmp_path / "zoo", dim=8)
    upsert(collection, 0)
    # Compaction replaces the file, which is no reason to refuse.
    collection.compact()
    upsert(collection, 100)
    (tmp_path / "zoo" / "records").unlink()
    with pytest.raises(StorageFailedError, match="records: the open file was removed or replaced"):
        collection.delete("1")
    assert len(collection) == 200
    with pytest.raises(StorageFailedError):
        collection.close()


@pytest.mark.parametrize("durability", ["always", "interval"])
@pytest.mark.parametrize("size", [29, 100, 400, 511])
def test_a_header_is_never_half_written(tmp_path: Path, size: int, durability: str) -> None:
    where, how = tmp_path / "zoo", {"durability": durability}
    with tiercel.open(where, dim=8, **how) as collection:
        upsert(collection, 0)
        collection.checkpoint()
    for first, write in [(100, tiercel.Collection.checkpoint), (200, tiercel.Collection.close)]:
        collection = tiercel.open(where, **how)
        upsert(collection, first)
        with files_up_to(size), contextlib.suppress(DiskFullError):
            write(collection)
        with contextlib.suppress(DiskFullError):
            collection.close()
    with tiercel.open(where, mode="r") as collection:
        assert len(collection) == 300
        assert collection.verify() == []


@pytest.mark.parametrize(
    ("kind", "pattern"), [(Store, "log-*"), (Store, "synced"), (Files, "ledger/log-*"), (Files, "blobs/*/*")]
)
def test_files_of_a_tier_that_were_removed_are_noticed_before_the_next_flush(
    tmp_path: Path, kind: type[Store] | type[Files], pattern: str
) -> None:
    with kind(tmp_path / "tier", 1 << 24) as tier:
        tier["early"] = b"0"
        assert tier.flush()
        for number in range(20):
            tier[str(number)] = content(number)
        removed = list((tmp_path / "tier").glob(pattern))
        assert removed
        for path in removed:
            path.unlink()
        assert not tier.flush()
        assert tier.stats()["failures"] == 1
        tier["late"] = b"1"
        assert tier.flush()
    with kind(tmp_path / "tier", 1 << 24) as tier:
        assert tier["late"] == b"1"
        assert tier.get("7") in (None, content(7))


def test_closing_without_room_says_that_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "zoo"
    with files_up_to(200 * KIB):
        with pytest.raises(DiskFullError) as raised, tiercel.open(path, dim=8) as collection:
            count, _ = upsert_until_full(collection)
        assert raised.value.errno == errno.EFBIG
        assert raised.value.filename == str(path)
        assert "the collection is closed and every write is safe" in str(raised.value)
        assert collection.closed
        collection.close()
    with tiercel.open(path) as collection:
        assert len(collection) == count
        assert collection.verify() == []


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    collection = tiercel.open(tmp_path / "zoo", dim=8)
    with files_up_to(200 * KIB):
        count, error = upsert_until_full(collection)
        assert error.filename == str(tmp_path / "zoo")
        assert str(error).endswith(f": {str(tmp_path / 'zoo')!r}")
        everything = [str(number) for number in range(count)]
        tries = [
            collection.checkpoint,
            collection.compact,
            lambda: collection.update(everything, texts=["word " * 99] * count),
            lambda: collection.update_metadata(everything, [{"a": "b" * 999}] * count),
            lambda: collection.patch_metadata(everything, {"a": "b" * 999}),
        ]
        for attempt in tries:
            with pytest.raises(DiskFullError) as raised:
                attempt()
            assert raised.value.filename == str(tmp_path / "zoo")
    collection.close()
