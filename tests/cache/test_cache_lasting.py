"""Tiers on disk after the end of their process: what survives crashes, damage and full disks."""

import subprocess
import sys
from pathlib import Path

import pytest

import tiercel
from tiercel.cache import Files, Store

MIB = 1 << 20
LASTING = pytest.mark.parametrize("kind", [Store, Files])
Kind = type[Store] | type[Files]


@LASTING
def test_a_lasting_tier_outlives_its_process(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path, MIB) as store:
        store.update({"a": b"1", b"b": b"2"})
        store["a"] = b"3"
    with kind(tmp_path, MIB) as store:
        assert dict(store) == {"a": b"3", b"b": b"2"}


@LASTING
def test_a_closed_tier_says_so(kind: Kind, tmp_path: Path) -> None:
    store = kind(tmp_path, MIB)
    store["a"] = b"1"
    assert not store.closed
    store.close()
    store.close()
    assert store.closed
    for call in (
        store.flush,
        store.clear,
        store.stats,
        lambda: store["a"],
        lambda: store.put("a", b""),
        lambda: len(store),
    ):
        with pytest.raises(tiercel.ClosedError, match="the tier is closed"):
            call()


@LASTING
def test_a_directory_is_opened_once(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path, MIB) as store:
        store["a"] = b"1"
        with pytest.raises(tiercel.AlreadyOpenError, match="already open"):
            kind(tmp_path, MIB)
        assert store["a"] == b"1"


@LASTING
def test_a_directory_that_cannot_be_is_refused(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(tiercel.StorageFailedError):
        kind(tmp_path / "file", MIB)


def test_a_flipped_bit_is_a_counted_miss(tmp_path: Path) -> None:
    value = b"0123456789" * 100
    with Store(tmp_path, MIB) as store:
        store["a"] = value
    path = tmp_path / "log-1"
    content = bytearray(path.read_bytes())
    content[content.index(value) + 500] ^= 1
    path.write_bytes(content)
    with Store(tmp_path, MIB) as store:
        assert store.get("a") is None
        assert (store.stats()["damaged"], store.stats()["misses"]) == (1, 1)
        store["a"] = value
        assert store["a"] == value


@LASTING
def test_what_is_not_the_tier_s_is_left_alone(kind: Kind, tmp_path: Path) -> None:
    log, blobs = (tmp_path / "ledger", tmp_path / "blobs") if kind is Files else (tmp_path, tmp_path)
    kind(tmp_path, MIB).close()
    foreign = [log / name for name in ("log-3", f"log-{2**64 - 1}", "log-03", "log-3.old", "counters.damaged")]
    foreign += [blobs / "photos" / "me.jpg", blobs / "ab" / "tmp-old", blobs / "ab" / "dir" / "x"]
    foreign += [blobs / "ab" / ("cd" * 32)]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"something else" * 1000)
    for expected in (b"1", b"2"):
        with kind(tmp_path, MIB) as store:
            assert (store.get("a"), store.stats()["damaged"]) == (None if expected == b"1" else b"1", 0)
            store["a"] = expected
    with kind(tmp_path, MIB) as store:
        store.clear()
        store["b"] = b"3"
    # An empty `synced`: the whole log is dropped, and the newest file set aside.
    (log / "synced").write_bytes(b"")
    with kind(tmp_path, MIB) as store:
        assert (len(store), store.stats()["damaged"]) == (0, 1)
    assert [path for path in foreign if path.read_bytes() != b"something else" * 1000] == []


@LASTING
def test_files_keep_their_ledger_to_themselves(kind: Kind, tmp_path: Path) -> None:
    with Files(tmp_path, MIB) as files:
        files["a"] = b"1"
        for path in (tmp_path, tmp_path / "ledger"):
            # Neither is a directory for the other kind of tier.
            with pytest.raises(
                tiercel.AlreadyOpenError if (kind is Files) == (path == tmp_path) else tiercel.InvalidInputError
            ):
                kind(path, MIB)


def test_a_damaged_value_is_passed_over_by_items(tmp_path: Path) -> None:
    values = {f"key {number}": bytes([number]) * 300 for number in range(9)}
    with Store(tmp_path, MIB) as store:
        store.update(values)
    path = tmp_path / "log-1"
    content = bytearray(path.read_bytes())
    content[content.index(values["key 4"]) + 100] ^= 1
    path.write_bytes(content)
    del values["key 4"]
    with Store(tmp_path, MIB) as store:
        assert dict(store.items()) == values
        assert sorted(store.values()) == sorted(values.values())


