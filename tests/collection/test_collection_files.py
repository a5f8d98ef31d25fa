"""Missing, empty, older or foreign files: right answers or an error, and nothing is changed."""

import itertools
import lzma
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from support.places import DATA

import tiercel
from tiercel import CorruptionError, InvalidInputError, StorageFailedError
from tiercel.cache import Store

Files = dict[str, bytes]
Mode = Literal["rw", "r"]
MODES: tuple[Mode, Mode] = ("rw", "r")
KINDS = ("missing", "empty", "older", "foreign")


def files_of(directory: Path) -> Files:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def put(directory: Path, files: Files) -> None:
    for path in directory.iterdir():
        path.unlink()
    for name, content in files.items():
        (directory / name).write_bytes(content)


def upsert(collection: tiercel.Collection, first: int, count: int, seed: int) -> None:
    numbers = range(first, first + count)
    vectors = np.random.default_rng(seed + first).standard_normal((count, 3))
    texts = [f"record {number} of {seed}" for number in numbers]
    collection.upsert([f"r{number}" for number in numbers], vectors, texts, [{"n": number} for number in numbers])


def answers(collection: tiercel.Collection) -> object:
    ids = [f"r{number}" for number in range(40)]
    got = [(one.metadata, one.text) if one else None for one in collection.get(ids)]
    return (
        len(collection),
        got,
        sorted(collection.search([1, 0, 0], k=50).ids),
        sorted(collection.search(text="record", k=50).ids),
    )


def history(directory: Path, seed: int) -> tuple[list[Files], object]:
    """The files of a collection after each step, ending in a clean close, and its answers then."""
    states: list[Files] = []

    def keep() -> None:
        states.append(files_of(directory))

    with tiercel.open(directory, dim=3, threads=1) as collection:
        keep()
        upsert(collection, 0, 10, seed)
        keep()
        collection.checkpoint()
        keep()
    keep()
    with tiercel.open(directory, threads=1) as collection:
        upsert(collection, 5, 10, seed)
        keep()
        collection.checkpoint()
        keep()
        upsert(collection, 20, 4, seed)
        collection.delete(["r1", "r21"])
        keep()
    keep()
    with tiercel.open(directory, threads=1) as collection:
        upsert(collection, 30, 2, seed)
        known = answers(collection)
    keep()
    return states, known


class Damage:
    """A collection, and the possible replacements of each of its files."""

    def __init__(self, directory: Path) -> None:
        for name in ("one", "other"):
            (directory / name).mkdir()
        states, self.known = history(directory / "one", 1)
        others, _ = history(directory / "other", 2)
        self.sound = states[-1]
        self.names = sorted(set(self.sound) - {"LOCK"})
        self.choices: dict[str, list[tuple[str, bytes | None]]] = {}
        for name in self.names:
            older = {state[name] for state in states if name in state} - {self.sound[name]}
            foreign = {state[name] for state in others if name in state}
            options: list[tuple[str, bytes | None]] = [("missing", None), ("empty", b"")]
            options += [("older", content) for content in sorted(older)]
            options += [("foreign", content) for content in sorted(foreign)[-1:]]
            self.choices[name] = options

    def with_(self, *changes: tuple[str, bytes | None]) -> Files:
        files = {**self.sound, **dict(changes)}
        return {name: content for name, content in files.items() if content is not None}


@pytest.fixture(scope="module")
def damage(tmp_path_factory: pytest.TempPathFactory) -> Damage:
    return Damage(tmp_path_factory.mktemp("damage"))


def outcome(directory: Path, files: Files, known: object, mode: Mode) -> str:
    """Open files: "right" if the answers are, "told" if an error names one and none changed."""
    put(directory, files)
    try:
        with tiercel.open(directory, mode=mode, threads=1) as collection:
            assert answers(collection) == known
    except CorruptionError as raised:
        error = str(raised)
    else:
        if mode == "r":
            assert files_of(directory) == files
        return "right"
    assert re.search(r"\b(records|view|log-\d+|(index|text)-\d+)\b", error), error
    now = files_of(directory)
    assert {name: now[name] for name in files} == files
    assert set(now) <= {*files, "LOCK"}
    return "told"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_one_file_that_is_not_what_it_was(tmp_path: Path, damage: Damage, kind: str, mode: Mode) -> None:
    told: set[str] = set()
    for name in damage.names:
        for content in [content for offered, content in damage.choices[name] if offered == kind]:
            if outcome(tmp_path, damage.with_((name, content)), damage.known, mode) == "told":
                told.add(name)
                # Restoring the right file is all that is needed.
                (tmp_path / name).write_bytes(damage.sound[name])
                with tiercel.open(tmp_path, mode=mode, threads=1) as collection:
                    assert answers(collection) == damage.known
    # A writer replaces a missing view, but needs all other files; with an older file, the answers
    # may still be right.
    assert told >= (set() if kind == "older" else set(damage.names) - {"view"})
    assert ("records" in told) or kind == "older"


