"""What goes wrong where no call waits for it is logged, warned of once, and kept in `stats`."""

import gc
import logging
import shutil
import warnings
from pathlib import Path

import pytest

import tiercel

# So many records that a checkpoint is due, by the background and at the end.
MANY = 100_001
SOME = 1100


def ids(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_a_failure_in_the_background_is_told_by_the_next_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collection = tiercel.open(tmp_path / "gone", durability="none")
    # What is open can be written, but no checkpoint has a place.
    shutil.rmtree(tmp_path / "gone")
    collection.upsert(ids(MANY))
    with pytest.warns(RuntimeWarning, match=r"collection .*gone: .*No such file.*stats\(\)\['trouble'\]") as warned:
        while not warned.list:
            assert len(collection) == MANY
    assert warned[0].filename == __file__
    assert "No such file" in collection.stats()["trouble"]
    logged = [record for record in caplog.records if record.name == "tiercel"]
    assert logged[0].levelno == logging.ERROR
    assert "gone: " in logged[0].message
    with pytest.raises(tiercel.errors.StorageFailedError):
        collection.close()


def test_a_warning_that_is_an_error_is_raised_once(tmp_path: Path) -> None:
    collection = tiercel.open(tmp_path / "gone", durability="none")
    collection.upsert(ids(MANY))
    shutil.rmtree(tmp_path / "gone")
    with pytest.raises(tiercel.errors.StorageFailedError):
        collection.checkpoint()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(RuntimeWarning, match="No such file"):  # noqa: PT012
            while True:
                assert len(collection) == MANY
    assert len(collection) == MANY
    with pytest.raises(tiercel.errors.StorageFailedError):
        collection.close()


@pytest.mark.parametrize("circle", [False, True])
def test_a_collection_that_is_dropped_tells_what_went_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, circle: bool
) -> None:
    collection = tiercel.open(tmp_path / "gone", durability="none")
    collection.upsert(ids(SOME))
    shutil.rmtree(tmp_path / "gone")
    held = [collection]
    if circle:
        held.append(held)  # pyright: ignore[reportArgumentType]
    with pytest.warns(RuntimeWarning, match=r"collection .*gone: .*No such file"):
        del collection, held
        gc.collect()
    assert "No such file" in caplog.text


def test_what_closes_well_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collection = tiercel.open(tmp_path / "there", durability="none")
    collection.upsert(ids(SOME))
    del collection
    gc.collect()
    with tiercel.open(tmp_path / "there") as collection:
        assert len(collection) == SOME
        assert collection.stats()["trouble"] is None
    assert not caplog.records
