"""Traces of accesses, their hit ratios in a memory tier, and the commands that inspect a store."""

import json
import lzma
import random
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from hypothesis import given
from hypothesis import strategies as st
from support.places import TRACES

import tiercel
from tiercel.cache import Files, Store
from tiercel.cache.replay import replay, replay_two_tiers
from tiercel.cache.traces import Trace, read_trace


def plain_lru(keys: list[int], sizes: list[int], room: int) -> int:
    """Hits of an LRU, in another implementation: a list, the latest use last."""
    there: list[tuple[int, int]] = []
    hits = 0
    for key, size in zip(keys, sizes, strict=True):
        entry = next((entry for entry in there if entry[0] == key), None)
        if entry is not None:
            hits += 1
            there.remove(entry)
            there.append(entry)
        elif size <= room:
            there.append((key, size))
            while sum(size for _, size in there) > room:
                there.pop(0)
    return hits


@given(requests=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), min_size=1), room=st.integers(1, 40))
def test_the_lru_is_an_lru(requests: list[tuple[int, int]], room: int) -> None:
    keys, sizes = (list(column) for column in zip(*requests, strict=True))
    for given_sizes, used in ((None, [1] * len(keys)), (np.array(sizes), sizes)):
        replayed = replay(Trace(np.array(keys), given_sizes), room)
        assert replayed.lru_hits == plain_lru(keys, used, room)
        assert replayed.requests == len(keys)


def test_what_fits_is_missed_once() -> None:
    replayed = replay(Trace(np.tile(np.arange(50), 4), None), 100)
    assert replayed == (200, 150, 150)


def test_two_tiers_find_what_one_of_them_has() -> None:
    # Ten keys repeatedly, among many that come once.
    keys = np.arange(4000)
    keys[::2] = 10_000 + np.arange(2000) % 10
    found = replay_two_tiers(Trace(keys, None), 5, 100)
    assert found == replay_two_tiers(Trace(keys, None), 5, 100), "the figures are reproducible"
    assert found.requests == 4000
    assert found.lru_hits == plain_lru(keys.tolist(), [1] * 4000, 100) == 1990
    assert found.first_lru_hits == plain_lru(keys.tolist(), [1] * 4000, 5)
    assert found.hits == 1990
    assert found.first_hits > 0


def test_two_tiers_hold_no_more_keys_than_they_have_room_for() -> None:
    # With a hundred keys that come twice, the second pass finds at most those that were kept.
    found = replay_two_tiers(Trace(np.tile(np.arange(100), 2), None), 5, 50)
    assert 0 < found.hits <= 55


def test_two_tiers_take_no_sizes() -> None:
    with pytest.raises(tiercel.InvalidInputError, match="trace: expected one without sizes"):
        replay_two_tiers(Trace(np.arange(3), np.arange(1, 4)), 1, 1)


def test_progress_goes_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    replay(Trace(np.zeros(100_000, np.int64), None), 1, progress=lambda done, total: told.append((done, total)))
    assert told == [(65_536, 200_000), (100_000, 200_000), (165_536, 200_000), (200_000, 200_000)]


@pytest.mark.parametrize(
    ("name", "content", "keys", "sizes"),
    [
        ("a.trace", struct.pack(">3i", 5, -1, 5), [5, -1, 5], None),
        ("a.trace.xz", lzma.compress(struct.pack(">2i", 5, 6)), [5, 6], None),
        ("a.lis", b"10 3 0 1\n7 1 0 2\n20 0 0 3\n", [10, 11, 12, 7], None),
        ("a.txt", b"3\n1\n3\n", [3, 1, 3], None),
        ("a.oracleGeneral.bin", struct.pack("<IQIq", 0, 9, 512, -1) * 2, [9, 9], [512, 512]),
    ],
)
def test_every_format_is_read(
    name: str, content: bytes, keys: list[int], sizes: list[int] | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    trace = read_trace(tmp_path / name)
    assert trace.keys.tolist() == keys
    assert (None if trace.sizes is None else trace.sizes.tolist()) == sizes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.trace", b"123"),
        ("a.trace", b""),
        ("a.trace.xz", b"no xz"),
        ("a.trace.xz", lzma.compress(bytes(64))[:30]),
        ("a.trace.zst", b"no zstd"),
        ("a.lis", b"1 2 3"),
        ("a.lis", b"1 -2 3 4"),
        ("a.txt", b"one"),
        ("a.txt", b"99999999999999999999"),
        ("a.oracleGeneral.bin", bytes(25)),
    ],
)
def test_what_is_no_trace_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(tiercel.CorruptionError, match=name):
        read_trace(tmp_path / name)