@pytest.mark.parametrize("mode", MODES)
def test_two_files_that_are_not_what_they_were(tmp_path: Path, damage: Damage, mode: Mode) -> None:
    for first, second in itertools.combinations(damage.names, 2):
        for (one, left), (other, right) in itertools.product(damage.choices[first], damage.choices[second]):
            try:
                outcome(tmp_path, damage.with_((first, left), (second, right)), damage.known, mode)
            except AssertionError as error:
                raise AssertionError(f"{one} {first}, {other} {second}") from error


@pytest.mark.parametrize("mode", MODES)
def test_a_collection_without_its_records_is_not_a_new_one(tmp_path: Path, damage: Damage, mode: Mode) -> None:
    for kept in [*damage.names, "LOCK"]:
        files = {name: content for name, content in damage.sound.items() if name in {kept, "LOCK"} - {"records"}}
        put(tmp_path, files)
        if set(files) == {"LOCK"}:
            continue
        with pytest.raises(CorruptionError, match="records: expected the record database"):
            tiercel.open(tmp_path, dim=3, mode=mode)
        assert files_of(tmp_path) == files


def test_files_of_a_killed_process_that_are_not_what_they_were(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "try").mkdir()
    states, _ = history(tmp_path / "one", 1)
    crashed = next(state for state in reversed(states[:-2]) if len(state) == len(states[-1]))
    put(tmp_path / "try", crashed)
    with tiercel.open(tmp_path / "try", threads=1) as collection:
        known = answers(collection)
    for name in sorted(set(crashed) - {"LOCK", "view"}):
        for content in (None, b""):
            files = {each: old for each, old in {**crashed, name: content}.items() if old is not None}
            assert outcome(tmp_path / "try", files, known, "rw") == "told"


def old_collection(scratch: Path) -> Path:
    with lzma.open(DATA / "collection-v1.tar.xz") as unpacked, tarfile.open(fileobj=unpacked) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / "collection-v1"


def test_a_collection_of_the_first_format_goes_on(tmp_path: Path) -> None:
    path = old_collection(tmp_path)
    before = files_of(path)
    with tiercel.open(path, mode="r") as reader:
        assert reader.verify() == []
    assert files_of(path) == before
    for round_ in range(3):
        with tiercel.open(path) as collection:
            assert len(collection) == 28 + round_
            assert collection.get(["r3", "r6"]) == [None, None]
            assert collection.search([9, 9, 9], k=1, recall=1).ids == ["late"]
            assert collection.search(text="second version").ids[:1] == ["r5"]
            collection.upsert([f"new{round_}"], [[0, 9, 0]])
            if round_ == 1:
                collection.compact()
            assert collection.verify() == []


FOREIGN = {
    "notes.txt": b"mine",
    "draft.tmp": b"mine",
    "part.seg": b"mine",
    "log-1": b"mine",
    "log-99": b"mine",
    "view": b"mine",
    "index-1.seg": b"mine",
}


def test_a_directory_of_others_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path, FOREIGN)
    for _ in range(2):
        with pytest.raises(
            InvalidInputError, match=r"path: expected a collection, an empty directory or none.*and 4 more"
        ):
            tiercel.open(tmp_path, dim=3)
        with pytest.raises(FileNotFoundError):
            tiercel.open(tmp_path, mode="r")
        assert files_of(tmp_path) == FOREIGN


@pytest.mark.parametrize("content", [b"precious words", b"1" * 40, b"12 34"])
def test_a_lock_of_others_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "LOCK").write_bytes(content)
    with pytest.raises(InvalidInputError, match="LOCK"):
        tiercel.open(tmp_path, dim=2)
    assert files_of(tmp_path) == {"LOCK": content}


