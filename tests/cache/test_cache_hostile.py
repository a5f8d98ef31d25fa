"""Hostile directories and tiers: foreign files stay untouched, and damage stays contained."""

import json
import os
import random
import resource
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from remote import Shelf

import tiercel
from tiercel._core import seal, unseal
from tiercel.cache import Cache, Files, Memory, Object, PersistentTier, Store, Wrapped
from tiercel.cache.keys import key_name, prefix_of, record_name

RECORD = {"epoch": 1, "is_first": False, "turn": 0, "floor": 0, "tags": {}}
TIERS: list[Any] = [Store, Files]


# Records of namespaces.


@pytest.mark.parametrize(
    "record",
    [
        json.dumps(RECORD | {"epoch": -1}).encode(),
        json.dumps(RECORD | {"epoch": 2**64}).encode(),
        json.dumps(RECORD | {"epoch": 2**64 - 1}).encode(),
        json.dumps(RECORD | {"epoch": 1.5}).encode(),
        json.dumps(RECORD | {"epoch": True}).encode(),
        json.dumps(RECORD | {"turn": 10**30}).encode(),
        json.dumps(RECORD | {"floor": None}).encode(),
        json.dumps(RECORD | {"tags": {"a": -1}}).encode(),
        json.dumps(RECORD | {"tags": []}).encode(),
        json.dumps(RECORD | {"is_first": 1}).encode(),
        json.dumps(RECORD).encode().replace(b'"epoch": 1', b'"epoch": 1e999'),
        json.dumps(RECORD).encode().replace(b'"epoch": 1', b'"epoch": ' + b"1" * 5000),
        json.dumps(RECORD).encode().replace(b'"epoch": 1', b'"epoch": NaN'),
        json.dumps(RECORD).encode().replace(b"{}", b"[" * 100_000),
        b"[" * 100_000,
        b"\xff",
        b"",
        b"null",
        b"[1]",
    ],
    ids=range(19),
)
def test_a_record_that_is_none_is_counted_and_a_new_epoch_begins(record: bytes, tmp_path: Path) -> None:
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
        cache["old"] = cache.namespace("other")["old"] = 1
    with Store(tmp_path, 1 << 20) as store:
        store.put(record_name(""), record)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
            assert cache.get("old") is None
            assert cache.namespace("other")["old"] == 1
            cache.put("new", 2, tags=["tag"])
            assert cache.invalidate_tags("tag")
            cache["new"] = 3
            assert cache.invalidate()
            cache["new"] = 4
            assert cache.stats()["unread"] > 0
    assert [str(each.message) for each in told] == [
        "Store: the record of the cache is damaged; values in that tier may no longer be returned"
    ]
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
        assert cache["new"] == 4
        assert cache.stats()["unread"] == 0


def test_a_record_with_the_largest_numbers_can_be_counted_on(tmp_path: Path) -> None:
    most = 2**64 - 2**32
    with Store(tmp_path, 1 << 20) as store:
        store.put(record_name(""), json.dumps(RECORD | {"epoch": most, "turn": most, "tags": {"a": most}}).encode())
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
        for number in range(3):
            cache.put("a", number, tags=["a"])
            assert cache["a"] == number
            assert cache.invalidate_tags("a")
            with warnings.catch_warnings():
                # Larger ones than these are not accepted.
                warnings.simplefilter("ignore")
                assert cache.invalidate()
            assert "a" not in cache


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0])
def test_a_cost_that_is_no_number_spoils_no_other_value(cost: float, tmp_path: Path) -> None:
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
        cache["a"] = cache["b"] = 1
        name = key_name(prefix_of(""), "a")
    with Store(tmp_path, 1 << 20) as store:
        data = bytearray(store[name])
        data[4:8] = struct.pack("<f", cost)
        store[name] = data
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
        assert [cache.get("a"), cache.get("b")] == [None, 1]


# Lengths.


def test_a_value_that_is_larger_than_its_tier_is_refused_and_not_unpacked(tmp_path: Path) -> None:
    value = bytes(5 << 20)
    for make in TIERS:
        with make(tmp_path / make.__name__, 1 << 20, level=3) as tier:
            assert tier.put("a", value) is False
            assert tier.stats()["refused"] == 1
        with make(tmp_path / make.__name__, 16 << 20, level=3) as tier:
            assert tier.put("a", value)
            assert tier["a"] == value
        # Its file is small, but the value is not.
        with make(tmp_path / make.__name__, 1 << 20, level=3) as tier:
            assert tier.get("a") is None