def test_zstd_is_read_if_it_can_be(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    (tmp_path / "a.txt.zst").write_bytes(zstandard.ZstdCompressor().compress(b"1 2 1"))
    assert read_trace(tmp_path / "a.txt.zst").keys.tolist() == [1, 2, 1]
    whole = zstandard.ZstdCompressor().compress(b"1\n2\n1\n" * 100_000)
    (tmp_path / "a.txt.zst").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(tiercel.CorruptionError, match="got a truncated file"):
        read_trace(tmp_path / "a.txt.zst")


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1")
    with pytest.raises(tiercel.InvalidInputError, match=r"expected a name that ends in \.trace"):
        read_trace(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "size", "lru_hits"),
    # Hits that others found with an LRU.
    [("cache2k-web12.trace.xz", 137, 37_954), ("cache2k-web12.trace.xz", 1375, 65_474)],
)
def test_a_memory_tier_finds_more_than_an_lru(name: str, size: int, lru_hits: int) -> None:
    if not (TRACES / name).exists():
        pytest.skip("the traces are not installed")
    replayed = replay(read_trace(TRACES / name), size)
    assert replayed.lru_hits == lru_hits
    assert replayed.hits > lru_hits


def test_replay_prints_both(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 2 1 2 3 1 2 3")
    code, out, err = run("cache", "replay", "a.txt", "--size", "2", "8")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "8 requests"
    assert out.splitlines()[3].split() == ["8", "62.50%", "62.50%"]
    code, out, err = run("cache", "replay", "a.txt", "--size", "1", "--below", "3")
    assert out.splitlines()[1].split() == ["keys", "memory", "LRU", "both", "LRU", "of", "3"]
    assert out.splitlines()[2].split()[-1] == "62.50%"
    code, out, err = run("cache", "replay", "a.txt", "--size", "8", "--json")
    assert json.loads(out)["sizes"] == [{"size": 8, "hits": 5, "lru_hits": 5, "requests": 8}]


@pytest.mark.parametrize(
    "words",
    [
        ["a.txt", "--size", "0"],
        ["a.txt", "--size", str(2**64)],
        ["a.txt", "--size", "1", "--below", "0"],
        ["a.txt"],
        ["absent.txt", "--size", "1"],
        ["a.csv", "--size", "1"],
    ],
)
def test_replay_refuses_in_one_line(run: Run, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "a.csv").write_text("1")
    code, out, err = run("cache", "replay", *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_a_store_is_looked_into(run: Run, tmp_path: Path) -> None:
    with Store(tmp_path / "store", 1 << 20) as store:
        store.update({"a": b"0123456789" * 10, "b": b"2"})
    assert json.loads(run("cache", "stats", "store", "--json")[1])["entries"] == 2
    assert run("cache", "verify", "store")[:2] == (0, "2 values, none damaged\n")
    file = tmp_path / "store" / "log-1"
    content = bytearray(file.read_bytes())
    content[content.index(b"0123456789") + 5] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        assert run("cache", "verify", "store")[:2] == (1, "2 values, 1 damaged\n")
    assert run("cache", "repair", "store")[:2] == (0, "1 values, 1 damaged parts removed\n")
    assert run("cache", "verify", "store")[:2] == (0, "1 values, none damaged\n")
    assert run("cache", "repair", "store")[:2] == (0, "1 values, none was damaged\n")
    assert run("cache", "clear", "store")[:2] == (0, "1 values removed\n")
    assert "entries      0" in run("cache", "stats", "store")[1]


def test_files_are_looked_into(run: Run, tmp_path: Path) -> None:
    with Files(tmp_path / "files", 1 << 20) as files:
        large = random.Random(1).randbytes(20_000)
        files.update({"a": b"0123456789" * 10, "b": large, "c": large})
    assert json.loads(run("cache", "stats", "files", "--json")[1])["entries"] == 3
    assert run("cache", "verify", "files")[:2] == (0, "3 values, none damaged\n")
    (file,) = tmp_path.glob("files/blobs/*/*")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        assert run("cache", "verify", "files")[:2] == (1, "3 values, 2 damaged\n")
    assert run("cache", "repair", "files")[0] == 0
    assert run("cache", "verify", "files")[:2] == (0, "1 values, none damaged\n")
    with Files(tmp_path / "files", 1 << 20) as files:
        assert dict(files) == {"a": b"0123456789" * 10}
    assert run("cache", "clear", "files")[:2] == (0, "1 values removed\n")
    assert not list(tmp_path.glob("files/blobs/*/*"))


@pytest.mark.parametrize("kind", [Store, Files])
def test_looking_changes_nothing(run: Run, tmp_path: Path, kind: type[Store] | type[Files]) -> None:
    place, crashed = tmp_path / "tier", tmp_path / "crashed"
    with kind(place, 64 << 20) as tier:
        for number in range(40):
            tier[str(number)] = number.to_bytes(1, "little") * 1000
        tier.flush()
        # As after a crash.
        shutil.copytree(place, crashed)
    log = crashed / ("ledger" if kind is Files else "")
    with (log / "log-1").open("ab") as file:
        file.write(b"half a record")
    (log / "log-2").write_bytes(b"TC")
    for at, expected in ((None, 40), (0, 40), (60, 0)):
        if at is not None:
            damaged = bytearray((log / "log-1").read_bytes() if at else (log / "synced").read_bytes())
            damaged[at] ^= 1
            (log / ("log-1" if at else "synced")).write_bytes(damaged)
        before = {path: path.read_bytes() for path in crashed.rglob("*") if path.is_file()}
        assert json.loads(run("cache", "stats", "crashed", "--json")[1])["entries"] == expected
        code, out, _ = run("cache", "verify", "crashed", "--json")
        assert (code, json.loads(out)["values"]) == (0, expected)
        assert {path: path.read_bytes() for path in crashed.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kind", [Store, Files])
@pytest.mark.parametrize("part", ["magic", "head", "key", "end"])
def test_whatever_is_damaged_is_repaired(run: Run, tmp_path: Path, kind: type[Store] | type[Files], part: str) -> None:
    values = {f"key {number}": number.to_bytes(1, "little") * 1000 for number in range(10)}
    with kind(tmp_path / "tier", 1 << 20) as tier:
        tier.update(values)
        tier[b"bytes"] = b"value"
    log = tmp_path / "tier" / ("ledger/log-1" if kind is Files else "log-1")
    content = bytearray(log.read_bytes())
    key = content.index(b"key 5")
    content[{"magic": 0, "head": key - 10, "key": key, "end": len(content) - 1}[part]] ^= 1
    log.write_bytes(content)
    code, out, _ = run("cache", "verify", "tier", "--json")
    damaged = json.loads(out)["damaged"]
    assert (code, damaged > 0) == (1, True)
    code, out, err = run("cache", "repair", "tier", "--json")
    repaired = json.loads(out)
    assert (code, err, repaired["removed"], repaired["damaged"]) == (0, "", damaged, 0)
    # Values before a damaged key may be outdated; those after it are kept.
    assert repaired["values"] >= (5 if part == "key" else 0)
    assert run("cache", "verify", "tier")[0] == 0
    with kind(tmp_path / "tier", 1 << 20) as tier:
        assert len(tier) == repaired["values"]
        assert all(tier[key] == values.get(key, b"value") for key in tier)


def test_a_tier_that_is_open_is_not_looked_into(run: Run, tmp_path: Path) -> None:
    with Store(tmp_path / "store", 1 << 20) as store:
        store["a"] = b"1"
        code, _, err = run("cache", "stats", "store")
        assert code != 0
        assert "already open" in err


def test_looking_drops_nothing(run: Run, tmp_path: Path) -> None:
    with Store(tmp_path / "store", 200 << 20) as store:
        assert store.put("large", bytes(120 << 20))
        store.update({str(number): b"x" for number in range(100)})
    for _ in range(2):
        assert json.loads(run("cache", "stats", "store", "--json")[1])["entries"] == 101
    assert run("cache", "verify", "store")[:2] == (0, "101 values, none damaged\n")


def test_a_foreign_file_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "synced").write_text("mine")
    for action in ("stats", "verify", "repair", "clear"):
        code, out, err = run("cache", action, ".")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["synced"]


@pytest.mark.parametrize("kind", [Store, Files])
def test_damage_does_not_hide_a_store(run: Run, tmp_path: Path, kind: type[Store] | type[Files]) -> None:
    with kind(tmp_path / "store", 1 << 20) as store:
        store["a"] = b"1"
        # After a clear without a sync, only one half of `synced` exists.
        store.clear()
        store["b"] = b"2"
        store.flush()
    log = tmp_path / "store" / ("ledger" if kind is Files else "")
    (log / "synced").write_bytes(bytes(512) + (log / "synced").read_bytes()[512:])
    code, out, _ = run("cache", "stats", "store", "--json")
    assert (code, json.loads(out)["entries"]) == (0, 1)
    (log / "synced").write_bytes(b"\xff" * 600)
    assert run("cache", "verify", "store")[:2] == (1, "0 values, 1 damaged\n")
    (log / "synced").unlink()
    assert run("cache", "verify", "store")[0] == 1
    assert run("cache", "clear", "store")[:2] == (0, "0 values removed\n")


def test_a_file_or_a_ledger_is_no_store(run: Run, tmp_path: Path) -> None:
    with Files(tmp_path / "files", 1 << 20) as files:
        files["a"] = b"1"
    for name in ("files/ledger", "files/ledger/log-1", "nowhere"):
        for action in ("stats", "verify", "repair", "clear"):
            code, out, err = run("cache", action, name)
            assert (code, out, len(err.splitlines())) == (2, "", 1), name
    assert run("cache", "verify", "files")[:2] == (0, "1 values, none damaged\n")


def test_a_directory_without_a_store_is_left_alone(run: Run, tmp_path: Path) -> None:
    for action in ("stats", "verify", "repair", "clear"):
        code, out, err = run("cache", action, ".")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert not list(tmp_path.iterdir())
