"""What goes wrong where no call waits for it is logged, warned of once, and kept in `stats`."""

import gc
import logging
import time
from pathlib import Path

import pytest

import tiercel

# So many records that a checkpoint is due, by the background and at the end.
MANY = 100_001
SOME = 1100


def block_the_log(directory: Path) -> None:
    """Put a directory in the place of the next log file: batches go on, no checkpoint can begin."""
    (directory / "log-2").mkdir()


def ids(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_a_failure_in_the_background_is_told_by_the_next_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collection = tiercel.open(tmp_path / "blocked", durability="none")
    block_the_log(tmp_path / "blocked")
    collection.upsert(ids(MANY))
    with pytest.warns(  # noqa: PT031
        RuntimeWarning, match=r"collection .*blocked: .*Is a directory.*stats\(\)\['trouble'\]"
    ) as warned:
        end = time.monotonic() + 60
        while not warned.list:
            assert len(collection) == MANY
            assert time.monotonic() < end, "it never came"
    assert warned[0].filename == __file__
    assert "Is a directory" in collection.stats()["trouble"]
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
    with pytest.warns(RuntimeWarning, match=r"collection .*blocked: .*Is a directory"):  # noqa: PT031
        del collection, held
        gc.collect()
    assert "Is a directory" in caplog.text


def test_what_closes_well_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collection = tiercel.open(tmp_path / "there", durability="none")
    collection.upsert(ids(SOME))
    del collection
    gc.collect()
    with tiercel.open(tmp_path / "there") as collection:
        assert len(collection) == SOME
        assert collection.stats()["trouble"] is None
    assert not caplog.records
