"""Opening collections, tiers and indexes by path: what is created or refused, and valid paths."""

import builtins
import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiercel
from tiercel.cache import Files, Store
from tiercel.cache.traces import read_trace

ROOM = 1 << 20


def collection(path: Any, **options: Any) -> Any:
    return tiercel.open(path, **options)


def store(path: Any, **options: Any) -> Any:
    return Store(path, ROOM, **options)


def files(path: Any, **options: Any) -> Any:
    return Files(path, ROOM, **options)


OPENERS = [collection, store, files]
Opener = Callable[..., Any]


def tree(root: Path) -> list[tuple[str, bytes]]:
    return sorted(
        (str(path.relative_to(root)), path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")
    )


class Somewhere:
    """A path that is neither a str nor a pathlib.Path."""

    def __init__(self, path: Path | str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize("opens", OPENERS)
def test_a_mistyped_path_makes_nothing_unless_it_may(opens: Opener, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    before = tree(tmp_path)
    for name in ("missing", "missing/below", "empty", "foreign"):
        with pytest.raises(tiercel.MissingFileError, match=r"no collection there|no tier there") as caught:
            opens(tmp_path / name, create=False)
        assert caught.value.filename == str(tmp_path / name)
    assert tree(tmp_path) == before
    opens(tmp_path / "made", create=True).close()
    opens(tmp_path / "made", create=False).close()
    with pytest.raises(tiercel.InvalidInputError, match="create: expected True or False, got 'no'"):
        opens(tmp_path / "other", create="no")


@pytest.mark.skipif(sys.platform == "win32", reason="the current directory cannot be removed")
@pytest.mark.parametrize("opens", OPENERS)
def test_a_current_directory_that_is_gone_is_said_to_be(
    opens: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for options in ({}, {"create": False}):
        with pytest.raises(tiercel.MissingFileError) as caught:
            opens("x", **options)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "x")


@pytest.mark.skipif(sys.platform == "win32", reason="links work differently there")
@pytest.mark.parametrize("opens", OPENERS)
def test_what_cannot_be_a_directory_says_why(opens: Opener, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    before = tree(tmp_path)
    for name, number in (
        ("file", errno.ENOTDIR),
        ("file/x", errno.ENOTDIR),
        ("loop", errno.ELOOP),
        ("dangling", errno.EEXIST),
    ):
        with pytest.raises(tiercel.StorageFailedError) as caught:
            opens(tmp_path / name)
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / name))
    assert tree(tmp_path) == before


@pytest.mark.parametrize("opens", OPENERS)
def test_directories_above_are_made(opens: Opener, tmp_path: Path) -> None:
    opens(tmp_path / "a" / "b" / "c").close()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    opens(tmp_path / "a" / "b" / "c", create=False).close()


def test_directories_above_a_backup_are_made(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "made") as made:
        made.upsert(["a"])
        made.backup(tmp_path / "of" / "today")
    with tiercel.open(tmp_path / "of" / "today", create=False) as backup:
        assert "a" in backup


@pytest.mark.parametrize("opens", OPENERS)
@pytest.mark.parametrize("name", ["notes.txt", ".hidden", ".git/config", "records.bak", "LOCK"])
def test_a_directory_with_files_that_are_not_ours_is_refused(opens: Opener, name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = tree(tmp_path)
    for _ in range(2):
        with pytest.raises(tiercel.InvalidInputError, match=r"path: expected .*director"):
            opens(tmp_path)
        assert tree(tmp_path) == before


@pytest.mark.parametrize("opens", OPENERS)
def test_what_the_system_puts_into_a_directory_does_not_count(opens: Opener, tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".DS_Store").write_bytes(b"desktop")
    for _ in range(2):
        opens(tmp_path).close()
    assert (tmp_path / ".DS_Store").read_bytes() == b"desktop"


def uses(tmp_path: Path) -> list[Callable[[Any], object]]:
    """All calls that take a path, each with a file or directory in `tmp_path` named "there"."""

    def cleared() -> None:
        shutil.rmtree(tmp_path / "there", ignore_errors=True)
        (tmp_path / "there").unlink(missing_ok=True)

    def opened(opens: Opener) -> Callable[[Any], object]:
        def use(path: Any) -> None:
            cleared()
            opens(path).close()
            opens(path, create=False).close()

        return use

    def index(path: Any) -> None:
        cleared()
        tiercel.Index(2).save(path)
        assert tiercel.Index.load(path).dim == 2

    def backup(path: Any) -> None:
        cleared()
        with tiercel.open(tmp_path / "source") as source:
            source.backup(path)

    def trace(path: Any) -> None:
        cleared()
        (tmp_path / "there").write_text("1")
        with pytest.raises(tiercel.InvalidInputError, match="expected a name that ends in"):
            read_trace(path)

    return [*map(opened, OPENERS), index, backup, trace]


def test_a_path_may_be_of_any_kind_and_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for use in uses(tmp_path):
        for path in ("~/there", Path("~/there"), Somewhere("~/there"), Somewhere(tmp_path / "there"), "../there"):
            use(path)
            assert (tmp_path / "there").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_path_of_an_agent_begins_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("agentfs_sdk")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with tiercel.cache.AgentFS("~/agent.db") as tier:
        tier["a"] = b"1"
    assert (tmp_path / "agent.db").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~no-such-user-here/x", "path: expected ~ or ~ and a user with a home directory, got '~no-such-user-here'"),
        ("", "path: expected a path, got an empty string"),
        ("a\0b", "path: expected no NUL character"),
        (5, r"path: expected a str or os\.PathLike, got 5"),
        (None, r"path: expected a str or os\.PathLike, got None"),
        ("a\ud800", "path: expected a path, got a lone surrogate at character 1"),
    ],
)
def test_what_is_no_path_is_refused(path: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = tiercel.open(tmp_path / "source")
    before = tree(tmp_path)
    calls: list[Callable[[], object]] = [lambda each=each: each(path) for each in OPENERS]
    calls += [
        lambda: tiercel.open(path, mode="r"),
        lambda: tiercel.Index(2).save(path),
        lambda: tiercel.Index.load(path),
        lambda: source.backup(path),
        lambda: read_trace(path),
    ]
    for call in calls:
        with pytest.raises(tiercel.InvalidInputError, match=message):
            call()
    assert tree(tmp_path) == before
    source.close()


def test_a_star_import_hides_no_builtin() -> None:
    namespace: dict[str, Any] = {}
    exec("from tiercel import *", namespace)
    assert "open" not in namespace
    assert namespace["Collection"] is tiercel.Collection
    assert "open" in dir(tiercel)
    for module in (tiercel, tiercel.cache, tiercel.embed, tiercel.rerank, tiercel.datasets, tiercel.errors):
        assert not set(module.__all__) & set(dir(builtins))