def as_directory(path: Path) -> None:
    path.mkdir()


def as_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "elsewhere")


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes, and no links without privileges")
@pytest.mark.parametrize("make", [as_directory, as_link, as_pipe])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_regular_file_is_damage(tmp_path: Path, make: Callable[[Path], None], mode: Mode) -> None:
    (tmp_path / "elsewhere").write_bytes(b"as it was")
    path = tmp_path / "collection"
    with tiercel.open(path, dim=3) as collection:
        upsert(collection, 0, 20, 1)
        collection.checkpoint()
    names = sorted(entry.name for entry in path.iterdir() if entry.name != "LOCK")
    assert len(names) == 5
    for name in names:
        (path / name).rename(tmp_path / "aside")
        make(path / name)
        with pytest.raises(CorruptionError, match=re.escape(name)):
            tiercel.open(path, mode=mode)
        path.joinpath(name).rmdir() if make is as_directory else path.joinpath(name).unlink()
        (tmp_path / "aside").rename(path / name)
    with tiercel.open(path, mode=mode) as collection:
        assert len(collection) == 20
    assert (tmp_path / "elsewhere").read_bytes() == b"as it was"


def test_files_of_others_in_a_collection_are_left_alone(tmp_path: Path) -> None:
    tiercel.open(tmp_path, dim=3).close()
    mine = {
        name: content for name, content in FOREIGN.items() if name not in {"log-1", "log-99", "view", "index-1.seg"}
    }
    for name, content in mine.items():
        (tmp_path / name).write_bytes(content)
    for _ in range(2):
        with tiercel.open(tmp_path) as collection:
            upsert(collection, 0, 5, 1)
            collection.checkpoint()
            collection.compact()
            assert collection.verify() == []
    assert {name: content for name, content in files_of(tmp_path).items() if name in mine} == mine


def test_a_collection_that_was_never_finished_is_made(tmp_path: Path) -> None:
    """A crash during creation leaves some of the first files; a later call finishes it."""
    tiercel.open(tmp_path, dim=3).close()
    made = files_of(tmp_path)
    for files in ({}, {"LOCK": b""}, {"LOCK": b"", "records.0123456789abcdef0123456789abcdef.tmp": b"torn"}):
        put(tmp_path, files)
        with tiercel.open(tmp_path, dim=3) as collection:
            upsert(collection, 0, 3, 1)
        with tiercel.open(tmp_path) as collection:
            assert len(collection) == 3
    # A log that was in use says so, even if nothing was ever written to it.
    put(tmp_path, {"log-1": made["log-1"]})
    with pytest.raises(CorruptionError, match="records"):
        tiercel.open(tmp_path, dim=3)
    assert files_of(tmp_path) == {"log-1": made["log-1"]}


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[tiercel.Collection]:
    with tiercel.open(tmp_path / "zoo", dim=3, threads=1) as opened:
        upsert(opened, 0, 10, 1)
        yield opened


