"""Readers in processes of their own beside a writer: what they see, and that they are not noticed."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiercel

# Answers a line of JSON for each line of Python.
READER = """
import json, sys, tiercel
reader = tiercel.open(sys.argv[1], mode="r")
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""

# Replaces all records again and again, and says each round once it has been published.
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


class Reader:
    """A process that has a collection open for reading."""

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
    """Every file with the time of its last change and what is in it, and when the directory was changed."""
    files = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(directory).iterdir()}
    return files | {".": (Path(directory).stat().st_mtime_ns, b"")}


def test_readers_see_what_the_writer_has_published(zoo: tiercel.Collection) -> None:
    with child(READER, zoo.path) as one, child(READER, zoo.path) as other:
        first, second = Reader(one), Reader(other)
        assert first("reader.search(text='sleeps').ids") == ["cat"]
        assert second("len(reader)") == 2
        zoo.upsert(["owl"], [[1, 1]], ["an owl hoots"], [{"legs": 2}])
        zoo.delete(["cat"])
        zoo.checkpoint()
        assert first("[len(reader), 'owl' in reader, reader.search(text='sleeps').ids]") == [2, False, ["cat"]]
        assert first("[reader.refresh(), reader.refresh()]") == [True, False]
        assert first("[len(reader), 'owl' in reader, reader.search(text='sleeps').ids]") == [2, True, []]
        assert first("sorted(reader.search([1, 1], filter={'legs': 2}).ids)") == ["hen", "owl"]
        assert first("[reader.count({'legs': 4}), [match.id for match in reader.scan()]]") == [0, ["hen", "owl"]]
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
        reader = Reader(process)
        assert reader("[reader.search([1, 0]).ids, reader.count({'legs': 2}), reader.verify()]") == [
            ["cat", "hen"],
            1,
            [],
        ]
        assert contents(zoo.path) == before
        # It has taken no lock.
        with tiercel.open(zoo.path) as writer:
            assert writer.upsert(["owl"], [[1, 1]]) == 1
            with pytest.raises(tiercel.AlreadyOpenError, match=f"already open by process {os.getpid()}"):
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
            reader.settle,
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
