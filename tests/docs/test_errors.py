"""All errors form one tree, which the guide describes."""

import contextlib
import errno
import inspect
import os
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.places import ROOT

import tiercel
from tiercel import cache, embed, errors, rerank
from tiercel.cache.traces import read_trace
from tiercel.cache.values import Codec
from tiercel.cli.plot import check_plot
from tiercel.dependencies import needed

GUIDE = ROOT / "docs" / "reference" / "errors.md"
# A call that needs a module, and the package that provides it.
OPTIONAL: list[tuple[str, str, Callable[[], object]]] = [
    ("sentence_transformers", "sentence-transformers", lambda: embed.SentenceTransformersEmbedder("model")),
    ("fastembed", "fastembed", lambda: embed.FastEmbedEmbedder("model")),
    ("model2vec", "model2vec", lambda: embed.Model2VecEmbedder("model")),
    ("sentence_transformers", "sentence-transformers", lambda: rerank.SentenceTransformersReranker("model")),
    ("fastembed", "fastembed", lambda: rerank.FastEmbedReranker("model")),
    ("msgpack", "'tiercel[msgpack]'", lambda: Codec("msgpack")),
    ("msgpack", "'tiercel[msgpack]'", lambda: cache.Cache([cache.Memory(1 << 20)], codec="msgpack")),
    ("zstandard", "zstandard", lambda: read_trace("a.trace.zst")),
    ("redis", "'tiercel[redis]'", lambda: cache.Redis("redis://127.0.0.1:1")),
    ("obstore", "'tiercel[object]'", lambda: cache.Object("memory:///")),
    ("agentfs_sdk", "'tiercel[agentfs]'", lambda: cache.AgentFS("agent.db")),
    ("matplotlib", "'tiercel[plot]'", lambda: check_plot("curve.png")),
]


def test_each_error_has_a_line_in_the_guide() -> None:
    lines = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    classes = {name: found for name, found in inspect.getmembers(errors, inspect.isclass) if name.endswith("Error")}
    assert set(classes) == set(errors.__all__)
    assert set(lines) == set(classes) - {"TiercelError"}
    for name, error in classes.items():
        assert getattr(tiercel, name) is error
        assert name in tiercel.__all__
        assert issubclass(error, tiercel.TiercelError)
        if error is not tiercel.TiercelError:
            bases = {base.__name__ for base in error.__bases__} - {"TiercelError"}
            assert bases == set(re.findall(r"`(\w+)`", lines[name]))


@pytest.mark.parametrize(
    ("module", "package", "use"), OPTIONAL, ids=[f"{row[0]}-{at}" for at, row in enumerate(OPTIONAL)]
)
def test_a_missing_package_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, package: str, use: Callable[[], object]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.trace.zst").write_bytes(b"")
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    # None makes the import fail as if the package were missing.
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(tiercel.MissingDependencyError) as caught:
        use()
    assert re.fullmatch(rf"{module}(\.\w+)* is not installed: pip install {re.escape(package)}", str(caught.value))
    assert (caught.value.name or "").partition(".")[0] == module
    assert isinstance(caught.value, ImportError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.trace.zst"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_part", "broken cannot be imported: No module named 'no_such_part'; .*: pip install broken"),
        (
            "raise ImportError('lib.so is missing')",
            "broken cannot be imported: lib.so is missing; .*: pip install broken",
        ),
    ],
)
def test_a_package_that_lacks_something_says_what(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "broken.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(tiercel.MissingDependencyError, match=message):
        needed("broken", "broken")


def test_what_is_installed_is_imported() -> None:
    assert isinstance(needed("json.decoder", "json"), ModuleType)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "such"
    tiercel.open(tmp_path / "reader").close()
    reader = tiercel.open(tmp_path / "reader", mode="r")
    (tmp_path / "reader").rename(tmp_path / "aside")
    calls: list[tuple[Callable[[], object], Path]] = [
        (lambda: tiercel.Index.load(missing), missing),
        (lambda: tiercel.Index(2).save(missing), missing),
        (lambda: tiercel.open(missing, mode="r"), missing),
        (lambda: read_trace(f"{missing}.trace"), missing.with_suffix(".trace")),
        (reader.refresh, tmp_path / "reader"),
        (reader.verify, tmp_path / "reader"),
    ]
    for call, path in calls:
        with pytest.raises(tiercel.MissingFileError) as caught:
            call()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(path))
        assert isinstance(caught.value, FileNotFoundError | tiercel.StorageFailedError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again)) == (type(caught.value), str(caught.value))
    reader.close()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be moved")
def test_a_collection_that_is_gone(tmp_path: Path) -> None:
    writer = tiercel.open(tmp_path / "zoo", dim=2)
    writer.upsert("cat", [1, 0])
    writer.checkpoint()
    (tmp_path / "zoo").rename(tmp_path / "aside")
    for call in (writer.verify, writer.stats, lambda: writer.backup(tmp_path / "copy")):
        with pytest.raises(tiercel.MissingFileError) as caught:
            call()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "zoo"))
    assert not (tmp_path / "copy").exists()
    # It also reports that it can write no more.
    with warnings.catch_warnings(action="ignore"), contextlib.suppress(tiercel.StorageFailedError):
        writer.close()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(tiercel.StorageFailedError) as caught:
        read_trace(tmp_path.rename(tmp_path.with_name("directory.trace")))
    assert caught.value.errno == errno.EISDIR


def test_a_directory_in_the_place_of_an_index(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    for call in (tiercel.Index(2).save, tiercel.Index.load):
        with pytest.raises(tiercel.StorageFailedError) as caught:
            call(tmp_path / "index")
        assert (caught.value.errno, caught.value.filename) == (errno.EISDIR, str(tmp_path / "index"))
        assert str(caught.value).count("index") == 1


def writes(collection: tiercel.Collection, directory: Path) -> list[Callable[[], Any]]:
    return [
        lambda: collection.upsert(["owl"], texts=["an owl"]),
        lambda: collection.update_metadata(["cat"], [{"legs": 4}]),
        lambda: collection.delete(["cat"]),
        lambda: collection.delete(filter=tiercel.F("legs").exists()),
        collection.wait_idle,
        collection.checkpoint,
        collection.compact,
        lambda: collection.backup(directory / "backup"),
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_every_write_in_a_forked_child_says_that_it_was_forked(tmp_path: Path) -> None:
    collection = tiercel.open(tmp_path / "zoo")
    collection.upsert(["cat"], texts=["a cat"])
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        said: list[str] = []
        for call in writes(collection, tmp_path):
            try:
                call()
            except tiercel.ForkedProcessError as error:
                said.append(str(error))
            except BaseException as error:  # noqa: BLE001 - the parent compares it
                said.append(repr(error))
        os.write(write, "\n".join(said).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        lines = answer.read().splitlines()
    os.waitpid(child, 0)
    expected = (
        f"process {os.getpid()} opened the collection, and a forked process cannot write to it: after that process"
    )
    assert [line.startswith(expected) for line in lines] == [True] * len(writes(collection, tmp_path)), lines
    assert not (tmp_path / "backup").exists()
    assert collection.upsert(["owl"], texts=["an owl"]) == 1
    collection.close()