def mode_of(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
class TestPosix:
    def test_permissions_are_kept(self, collection: tiercel.Collection, tmp_path: Path) -> None:
        path = Path(collection.path)
        assert mode_of(path / "LOCK") == "0o600"
        path.chmod(0o700)
        for file in path.iterdir():
            file.chmod(0o600)
        collection.checkpoint()
        collection.compact()
        upsert(collection, 5, 3, 1)
        collection.compact()
        collection.backup(tmp_path / "copy")
        for directory in (path, tmp_path / "copy"):
            assert mode_of(directory) == "0o700"
            assert {mode_of(file) for file in directory.iterdir()} == {"0o600"}

    def test_a_lock_that_was_removed_ends_writing(self, collection: tiercel.Collection) -> None:
        path = Path(collection.path)
        (path / "LOCK").unlink()
        with tiercel.open(path, threads=1) as second:
            upsert(second, 20, 4, 1)
            with pytest.raises(StorageFailedError, match="LOCK"):
                upsert(collection, 30, 4, 1)
            with pytest.raises(StorageFailedError, match="LOCK"):
                collection.checkpoint()
            known = answers(second)
        with pytest.raises(StorageFailedError, match="LOCK"):
            collection.close()
        with tiercel.open(path, threads=1) as third:
            assert answers(third) == known
            assert third.verify() == []

    @pytest.mark.parametrize("mode", MODES)
    def test_links_and_pipes_are_refused(self, collection: tiercel.Collection, tmp_path: Path, mode: Mode) -> None:
        collection.checkpoint()
        collection.close()
        path, aside = Path(collection.path), tmp_path / "aside"
        for name in sorted(set(files_of(path)) - ({"view"} if mode == "rw" else {"LOCK"})):
            for is_link in (True, False):
                (path / name).rename(aside)
                if is_link:
                    (path / name).symlink_to(aside)
                else:
                    os.mkfifo(path / name)
                with pytest.raises(CorruptionError, match=f"{name}: expected a regular file"):
                    tiercel.open(path, mode=mode)
                (path / name).unlink()
                aside.rename(path / name)
        with tiercel.open(path) as again:
            assert len(again) == 10

    def test_links_in_the_way_of_new_files_are_not_followed(
        self, collection: tiercel.Collection, tmp_path: Path
    ) -> None:
        path, precious = Path(collection.path), tmp_path / "precious"
        precious.write_text("mine")
        identity = (path / "records").read_bytes()[356:372].hex()
        for name in ("records", "view", "log-2", "index-1.seg", "text-2.seg"):
            (path / f"{name}.{identity}.tmp").symlink_to(precious)
            (path / f"{name}.tmp").symlink_to(precious)
        (path / "view").unlink()
        (path / "view").symlink_to(precious)
        collection.checkpoint()
        collection.compact()
        collection.close()
        assert precious.read_text() == "mine"
        with tiercel.open(path) as again:
            assert len(again) == 10
            assert again.verify() == []

    def test_a_linked_directory_is_a_collection(self, collection: tiercel.Collection, tmp_path: Path) -> None:
        collection.close()
        (tmp_path / "linked").symlink_to(collection.path)
        with tiercel.open(tmp_path / "linked") as again:
            upsert(again, 20, 2, 1)
            again.compact()
            assert len(again) == 12


@pytest.mark.parametrize("mode", MODES)
def test_a_collection_stays_where_it_was_opened(tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        with tiercel.open(tmp_path / name / "collection", dim=3) as collection:
            collection.upsert([name], [[1, 0, 0]])
    monkeypatch.chdir(tmp_path / "here")
    with tiercel.open("collection", mode=mode) as collection:
        monkeypatch.chdir(tmp_path / "there")
        collection.refresh()
        if mode == "rw":
            collection.upsert(["more"], [[0, 1, 0]])
        assert "here" in collection
        assert "there" not in collection
        assert collection.verify() == []
    with tiercel.open(tmp_path / "here" / "collection") as collection:
        assert len(collection) == (2 if mode == "rw" else 1)


WITHOUT_STREAMS = """
import os, sys, tiercel
from tiercel.cache import Store
collection, store = tiercel.open(sys.argv[1] + "/collection"), Store(sys.argv[1] + "/store", 1 << 20)
collection.upsert(["a", "b"])
store["key"] = b"value"
store.flush()
for stream in (0, 1, 2):
    try:
        os.write(stream, b"somebody complains" * 100)
    except OSError:
        pass
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of Unix closes them")
def test_files_are_not_taken_for_standard_output(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WITHOUT_STREAMS)
    command = 'exec "$0" -W ignore "$1" "$2" <&- >&- 2>&-'
    subprocess.run(["sh", "-c", command, sys.executable, str(program), str(tmp_path)], check=True)
    with tiercel.open(tmp_path / "collection") as collection:
        assert (len(collection), collection.verify()) == (2, [])
    with Store(tmp_path / "store", 1 << 20) as store:
        assert store["key"] == b"value"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_keeps_nothing_locked(tmp_path: Path) -> None:
    collection, store = tiercel.open(tmp_path / "collection"), Store(tmp_path / "store", 1 << 20)
    wait, end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        os.read(wait, 1)
        os._exit(0)
    try:
        collection.close()
        store.close()
        tiercel.open(tmp_path / "collection").close()
        Store(tmp_path / "store", 1 << 20).close()
    finally:
        os.close(end)
        os.waitpid(child, 0)
