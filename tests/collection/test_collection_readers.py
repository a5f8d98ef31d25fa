"""Readers in separate processes beside a writer: what they see, and that they do not disturb it."""

import contextlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.waiting import until

import tiercel

# Answers each line of Python with a line of JSON.
READER = """
import json, sys, tiercel
reader = tiercel.open(sys.argv[1], mode="r")
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""

# A writer that executes one line of Python at a time and answers in JSON.
WRITER_ON_DEMAND = """
import json, sys, tiercel
writer = tiercel.open(sys.argv[1], dim=2, durability=sys.argv[2])
def put(*ids):
    return writer.upsert(list(ids), [[1, len(id)] for id in ids], [f"word{id}" for id in ids], [{"size": len(id)} for id in ids])
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""

# Replaces all records repeatedly, and prints each round once it has been published.
WRITER = """
import itertools, sys, tiercel
collection = tiercel.open(sys.argv[1], dim=2)
ids = [f"id{number}" for number in range(50)]
for round in itertools.count(int(sys.argv[2])):
    collection.upsert(ids, [[1, round]] * 50, [f"word{round} " + "x" * 2000] * 50, [{"round": round}] * 50)
    if round % 10 == 9:
        collection.compact()
    else:
        collection.checkpoint()
    print(round, flush=True)
"""


