"""Failures outside of any call are logged, warned about once, and kept in `stats`."""

import gc
import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tiercel

# Enough records that a checkpoint is due, in the background and at the end.
MANY = 100_001
SOME = 1100


def block_the_log(directory: Path) -> None:
    """Replace the next log file by a directory: batches continue, but no checkpoint can begin."""
    (directory / "log-2").mkdir()


def ids(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_a_failure_in_the_background_is_told_by_the_next_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collection = tiercel.open(tmp_path / "blocked", durability="none")
    block_the_log(tmp_path / "blocked")
    begun = time.time()
    collection.upsert(ids(MANY))
    with pytest.warns(  # noqa: PT031
        RuntimeWarning, match=r"collection .*blocked: .*log-2: expected no file.*stats\(\)\['trouble'\]"
    ) as warned:
        end = time.monotonic() + 60
        while not warned.list:
            assert len(collection) == MANY
            assert time.monotonic() < end, "it never came"
    assert warned[0].filename == __file__
    trouble = collection.stats()["trouble"]
    assert "log-2: expected no file" in trouble["message"]
    assert begun <= trouble["time"] <= time.time()
    assert trouble["lasts"]
    logged = [record for record in caplog.records if record.name == "tiercel"]
    assert logged[0].levelno == logging.ERROR
    assert "blocked: " in logged[0].message
    with pytest.raises(tiercel.errors.StorageFailedError):
        collection.close()


@pytest.mark.parametrize("circle", [False, True])
def test_a_collection_that_is_dropped_tells_what_went_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, circle: bool
) -> None:
    collection = tiercel.open(tmp_path / "blocked", durability="none")
    collection.upsert(ids(SOME))
    block_the_log(tmp_path / "blocked")
    held = [collection]
    if circle:
        held.append(held)  # pyright: ignore[reportArgumentType]
    with pytest.warns(RuntimeWarning, match=r"collection .*blocked: .*log-2: expected no file"):  # noqa: PT031
        del collection, held
        gc.collect()
    assert "log-2: expected no file" in caplog.text


def test_what_closes_well_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collection = tiercel.open(tmp_path / "there", durability="none")
    collection.upsert(ids(SOME))
    del collection
    gc.collect()
    with tiercel.open(tmp_path / "there") as collection:
        assert len(collection) == SOME
        assert collection.stats()["trouble"] is None
    assert not caplog.records


LATE = """
import abc, pathlib, sys, tiercel
collection = tiercel.open(sys.argv[1])
(pathlib.Path(sys.argv[1]) / "log-2").mkdir()
collection.upsert([str(number) for number in range(1100)])
# Python clears its own modules last.
abc.keeps = collection
"""


def test_a_collection_that_outlives_the_modules_of_python_ends_quietly(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LATE, str(tmp_path / "late")], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""


def test_what_a_collection_does_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def logged() -> list[tuple[str, str]]:
        told = [(record.levelname, record.message) for record in caplog.records if record.name == "tiercel"]
        caplog.clear()
        prefix = f"collection {tmp_path / 'zoo'}: "
        assert all(message.startswith(prefix) for _, message in told)
        return [(level, message.removeprefix(prefix)) for level, message in told]

    caplog.set_level(logging.INFO, "tiercel")
    collection = tiercel.open(tmp_path / "zoo")
    assert logged() == [("INFO", "opened to write with 0 records; 0 batches came from the log")]
    for number in range(3):
        collection.upsert(ids(4))
        if number == 1:
            shutil.copytree(tmp_path / "zoo", tmp_path / "killed")
    collection.checkpoint()
    # Events of a call are logged by the next one.
    assert len(collection) == 4
    assert logged() == [("INFO", "a checkpoint has everything up to batch 3")]
    collection.compact()
    assert len(collection) == 4
    assert logged() == [("INFO", "a checkpoint has everything up to batch 3"), ("INFO", "compacted")]
    with tiercel.open(tmp_path / "zoo", mode="r"):
        assert logged() == [("INFO", "opened to read with 4 records")]
    collection.close()
    assert logged() == [("INFO", "closed with 4 records")]
    # As a killed process leaves it.
    (tmp_path / "zoo").rename(tmp_path / "old")
    (tmp_path / "killed").rename(tmp_path / "zoo")
    with tiercel.open(tmp_path / "zoo"):
        assert logged() == [("INFO", "opened to write with 4 records; 2 batches came from the log")]


def test_a_disk_without_room_is_logged_once_and_when_it_takes_writes_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    resource = pytest.importorskip("resource", reason="process limits need Unix")
    with tiercel.open(tmp_path / "zoo") as collection:
        caplog.set_level(logging.INFO, "tiercel")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
        try:
            for _ in range(2):
                with pytest.raises(tiercel.DiskFullError):
                    collection.upsert(ids(1000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        collection.upsert(ids(1000))
        assert len(collection) == 1000
        levels = [(record.levelname, record.message.split(": ")[1]) for record in caplog.records]
        assert levels == [("WARNING", "writes are refused until there is room"), ("INFO", "writes have room again")]