def test_equal_values_are_kept_once(tmp_path: Path) -> None:
    value = bytes(range(256)) * 1000
    with Files(tmp_path, MIB, level=None) as files:
        for number in range(10):
            files[f"key {number}"] = value
        assert (len(files), files.bytes < 300_000) == (10, True)
        (blob,) = (path for path in tmp_path.glob("blobs/*/*"))
        content = bytearray(blob.read_bytes())
        content[5000] ^= 1
        blob.write_bytes(content)
        assert files.get("key 3") is None
        assert (len(files), files.stats()["damaged"], files.stats()["misses"]) == (0, 1, 1)
        assert not blob.exists()
        files["key 3"] = value
        assert files["key 3"] == value


FULL_DISK = """
import os, resource, signal, sys
from tiercel import cache

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
Kind = getattr(cache, sys.argv[2])
store = Kind(sys.argv[1], 1 << 30)
store["k"], store["gone"] = b"old", b"x"
store.flush()
store["k"], store["fresh"] = b"new", b"f"
del store["gone"]
store.update({str(number): os.urandom(1 << 20) for number in range(2)})
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, most))
assert not all([store.put(f"more {number}", os.urandom(1 << 20)) for number in range(30)])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
assert store.get("k") in (None, b"new"), store.get("k")
assert store.get("gone") is None
assert store.stats()["failures"] > 0
assert all(store.get(key) is not None for key in store), len(store)
store["after"] = b"1"
store.close()
with Kind(sys.argv[1], 1 << 30) as again:
    assert again.get("k") in (None, b"new"), again.get("k")
    assert again.get("gone") is None
    assert again["after"] == b"1"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not limit file sizes")
@LASTING
def test_a_disk_that_refuses_brings_no_older_value_back(kind: Kind, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path), kind.__name__], check=True)


FEW_FILES = """
import os, resource, sys
from tiercel.cache import Files

files = Files(sys.argv[1], 16 << 20, level=None)
for number in range(500):
    # Large enough that each has a file.
    files[str(number)] = number.to_bytes(4, "little") * 5000
assert files.flush()
# With limits, a process has some of its files open already.
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
assert files.put("large", os.urandom(3 << 20))
for number in range(1, 300):
    files[f"{number} again"] = number.to_bytes(4, "big") * 5000
kept, left = files.put_evicting("larger", os.urandom(3 << 20))
assert kept and 0 < len(left) <= 64, len(left)
assert all(value[:4] * (len(value) // 4) == value or len(value) == 3 << 20 for _, value in left)
assert files.flush()
assert files.stats()["failures"] == 0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not limit open files")
def test_many_contents_that_leave_need_few_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FEW_FILES, str(tmp_path)], check=True)


FORGOTTEN = """
import resource, signal, sys
from tiercel import cache

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = getattr(cache, sys.argv[2])(sys.argv[1], 1 << 30)
store["a"] = b"1"
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
failed = 0
for number in range(40_000):
    failed += not store.put(f"{number:0200d}", b"2")
    if failed:
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
assert failed and store.get("a") is None
store["b"] = b"3"
assert (store.flush(), store.flush(), store["b"]) == (False, True, b"3")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not limit file sizes")
@LASTING
def test_flush_tells_once_that_everything_was_forgotten(kind: Kind, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORGOTTEN, str(tmp_path), kind.__name__], check=True)


KILLED = """
import sys
from tiercel import cache

Kind = getattr(cache, sys.argv[2])
store = Kind(sys.argv[1], 4 << 20)
for round in range(10**9):
    for key in range(50):
        store[str(key)] = round.to_bytes(8, "little") * 500
    del store["49"]
    if round % 20 == 0:
        assert store.flush()
        print(round, flush=True)
"""


@LASTING
def test_a_killed_process_loses_nothing_that_it_flushed(kind: Kind, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), kind.__name__], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(4):
            flushed = int(process.stdout.readline())
        process.kill()
    with kind(tmp_path, 4 << 20) as store:
        assert store.stats()["damaged"] == 0
        for key in range(50):
            value = store.get(str(key))
            # Key 49 is put in each round and deleted at its end; replacing a content removes its
            # file.
            if value is None:
                assert key == 49 or kind is Files
            else:
                assert value == value[:8] * 500
                assert int.from_bytes(value[:8], "little") >= flushed + (key == 49)


@LASTING
def test_a_lasting_tier_compresses_at_a_level(kind: Kind, tmp_path: Path) -> None:
    text = b"a line that is like the others\n" * 1000
    with kind(tmp_path, MIB, level=3) as store:
        store["a"] = text
        assert store["a"] == text
        assert store.flush()
        assert store.bytes < 1000
    with kind(tmp_path, MIB) as store:
        assert store["a"] == text
    with pytest.raises(tiercel.InvalidInputError, match="level: expected None or an int from 1 to 22, got 23"):
        kind(tmp_path, MIB, 23)


@LASTING
def test_a_lasting_tier_stays_in_its_directory(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = kind("store", MIB)
    monkeypatch.chdir(tmp_path / "elsewhere")
    store["a"] = b"1"
    store.clear()
    store.close()
    assert not list((tmp_path / "elsewhere").iterdir())