class Remote:
    """A process that has a collection open, and evaluates requests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, expression: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(expression, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def child(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def zoo(tmp_path: Path):
    with tiercel.open(tmp_path / "zoo", dim=2) as collection:
        collection.upsert(
            ["cat", "hen"], [[1, 0], [0, 1]], ["a cat sleeps", "a hen lays eggs"], [{"legs": 4}, {"legs": 2}]
        )
        collection.checkpoint()
        yield collection


def contents(directory: str) -> dict[str, tuple[int, bytes]]:
    """Every file with its time of modification and content, and that time of the directory."""
    files = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(directory).iterdir()}
    return files | {".": (Path(directory).stat().st_mtime_ns, b"")}


def everything(collection: tiercel.Collection) -> list[Any]:
    """Everything that a collection shows of its records, each in several ways."""
    found: list[Any] = [[match.id, match.text, match.metadata] for match in collection.scan()]
    ids = [name for name, _, _ in found]
    by_text = [collection.search(text=text, k=1000).ids for text in sorted({text for _, text, _ in found})]
    by_filter = {size: collection.count(filter={"size": size}) for size in range(1, 5)}
    vectors = [match and [*map(float, match.vector)] for match in collection.get(ids, include=["vector"])]
    return [found, by_text, by_filter, sorted(collection.search([1, 0], k=1000).ids), vectors, len(collection)]


def test_readers_see_what_the_writer_has_published(zoo: tiercel.Collection) -> None:
    with child(READER, zoo.path) as one, child(READER, zoo.path) as other:
        first, second = Remote(one), Remote(other)
        assert first("reader.search(text='sleeps').ids") == ["cat"]
        assert second("len(reader)") == 2
        zoo.upsert(["owl"], [[1, 1]], ["an owl hoots"], [{"legs": 2}])
        zoo.delete(["cat"])
        zoo.checkpoint()
        assert first("[len(reader), 'owl' in reader, reader.search(text='sleeps').ids]") == [2, False, ["cat"]]
        assert first("[reader.refresh(), reader.refresh()]") == [True, False]
        assert first("[len(reader), 'owl' in reader, reader.search(text='sleeps').ids]") == [2, True, []]
        assert first("sorted(reader.search([1, 1], filter={'legs': 2}).ids)") == ["hen", "owl"]
        assert first("[reader.count(filter={'legs': 4}), [match.id for match in reader.scan()]]") == [0, ["hen", "owl"]]
        assert first("[match and match.text for match in reader.get(['owl', 'cat'])]") == ["an owl hoots", None]
        assert first("[reader.verify(), reader.stats()['records'], reader.mode]") == [[], 2, "r"]
        assert second("reader.search([1, 0], k=1).ids") == ["cat"]


def test_a_reader_works_while_a_writer_writes(tmp_path: Path) -> None:
    with child(WRITER, tmp_path, 0) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with tiercel.open(tmp_path, mode="r") as reader, tiercel.open(tmp_path, mode="r") as idle:
            for _ in range(25):
                published = int(writer.stdout.readline())
                reader.refresh()
                rounds = {match.metadata["round"] for match in reader.scan() if match.metadata}
                assert len(rounds) == 1, "records of different batches"
                assert rounds.pop() >= published
                for each in (reader, idle):
                    found = each.search([1, 0], text="xx " + "x" * 2000, k=100)
                    texts = {match.text for match in found}
                    assert (len(found), len(texts)) == (50, 1)
            writer.kill()
            writer.wait()
            assert reader.verify() == []
            with tiercel.open(tmp_path) as successor:
                assert len(successor) == 50


def test_nobody_notices_a_reader(zoo: tiercel.Collection) -> None:
    zoo.close()
    before = contents(zoo.path)
    with child(READER, zoo.path) as process:
        reader = Remote(process)
        assert reader("[reader.search([1, 0]).ids, reader.count(filter={'legs': 2}), reader.verify()]") == [
            ["cat", "hen"],
            1,
            [],
        ]
        assert contents(zoo.path) == before
        # It has taken no lock.
        with tiercel.open(zoo.path) as writer:
            assert writer.upsert(["owl"], [[1, 1]]) == 1
            with pytest.raises(tiercel.AlreadyOpenError, match="already open in this process"):
                tiercel.open(zoo.path)
        assert reader("reader.refresh()")
        assert reader("len(reader)") == 3
    after = contents(zoo.path)
    with tiercel.open(zoo.path, mode="r") as again:
        assert len(again) == 3
    assert contents(zoo.path) == after


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_directory_that_may_not_be_written_can_be_read(zoo: tiercel.Collection) -> None:
    zoo.close()
    directory = Path(zoo.path)
    try:
        for path in [*directory.iterdir(), directory]:
            path.chmod(0o500 if path.is_dir() else 0o400)
        with tiercel.open(directory, mode="r") as reader:
            assert reader.search(text="eggs").ids == ["hen"]
            assert reader.verify() == []
    finally:
        for path in [directory, *directory.iterdir()]:
            path.chmod(0o700)


def test_a_reader_refuses_writes(zoo: tiercel.Collection, tmp_path: Path) -> None:
    with tiercel.open(zoo.path, mode="r") as reader:
        for change in (
            lambda: reader.upsert(["owl"], [[1, 1]]),
            lambda: reader.upsert([]),
            lambda: reader.update_metadata(["cat"], [{}]),
            lambda: reader.delete(["cat"]),
            lambda: reader.delete(filter={"legs": 4}),
            reader.wait_idle,
            reader.checkpoint,
            reader.compact,
            lambda: reader.backup(tmp_path / "copy"),
        ):
            with pytest.raises(tiercel.InvalidInputError, match="open for reading"):
                change()
    assert not (tmp_path / "copy").exists()
    assert len(zoo) == 2
    assert (zoo.refresh(), zoo.mode) == (False, "rw")


def test_there_must_be_something_to_read(zoo: tiercel.Collection, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no collection there"):
        tiercel.open(tmp_path / "missing", mode="r")
    assert not (tmp_path / "missing").exists()
    (tmp_path / "notes.txt").write_text("not a collection")
    with pytest.raises(FileNotFoundError, match="no collection there"):
        tiercel.open(tmp_path, mode="r")
    with pytest.raises(tiercel.InvalidInputError, match="mode: expected 'rw' or 'r', got 'w'"):
        tiercel.open(zoo.path, mode="w")  # pyright: ignore[reportArgumentType]
    with pytest.raises(tiercel.InvalidInputError, match="dim: expected 2"):
        tiercel.open(zoo.path, dim=3, mode="r")


# The writer's steps between two refreshes of its reader; each is acknowledged once it has answered.
STEPS = (
    "put('a', 'bb', 'ccc')",
    "put('bb', 'dddd')",
    "[put(f'a{number}') for number in range(30)]",
    "writer.update_metadata(['a'], [{'size': 4}])",
    "writer.delete(['ccc', 'a7'])",
    "writer.checkpoint()",
    "put('a')",
    "writer.delete(filter={'size': 3})",
    "writer.compact()",
    "writer.compact()",
    "put('b', 'bb')",
    "writer.checkpoint()",
    "writer.checkpoint()",
    "writer.wait_idle()",
    "put('e')",
)


@pytest.mark.parametrize("durability", ["always", "interval", "none"])
def test_a_refresh_shows_everything_acknowledged_before_it(tmp_path: Path, durability: str) -> None:
    with child(WRITER_ON_DEMAND, tmp_path, durability) as process:
        writer = Remote(process)
        writer("0")
        with tiercel.open(tmp_path, mode="r") as often, tiercel.open(tmp_path, mode="r") as seldom:
            for number, step in enumerate(STEPS):
                changes = writer("writer.stats()['sequence']")
                writer(step)
                changes = writer("writer.stats()['sequence']") > changes
                assert often.refresh() or not changes, step
                if number % 4 == 3:
                    seldom.refresh()
                    assert everything(seldom) == everything(often)
                with tiercel.open(tmp_path, mode="r") as fresh:
                    assert everything(often) == everything(fresh), step
                assert not often.refresh()
                assert [len(often), sorted(match.id for match in often.scan())] == writer(
                    "[len(writer), sorted(match.id for match in writer.scan())]"
                )
            assert often.verify() == []


def test_a_reader_follows_writers_that_are_killed(tmp_path: Path) -> None:
    reader = None
    for turn in range(2):
        with child(WRITER_ON_DEMAND, tmp_path, "none") as process:
            writer = Remote(process)
            writer(f"put('r{turn}', 'same')")
            reader = reader or tiercel.open(tmp_path, mode="r")
            writer(f"[put('x' * {turn + 1}), writer.delete(['r0'])]")
            process.kill()
            process.wait()
        assert reader.refresh()
        kept = {f"r{number}" for number in range(1, turn + 1)} | {"x" * number for number in range(1, turn + 2)}
        assert {match.id for match in reader.scan()} == kept | {"same"}
        with tiercel.open(tmp_path) as successor:
            assert everything(successor) == everything(reader)
            if turn % 2:
                successor.compact()
    assert reader is not None
    reader.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of file size")
def test_a_reader_shows_nothing_of_a_write_that_failed(tmp_path: Path) -> None:
    with child(WRITER_ON_DEMAND, tmp_path, "always") as process:
        writer = Remote(process)
        writer("put('a')")
        with tiercel.open(tmp_path, mode="r") as reader:
            limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
            writer(f"exec({limit!r})")
            writer("resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))")
            failed = "try: writer.upsert(['b'], [[0, 1]], ['word' * 1_000_000])\nexcept tiercel.StorageFailedError: failed = True"
            writer(f"exec({failed!r}, globals())")
            assert writer("failed")
            assert not reader.refresh()
            process.kill()
            process.wait()
            assert not reader.refresh()
            with tiercel.open(tmp_path) as successor:
                successor.upsert(["c"], [[0, 1]])
                assert reader.refresh()
                assert [match.id for match in reader.scan()] == ["a", "c"]


def test_a_reader_that_follows_needs_no_refresh(tmp_path: Path) -> None:
    with child(WRITER_ON_DEMAND, tmp_path, "interval") as process:
        writer = Remote(process)
        writer("put('a')")
        with tiercel.open(tmp_path, mode="r", follow=0.01) as reader:
            for turn in range(20):
                writer("writer.compact()" if turn % 5 == 4 else f"put('r{turn}')")
                until(lambda: reader.stats()["sequence"] == writer("writer.stats()['sequence']"))
            assert len(reader) == 17
            assert reader.stats()["trouble"] is None


def test_what_goes_wrong_while_following_is_kept_and_tried_again(zoo: tiercel.Collection, tmp_path: Path) -> None:
    records = Path(zoo.path) / "records"
    with tiercel.open(zoo.path, mode="r", follow=0.01) as reader:
        records.rename(tmp_path / "records")
        # Two calls: the first may have begun before the damage; then the next one warns.
        with pytest.warns(RuntimeWarning, match="no file"):
            until(lambda: all(reader.stats()["trouble"] is not None for _ in range(2)))
        assert reader.search(text="sleeps").ids == ["cat"]
        (tmp_path / "records").rename(records)
        zoo.upsert(["owl"], [[1, 1]])
        until(lambda: "owl" in reader)
        assert "no file" in reader.stats()["trouble"]["message"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("other_dim", [2, 3])
def test_a_reader_does_not_go_over_to_another_collection(tmp_path: Path, other_dim: int) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    for path, dim, ids in ((ours, 2, ["a", "b"]), (others, other_dim, ["c"])):
        with tiercel.open(path, dim=dim) as made:
            made.upsert(ids, np.eye(dim)[: len(ids)])
    with tiercel.open(ours, mode="r") as reader:
        ours.rename(tmp_path / "aside")
        with pytest.raises(FileNotFoundError):
            reader.refresh()
        assert (len(reader), reader.stats()["disk"]) == (2, {"records": 0, "segments": 0})
        others.rename(ours)
        with pytest.raises(tiercel.StorageFailedError, match="another collection is in the directory now"):
            reader.refresh()
        assert [match.id for match in reader.scan()] == ["a", "b"]
        ours.rename(others)
        (tmp_path / "aside").rename(ours)
        reader.refresh()
        assert [match.id for match in reader.scan()] == ["a", "b"]
        assert reader.stats()["disk"]["records"] > 0


def test_a_forked_child_reads_on_by_itself(zoo: tiercel.Collection) -> None:
    with tiercel.open(zoo.path, mode="r", follow=3600) as reader:
        zoo.upsert(["owl"], [[1, 1]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            forked = os.fork()
        if not forked:
            try:
                right = len(reader) == 2 and reader.refresh() and "owl" in reader
                reader.close()
                os._exit(0 if right else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
        assert "owl" not in reader


def test_only_readers_follow(zoo: tiercel.Collection) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="follow: expected None unless mode is 'r', got 1"):
        tiercel.open(zoo.path, follow=1)
    for seconds in (0, -1, float("nan"), float("inf"), "1", True):
        with pytest.raises(tiercel.InvalidInputError, match=r"follow: expected a number from 0.001 to 86400"):
            tiercel.open(zoo.path, mode="r", follow=seconds)  # pyright: ignore[reportArgumentType]