def test_a_frame_is_unpacked_to_so_many_bytes_and_no_more() -> None:
    frame = seal("a", bytes(32 << 20), 3)
    assert len(frame) < 5000
    assert unseal("a", frame, 1 << 20) is None
    assert unseal("a", frame, 32 << 20) == bytes(32 << 20)
    with pytest.raises(tiercel.InvalidInputError, match="most: expected an int from 1"):
        unseal("a", frame, 0)


def test_tiers_outside_have_a_largest_value() -> None:
    shelf = Shelf()
    with Wrapped(shelf, max_value_bytes=1000) as tier:
        assert tier.put("a", b"x")
        assert not tier.put("a", bytes(1001))
        assert tier.get("a") is None
        assert tier.stats()["refused"] == 1
        assert tier.put("b", bytes(1000))
        assert tier.get("b") == bytes(1000)
    with Wrapped(shelf, max_value_bytes=999) as tier:
        assert tier.get("b") is None
        assert tier.stats()["damaged"] == 1


def test_an_object_that_is_larger_than_a_value_is_not_read(tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    with Object(tmp_path.as_uri()) as tier:
        assert tier.put("a", b"value")
    (name,) = tmp_path.iterdir()
    with name.open("r+b") as file:
        file.truncate(1 << 40)
    with Object(tmp_path.as_uri(), soft_timeout=10) as tier:
        assert tier.get("a") is None
        assert (tier.stats()["damaged"], tier.stats()["failures"]) == (1, 0)


BOUNDED = """
import resource, sys
from pathlib import Path
from tiercel.cache import Memory
from tiercel._core import unseal
frame, value, tier = Path(sys.argv[1]).read_bytes(), bytes(60 << 20), Memory(1 << 40)
# Libraries reserve much more than they use.
limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (300 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
assert unseal("a", frame, 1 << 20) is None
try:
    # Rust may have the room, and Python not.
    assert unseal("a", frame, 1 << 40) is None
except MemoryError:
    pass
try:
    for number in range(50):
        tier.put(str(number), value)
except MemoryError:
    print("no memory")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of memory")
def test_without_memory_there_is_an_error_and_no_end(tmp_path: Path) -> None:
    frame = tmp_path / "frame"
    frame.write_bytes(seal("a", bytes(400 << 20), 1))
    words = [sys.executable, "-W", "ignore", "-c", BOUNDED, str(frame)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no memory\n"), done.stderr


@pytest.mark.parametrize("make", TIERS)
def test_files_that_say_they_are_huge_take_no_memory(make: Any, tmp_path: Path) -> None:
    with make(tmp_path, 1 << 20) as tier:
        tier["a"] = b"x" * 100
    for file in sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.name not in {"LOCK", "synced"}):
        before = file.stat().st_size
        with file.open("r+b") as content:
            content.truncate(1 << 40)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with make(tmp_path, 1 << 20) as tier:
            assert tier.get("a") in {None, b"x" * 100}
            tier["a"] = b"x" * 100
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 64 << 10
        assert not file.exists() or file.stat().st_size < 1 << 40 or before == 0


# Directories.


def tree(directory: Path) -> dict[str, Any]:
    """Read everything in a directory."""
    found: dict[str, Any] = {}
    for path in sorted(directory.rglob("*")):
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(directory))] = content
    return found


FOREIGN: list[tuple[str, bytes]] = [
    ("readme", b"mine"),
    ("synced", b"a list of what is synced"),
    ("log-1", b"2026-01-01 started"),
    ("log-1", b""),
    ("LOCK", b"12345"),
    ("blobs/ab/tmp-1", b"mine"),
    ("blobs/ab/" + "ab" * 32, b"mine"),
    ("blobs/readme", b"mine"),
    ("ledger/log-1", b"entries"),
    ("ledger/readme", b"mine"),
]


@pytest.mark.parametrize("make", TIERS)
@pytest.mark.parametrize(("name", "content"), FOREIGN, ids=range(len(FOREIGN)))
def test_a_tier_begins_in_no_directory_with_something_else_in_it(
    make: Any, name: str, content: bytes, tmp_path: Path
) -> None:
    if name == "log-1" and not content:
        # A crash can leave this of a new tier.
        return
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
    before = tree(tmp_path)
    with pytest.raises(tiercel.InvalidInputError, match="path: expected a directory that is absent, empty or a tier's"):
        make(tmp_path, 1 << 20)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("make", TIERS)
def test_a_tier_begins_where_there_is_nothing(make: Any, tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".DS_Store").write_text("")
    for _ in range(2):
        with make(tmp_path, 1 << 20) as tier:
            tier["a"] = b"value"
    assert (tmp_path / "lost+found").is_dir()


def filled(make: Callable[[Path, int], PersistentTier], directory: Path) -> None:
    with make(directory, 1 << 20) as tier:
        tier["a"] = b"value"
        # Large enough for a file of its own.
        tier["large"] = random.Random(1).randbytes(20_000)


def test_what_has_our_names_and_not_our_magic_stays(tmp_path: Path) -> None:
    filled(Files, tmp_path / "files")
    filled(Store, tmp_path / "store")
    part = next((tmp_path / "files" / "blobs").iterdir())
    foreign = {
        part / "tmp-0": b"mine",
        part / (part.name + "0" * 62): b"mine",
        tmp_path / "files" / "ledger" / "log-9": b"mine",
        tmp_path / "store" / "log-9": b"mine",
        tmp_path / "store" / "log-9.damaged": b"mine",
        tmp_path / "store" / "other": b"mine",
    }
    for path, content in foreign.items():
        path.write_bytes(content)
    for make in TIERS:
        with make(tmp_path / make.__name__.lower(), 1 << 20) as tier:
            assert tier["a"] == b"value"
            for number in range(300):
                tier[str(number)] = number.to_bytes(2, "little") * 5000
            tier.clear()
    assert {path: path.read_bytes() for path in foreign} == foreign


def test_a_record_of_syncs_that_is_another_s_is_set_aside(tmp_path: Path) -> None:
    filled(Store, tmp_path)
    (tmp_path / "synced").write_bytes(b"mine")
    with Store(tmp_path, 1 << 20) as store:
        assert "a" not in store
        assert store.stats()["damaged"] == 1
    assert (tmp_path / "synced.damaged").read_bytes() == b"mine"
    (tmp_path / "synced").write_bytes(b"mine, too")
    with pytest.raises(tiercel.StorageFailedError, match=r"move it and synced\.damaged away"):
        Store(tmp_path, 1 << 20)
    assert (tmp_path / "synced").read_bytes() == b"mine, too"


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
@pytest.mark.parametrize("make", TIERS)
def test_links_and_pipes_are_not_followed(make: Any, kind: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for number, name in enumerate(["LOCK", "synced", "log-1", "log-2", "blobs", "ledger", "blobs/part", "content"]):
        directory = tmp_path / f"{number}"
        filled(make, directory)
        inner = directory if make is Store else directory / "ledger"
        place = directory / name if name in {"LOCK", "blobs", "ledger"} else inner / name
        if name in {"blobs/part", "content"} and make is Files:
            place = next((directory / "blobs").iterdir())
            place = place if name == "blobs/part" else next(place.iterdir())
        if make is Store and name in {"blobs", "ledger", "blobs/part", "content"}:
            continue
        target = outside / f"{number}"
        if place.is_dir():
            place.rename(target)
        elif place.exists():
            target.write_bytes(place.read_bytes())
            place.unlink()
        else:
            target.write_bytes(b"mine")
        if kind == "pipe":
            os.mkfifo(place)
        else:
            place.symlink_to(target if kind == "link" else outside / "nowhere")
        before = tree(outside)
        try:
            with make(directory, 1 << 20) as tier:
                tier.get("a")
                tier["a"] = b"value"
                tier["b"] = b"another value"
                tier.flush()
        except (tiercel.StorageFailedError, tiercel.InvalidInputError):
            pass
        assert tree(outside) == before, name


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.parametrize("make", TIERS)
def test_files_that_are_private_stay_so(make: Any, tmp_path: Path) -> None:
    filled(make, tmp_path)
    inner = tmp_path if make is Store else tmp_path / "ledger"
    assert (tmp_path / "LOCK").stat().st_mode & 0o777 == 0o600
    (inner / "synced").chmod(0o600)
    with make(tmp_path, 1 << 20) as tier:
        tier.clear()
        tier["b"] = b"value"
    assert {path.name: path.stat().st_mode & 0o777 for path in inner.iterdir() if path.is_file()} == {
        "LOCK": 0o600,
        "synced": 0o600,
        **{path.name: 0o600 for path in inner.glob("log-*")},
    }


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be removed")
@pytest.mark.parametrize("make", TIERS)
def test_a_tier_whose_lock_was_taken_away_writes_nothing_more(make: Any, tmp_path: Path) -> None:
    with make(tmp_path, 1 << 20) as first:
        first["a"] = b"of the first"
        assert first.flush()
        (tmp_path / "LOCK").unlink()
        if make is Files:
            (tmp_path / "ledger" / "LOCK").unlink()
        with make(tmp_path, 1 << 20) as second:
            second["b"] = b"of the second"
            assert second.flush()
            first["c"] = b"lost"
            assert first.flush() is False
            assert first.stats()["failures"] == 1
            assert first.get("a") is None
            assert first.put("d", b"lost") is False
            assert second["a"] == b"of the first"
        with make(tmp_path, 1 << 20) as third:
            assert sorted(third) == ["a", "b"]
            assert third["b"] == b"of the second"


# Traces and lines.


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.lis", b"0 5000000000 0 0\n", "5,000,000,000 of them about line 1"),
        ("a.lis", b"1 1 0 0\n" + b"0 100000000 0 0\n" * 3, "more than 134,217,728 requests: about line 1"),
        ("a.lis", b"1 1 0 0\n1 1 0\n", "3 numbers instead of 4 in line 2"),
        ("a.lis", b"1 1 0 0\n1 one 0 0\n", "b'one' in line 2"),
        ("a.txt", b"1\n" + b"1" * 5000, "more than 1,024 bytes in line 2"),
        ("a.txt", b"1\n2\n99999999999999999999\n", "in line 3"),
    ],
)
def test_traces_are_bounded(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    from tiercel.cache.traces import read_trace

    (tmp_path / name).write_bytes(content)
    with pytest.raises(tiercel.CorruptionError, match=message):
        read_trace(tmp_path / name)


def test_a_packed_trace_is_unpacked_as_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lzma

    from tiercel.cache import traces

    monkeypatch.setattr(traces, "MOST_BYTES", 1 << 20)
    (tmp_path / "a.trace.xz").write_bytes(lzma.compress(bytes(8 << 20)))
    with pytest.raises(tiercel.CorruptionError, match="more than 1,048,576 bytes"):
        traces.read_trace(tmp_path / "a.trace.xz")
    # Two parts, one after the other.
    (tmp_path / "b.trace.xz").write_bytes(lzma.compress(struct.pack(">i", 1)) + lzma.compress(struct.pack(">i", 2)))
    assert traces.read_trace(tmp_path / "b.trace.xz").keys.tolist() == [1, 2]


def test_a_trace_with_sizes_that_no_tier_has_room_for_is_replayed() -> None:
    import numpy as np

    from tiercel.cache.replay import replay
    from tiercel.cache.traces import Trace

    assert replay(Trace(np.zeros(3, np.int64), np.full(3, 2**32 - 1)), 1 << 20).hits == 0


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_is_too_long_is_told_with_its_number(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    from tiercel.cli import jsonl

    monkeypatch.setattr(jsonl, "MOST_LINE", 1000)
    content = b'{"id": "a"}\n' + b"x" * 1000 + b"\n" + b"x" * 5000
    path = tmp_path / ("a.jsonl.gz" if packed else "a.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    with jsonl.open_lines(str(path)) as lines:
        found = iter(lines)
        assert next(found)[1] == b'{"id": "a"}\n'
        with pytest.raises(tiercel.InvalidInputError, match=r"a\.jsonl.*, line 2: expected at most 1,000 bytes"):
            list(found)
