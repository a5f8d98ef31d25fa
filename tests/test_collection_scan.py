"""Scans: iterators over one moment of a collection, that end, are dropped, and outlive what is written."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

import pytest

import tiercel
from tiercel import F

MANY = 1000


@pytest.fixture
def shelf(tmp_path: Path):
    with tiercel.open(tmp_path / "shelf", durability="none") as collection:
        ids = [f"id{number}" for number in range(MANY)]
        collection.upsert(ids, texts=["x" * 3000] * MANY, metadata=[{"n": number} for number in range(MANY)])
        yield collection


def ids(scan: tiercel.Scan) -> list[str]:
    return [match.id for match in scan]


def test_a_scan_is_an_iterator_of_one_moment(shelf: tiercel.Collection) -> None:
    scan = shelf.scan(F("n") >= 10)
    assert iter(scan) is scan
    assert scan.position is None
    assert next(scan).id == "id10"
    begun = scan.position
    shelf.upsert(["new"], metadata=[{"n": 10**6}])
    shelf.delete(filter=F("n") < MANY)
    shelf.checkpoint()
    shelf.compact()
    assert ids(scan) == [f"id{number}" for number in range(11, MANY)]
    assert ids(scan) == []
    end = scan.position
    scan.close()
    assert scan.position == end
    assert ids(shelf.scan(after=begun)) == ids(shelf.scan(after=end)) == ["new"]
    nothing = shelf.scan(after=end, limit=0)
    assert (ids(nothing), nothing.position) == ([], end)


def test_a_closed_scan_is_at_its_end(shelf: tiercel.Collection) -> None:
    with shelf.scan() as scan:
        next(scan)
        where = scan.position
    assert (ids(scan), scan.position) == ([], where)
    assert next(shelf.scan(after=where)).id == "id1"
    with pytest.raises(TypeError, match=r"made by Collection\.scan"):
        tiercel.Scan()


def test_a_closed_collection_ends_its_scans_with_an_error(shelf: tiercel.Collection) -> None:
    fresh, begun = shelf.scan(), shelf.scan()
    next(begun)
    where = begun.position
    shelf.close()
    for scan in (fresh, begun):
        with pytest.raises(tiercel.ClosedError, match="the collection is closed"):
            next(scan)
    assert (fresh.position, begun.position) == (None, where)
    begun.close()
    with tiercel.open(shelf.path) as again:
        assert next(again.scan(after=where)).id == "id1"


def test_a_scan_keeps_its_collection_open(tmp_path: Path) -> None:
    with tiercel.open(tmp_path) as collection:
        collection.upsert(["a", "b"])
    scan = tiercel.open(tmp_path).scan()
    gc.collect()
    assert ids(scan) == ["a", "b"]
    del scan
    gc.collect()
    with tiercel.open(tmp_path) as collection:
        assert len(collection) == 2


def test_a_scan_holds_a_bounded_part_of_the_records(shelf: tiercel.Collection) -> None:
    tracemalloc.start()
    try:
        size = sum(len(match.text or "") for match in shelf.scan())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == MANY * 3000
    # A chunk, and the one that takes its place.
    assert peak < 1000 * 3000 * 0.9


def test_an_async_scan_does_the_same(shelf: tiercel.Collection) -> None:
    async def main() -> None:
        scan = shelf.ascan(order_by="-n", limit=600)
        assert scan.position is None
        seen = [match.id async for match in scan]
        assert seen == [f"id{number}" for number in reversed(range(400, MANY))]
        rest = shelf.ascan(order_by="-n", after=scan.position)
        assert (await anext(rest)).id == "id399"
        await rest.aclose()
        assert [match async for match in rest] == []
        await shelf.ascan().aclose()
        with pytest.raises(tiercel.InvalidInputError, match="limit"):
            await anext(shelf.ascan(limit=-1))

    asyncio.run(main())


def test_a_reader_goes_on_after_a_position_in_a_newer_state(shelf: tiercel.Collection) -> None:
    shelf.checkpoint()
    with tiercel.open(shelf.path, mode="r") as reader:
        scan = reader.scan(limit=2)
        assert ids(scan) == ["id0", "id1"]
        shelf.delete(["id1", "id2"])
        shelf.checkpoint()
        reader.refresh()
        assert next(reader.scan(after=scan.position)).id == "id3"
