"""Outputs of commands: never over an input or in a store; the name appears once complete."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import RECORDS, Run, document, refused, runner, start, write_lines

import tiercel
from tiercel.cache import Files, Store
from tiercel.cli.arguments import make_parser
from tiercel.cli.outputs import new_file
from tiercel.cli.paths import Reads, Writes

# Metavars of arguments that are paths.
PATHS = ("DIR", "FILE", "TO", "TRACE")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index, vectors, queries, a collection `zoo`, a cache of each kind, and links to them."""
    root = tmp_path_factory.mktemp("outputs")
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    for name in ("v.npy", "q.npy", "ids.npy"):
        np.save(root / name, np.arange(20) if name == "ids.npy" else vectors)
    (root / "v.png").write_bytes((root / "v.npy").read_bytes())
    index = tiercel.Index(4)
    index.add(vectors)
    index.save(root / "index")
    write_lines(root / "zoo.jsonl", RECORDS)
    with tiercel.open(root / "zoo") as zoo:
        zoo.upsert(["cat", "hen"], texts=["a cat", "a hen"])
    for kind, name in ((Store, "store"), (Files, "files")):
        with kind(root / name, 1 << 20) as tier:
            tier.put("key", b"value")
    for file in ("index", "v.npy", "q.npy", "v.png", "zoo/records"):
        name = file.replace("/", "-")
        os.link(root / file, root / f"hard-{name}")
        (root / f"soft-{name}").symlink_to(file)
    (root / "soft-zoo").symlink_to("zoo")
    return root


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], directory: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in that directory; return its exit code, stdout and stderr."""
    monkeypatch.chdir(directory)
    return runner(capsys)


OVERWRITES = {
    "the index": ["search", "index", "q.npy", "-o", "index"],
    "the index by another path": ["search", "index", "q.npy", "-o", "zoo/../index"],
    "the index by a symbolic link": ["search", "index", "q.npy", "-o", "soft-index"],
    "the index by a hard link": ["search", "index", "q.npy", "-o", "hard-index"],
    "an index that is named by a link": ["search", "soft-index", "q.npy", "-o", "index"],
    "the queries": ["search", "index", "q.npy", "-o", "q.npy"],
    "the queries by a hard link": ["search", "index", "q.npy", "-o", "hard-q.npy"],
    "the vectors": ["build", "v.npy", "-o", "v.npy"],
    "the vectors by a hard link": ["build", "v.npy", "-o", "hard-v.npy"],
    "the ids": ["build", "v.npy", "-o", "ids.npy", "--ids", "ids.npy"],
    "the vectors of a plot": ["bench", "v.png", "--plot", "v.png"],
    "the queries of a plot": ["bench", "v.npy", "v.png", "--plot", "soft-v.png"],
    "the collection": ["export", "zoo", "-o", "zoo"],
    "a file of the collection": ["export", "zoo", "-o", "zoo/records"],
    "a file of the collection by a symbolic link": ["export", "zoo", "-o", "soft-zoo-records"],
    "a file of the collection by a hard link": ["export", "zoo", "-o", "hard-zoo-records"],
    "a file of the collection by a link to the directory": ["export", "zoo", "-o", "soft-zoo/records"],
    "a new file in the collection": ["export", "zoo", "-o", "zoo/new.jsonl"],
    "a new file in a linked collection": ["export", "zoo", "-o", "soft-zoo/new.jsonl"],
    "a file of another store": ["build", "v.npy", "-o", "zoo/records"],
    "a new file in another collection": ["search", "index", "q.npy", "-o", "zoo/found.npz"],
    "a new file in a store of a cache": ["build", "v.npy", "-o", "store/index"],
    "a new file in the files of a cache": ["build", "v.npy", "-o", "files/index"],
    "a new file deep in the files of a cache": ["build", "v.npy", "-o", "files/ledger/index"],
    "a backup in the collection": ["backup", "zoo", "zoo/sub"],
    "a backup deep in the collection": ["backup", "zoo", "zoo/some/sub"],
    "a backup over the collection": ["backup", "zoo", "soft-zoo"],
    "a backup in a store": ["backup", "zoo", "store/sub"],
    "the lines": ["ingest", "zoo.jsonl", "--into", "zoo.jsonl"],
    "a collection in a collection": ["ingest", "zoo.jsonl", "--into", "zoo/sub"],
}


def tree() -> dict[str, tuple[int, bytes]]:
    """Every file below the current directory: its inode and content."""
    files = (path for path in Path().rglob("*") if path.is_file())
    return {str(path): (path.lstat().st_ino, path.read_bytes()) for path in files}


@pytest.mark.parametrize("command", OVERWRITES.values(), ids=OVERWRITES.keys())
def test_nothing_is_written_over_what_is_read_or_into_a_store(run: Run, command: list[str]) -> None:
    if "--plot" in command:
        pytest.importorskip("matplotlib")
    before = tree()
    refused(run(*command), "which is in" if command[-1].endswith("sub") else "expected ")
    assert tree() == before


def test_a_home_directory_that_the_shell_did_not_expand_is_expanded_before_the_check(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("USERPROFILE", str(directory))
    before = sorted(directory.rglob("*"))
    refused(run("ingest", "zoo.jsonl", "--into=~/zoo/inner"), "--into: ", "outside collections and caches")
    refused(run("export", "zoo", "-o", "~/zoo/records"), "--output: ")
    assert sorted(directory.rglob("*")) == before
    assert document(run("info", "~/index", "--json"))["index"]["file_bytes"] == (directory / "index").stat().st_size
    assert document(run("cache", "stats", "~/store", "--json"))["entries"] == 1
    assert run("export", "~/zoo", "-o", "~/home.jsonl")[0] == 0
    assert document(run("ingest", "~/home.jsonl", "--into", "~/of-home", "--json"))["written"] == 2


def test_a_home_directory_of_nobody_is_refused_in_one_line(run: Run) -> None:
    for command in (["backup", "zoo"], ["ingest", "zoo.jsonl", "--into"], ["info"], ["export", "zoo", "-o"]):
        refused(run(*command, "~nosuchuser/x"), "expected ~ or ~ and a user", "got '~nosuchuser'")


def test_a_store_that_is_open_is_left_alone(run: Run) -> None:
    with tiercel.open("zoo") as collection:
        collection.upsert(["fox"])
        refused(run("export", "zoo", "-o", "zoo/records"), "--output: ")
        refused(run("build", "v.npy", "-o", "zoo/log-1"), "--output: ")
        assert collection.verify() == []
        assert document(run("export", "zoo", "-o", "out.jsonl", "--json"))["records"] == 3


def test_output_is_not_redirected_into_what_is_read(run: Run) -> None:
    before = Path("zoo/records").read_bytes()
    with Path("zoo/records").open("ab") as records:
        process = start("export", "zoo", stdout=records)
        _, err = process.communicate()
    assert process.returncode == 2
    assert err.startswith(b"tiercel: error: standard output: expected a file that")
    assert Path("zoo/records").read_bytes() == before


def test_other_files_are_written_and_links_replaced(run: Run) -> None:
    found = Path("found.npz")
    found.write_bytes(b"old")
    found.chmod(0o600)
    Path("link").symlink_to(found)
    assert run("search", "index", "q.npy", "-o", "link")[0] == 0
    assert (found.read_bytes(), Path("link").is_symlink()) == (b"old", False)
    assert run("search", "index", "q.npy", "-o", "found.npz")[0] == 0
    assert found.stat().st_mode & 0o777 == 0o600
    assert np.load("found.npz")["ids"].shape == (20, 10)
    assert not list(Path().glob(".*"))


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="the system has no /dev/stdout")
def test_names_of_descriptors_are_written_and_stay(run: Run) -> None:
    with Path("out.jsonl").open("wb") as out:
        process = start("export", "zoo", "-o", "/dev/stdout", stdout=out)
        assert process.communicate() == (None, b"")
    assert Path("out.jsonl").read_text(encoding="ascii") == run("export", "zoo")[1]
    assert Path("/dev/stdout").is_symlink()
    refused(run("build", "v.npy", "-o", "/dev/null"), "a pipe or a device")


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_file_appears_when_it_is_complete(tmp_path: Path, old: bytes | None) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    before = sorted(tmp_path.iterdir())

    def interrupted() -> None:
        with new_file(str(path)) as file:
            file.write(b"half")
            assert not path.exists() or path.read_bytes() == old
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(tmp_path.iterdir()) == before
    with new_file(str(path)) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_file_that_cannot_be_written_is_named(run: Run) -> None:
    with tiercel.open("zoo") as zoo:
        zoo.upsert("cat")
    code, _, err = run("export", "zoo", "-o", "/dev/full")
    assert (code, err) == (1, "tiercel: error: No space left on device: /dev/full\n")


def path_arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from path_arguments(command)
        elif str(action.metavar).partition(".")[0] in PATHS or "." in str(action.metavar):
            yield action


def test_every_path_is_marked_as_read_or_written() -> None:
    actions = list(path_arguments(make_parser()))
    assert len(actions) > 20
    for action in actions:
        make = action.type
        assert callable(make), action
        assert isinstance(make("x"), Reads | Writes), action
