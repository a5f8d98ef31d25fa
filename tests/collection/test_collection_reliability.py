"""Acknowledged writes last: with forks, second processes, and unexpected directories."""

import multiprocessing
import os
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import tiercel

OPENS = """
import sys, tiercel
try:
    tiercel.open(sys.argv[1])
except tiercel.AlreadyOpenError as error:
    print(error)
"""


@pytest.fixture
def zoo(tmp_path: Path):
    with tiercel.open(tmp_path / "zoo", dim=3) as collection:
        collection.upsert(["cat", "hen"], [[1, 0, 0], [0, 1, 0]], ["a cat sleeps", "a hen lays eggs"])
        yield collection


def test_a_second_process_is_told_who_has_it(zoo: tiercel.Collection) -> None:
    said = subprocess.run([sys.executable, "-c", OPENS, zoo.path], capture_output=True, text=True, check=True).stdout
    assert f"already open by process {os.getpid()}" in said
    assert zoo.upsert(["owl"], [[0, 0, 1]]) == 1


def forked(zoo: tiercel.Collection, answer: Connection) -> None:
    found = [zoo.search([1, 0, 0], k=1).ids, zoo.search(text="eggs").ids, len(zoo)]
    try:
        zoo.upsert(["owl"], [[0, 0, 1]])
    except tiercel.ForkedProcessError as error:
        found.append(str(error))
    zoo.close()
    answer.send(found)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_reads_and_does_not_write(zoo: tiercel.Collection) -> None:
    zoo.wait_idle()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=forked, args=(zoo, there))
    child.start()
    assert here.poll(60)
    *found, refused = here.recv()
    child.join(60)
    assert child.exitcode == 0
    assert found == [["cat"], ["hen"], 2]
    assert f"process {os.getpid()} opened the collection, and a forked process cannot write to it" in refused
    assert zoo.upsert(["eel"], [[0, 0, 1]], ["an eel"]) == 1
    zoo.close()
    with tiercel.open(zoo.path) as again:
        assert len(again) == 3
        assert again.verify() == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_directory_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        for path in (tmp_path, tmp_path / "new"):
            with pytest.raises(tiercel.StorageFailedError):
                tiercel.open(path, dim=3)
    finally:
        tmp_path.chmod(0o700)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    tiercel.open(tmp_path, dim=3).close()
    names = ["notes.txt", "index-1", "text-2.txt", ".hidden", "LOCK.old"]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / "directory").mkdir()
    for _ in range(2):
        with tiercel.open(tmp_path, dim=3) as collection:
            collection.upsert(["cat"], [[1, 0, 0]], ["a cat"])
            collection.checkpoint()
    with tiercel.open(tmp_path) as collection:
        assert collection.search(text="cat").ids == ["cat"]
        assert collection.verify() == []
    assert [(tmp_path / name).read_text() for name in names] == names
    assert (tmp_path / "directory").is_dir()


def test_more_results_than_memory_can_hold_are_no_trouble(zoo: tiercel.Collection) -> None:
    assert len(zoo.search([1, 0, 0], "cat hen", k=2**40)) == 2
    assert len(zoo.search([1, 0, 0], k=2**62)) == 2
    assert len(zoo.search(text="hen", k=2**62)) == 1


def test_closing_waits_for_searches(zoo: tiercel.Collection) -> None:
    found: list[list[str]] = []
    errors: list[Exception] = []
    started = threading.Barrier(5)

    def search() -> None:
        started.wait()
        try:
            while True:
                found.append(zoo.search([1, 0, 0], "sleeps", k=1).ids)
        except tiercel.ClosedError:
            pass
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    zoo.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert errors == []
    assert all(ids == ["cat"] for ids in found)
