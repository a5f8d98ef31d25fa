"""Scans: iterators over one snapshot, which end, are dropped, and outlast later writes."""

import asyncio
import gc
import threading
import tracemalloc
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
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
    scan = shelf.scan(filter=F("n") >= 10)
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
    # One chunk, and the next one that replaces it.
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


def test_a_cancelled_step_of_an_async_scan_loses_no_record(shelf: tiercel.Collection) -> None:
    async def main(cancel_after: int) -> list[str]:
        seen: list[str] = []
        async with shelf.ascan() as scan:
            while len(seen) < MANY:
                step = asyncio.ensure_future(anext(scan))
                for _ in range(cancel_after):
                    await asyncio.sleep(0)
                step.cancel()
                with suppress(asyncio.CancelledError):
                    seen.append((await step).id)
        return seen

    for cancel_after in (2, 3, 4):
        assert asyncio.run(main(cancel_after)) == [f"id{number}" for number in range(MANY)], cancel_after


@pytest.mark.parametrize("is_over", [False, True])
def test_a_cancelled_close_of_an_async_scan_is_done_by_the_read(
    shelf: tiercel.Collection, monkeypatch: pytest.MonkeyPatch, is_over: bool
) -> None:
    begun, may_end, over = threading.Event(), threading.Event(), threading.Event()
    read = tiercel.Scan._read

    def slow(scan: tiercel.Scan) -> None:
        begun.set()
        assert may_end.wait(30)
        read(scan)
        over.set()

    async def main() -> list[tiercel.Match]:
        scan = shelf.ascan()
        step = asyncio.ensure_future(anext(scan))
        assert await asyncio.to_thread(begun.wait, 30)
        step.cancel()
        closing = asyncio.ensure_future(scan.aclose())
        for _ in range(4):
            await asyncio.sleep(0)
        if is_over:
            # Over on its thread, and the event loop does not know it yet.
            may_end.set()
            assert over.wait(30)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        may_end.set()
        return [match async for match in scan]

    monkeypatch.setattr(tiercel.Scan, "_read", slow)
    assert asyncio.run(main()) == []


def test_tasks_share_an_async_scan(shelf: tiercel.Collection) -> None:
    async def main() -> list[str]:
        scan = shelf.ascan()

        async def take() -> list[str]:
            return [match.id async for match in scan]

        return sorted(chain.from_iterable(await asyncio.gather(*(take() for _ in range(5)))))

    assert asyncio.run(main()) == sorted(f"id{number}" for number in range(MANY))


def test_a_reader_goes_on_after_a_position_in_a_newer_state(shelf: tiercel.Collection) -> None:
    shelf.checkpoint()
    with tiercel.open(shelf.path, mode="r") as reader:
        scan = reader.scan(limit=2)
        assert ids(scan) == ["id0", "id1"]
        shelf.delete(["id1", "id2"])
        shelf.checkpoint()
        reader.refresh()
        assert next(reader.scan(after=scan.position)).id == "id3"


ASCENDING: list[Any] = [
    -1e300,
    -1,
    0,
    0.5,
    2**53,
    2**53 + 1,
    2**64 - 1,
    "2024-01-02T00:30:00+02:00",
    "2024-01-01T23:00:00Z",
    "2024-01-01T22:30:00-01:00",
    date(2024, 1, 2),
    datetime(2024, 1, 2, 0, 0, 1, tzinfo=UTC),
    "",
    "2024",
    "a",
    "\u00e9",
    "\uffff",
    "\U00010000",
    False,
    True,
    None,
    [],
    {},
]


def test_what_was_replaced_long_ago_costs_nothing_after_compact(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "few", durability="none") as few:

        def churn() -> None:
            for round_ in range(1000):
                few.upsert([f"id{number}" for number in range(9, -1, -1)], metadata=[{"round": round_}] * 10)
            assert few.stats()["rows"] >= 10_000
            few.compact()
            assert few.stats()["rows"] == 10

        churn()
        page = few.scan(limit=4)
        assert ids(page) == ["id9", "id8", "id7", "id6"]
        few.upsert(["id5"], metadata=[{}])
        with tiercel.open(tmp_path / "few", mode="r") as reader:
            for _ in range(1000):
                few.upsert([f"other{number}" for number in range(10)])
            few.delete([f"other{number}" for number in range(10)])
            few.compact()
            assert ids(few.scan(after=page.position)) == ["id4", "id3", "id2", "id1", "id0", "id5"]
            reader.refresh()
            assert ids(reader.scan(after=page.position)) == ["id4", "id3", "id2", "id1", "id0", "id5"]
        churn()
        with pytest.raises(tiercel.InvalidInputError, match="start the scan again"):
            few.scan(after=page.position)


def test_values_of_all_types_have_one_order(tmp_path: Path) -> None:
    shuffled = np.random.default_rng(7).permutation(len(ASCENDING)).tolist()
    with tiercel.open(tmp_path / "mixed") as collection:
        collection.upsert(
            ["none", *(str(at) for at in shuffled)], metadata=[{}, *({"x": ASCENDING[at]} for at in shuffled)]
        )
        expected = [str(at) for at in range(len(ASCENDING))]
        assert ids(collection.scan(order_by="x")) == [*expected, "none"]
        assert ids(collection.scan(order_by="-x")) == [*expected[::-1], "none"]
        pages, after = [], None
        while True:
            page = collection.scan(order_by="x", limit=4, after=after)
            found, after = ids(page), page.position
            if not found:
                break
            pages += found
        assert pages == [*expected, "none"]
        numbers, words = ASCENDING[:7], ASCENDING[12:18]
        # The order is that of `<` in filters.
        for at, number in enumerate(numbers):
            assert ids(collection.scan(filter=F("x") < number, order_by="x")) == expected[:at]
        for at, word in enumerate(words):
            smaller = ids(collection.scan(filter=F("x") < word, order_by="x"))
            assert [value for value in smaller if value in expected[12:18]] == expected[12 : 12 + at]


@pytest.mark.parametrize("schema", [None, {"born": date}])
def test_dates_have_one_order_for_scans_and_filters(tmp_path: Path, schema: Any) -> None:
    moments = [
        "2024-05-01",
        datetime(2024, 5, 1, 3, tzinfo=timezone(timedelta(hours=2))),
        datetime(2024, 5, 1, 2, tzinfo=UTC),
        datetime(2024, 5, 1, 0, 30, tzinfo=timezone(timedelta(hours=-2))),
        "2024-05-01T02:30:00.5Z",
        date(2024, 5, 2),
    ]
    with tiercel.open(tmp_path / "dates", schema=schema) as collection:
        names = [str(at) for at in range(len(moments))]
        collection.upsert(names[::-1], metadata=[{"born": moment} for moment in reversed(moments)])
        assert ids(collection.scan(order_by="born")) == names
        for at in range(1, len(moments)):
            moment = moments[at] if isinstance(moments[at], date) else datetime.fromisoformat(str(moments[at]))
            assert ids(collection.scan(filter=F("born") < moment, order_by="-born")) == names[:at][::-1]
            if schema is not None:
                # In this field, a string is a date.
                text = str(moments[at]) if isinstance(moments[at], str) else moment.isoformat()
                assert ids(collection.scan(filter=F("born") < text, order_by="born")) == names[:at]
                assert collection.count(filter=F("born").in_([text])) == 1


def test_text_that_looks_like_a_date_is_text_where_the_schema_says_so(tmp_path: Path) -> None:
    values = ["2024-05-01T02:00:00+02:00", "2024-05-01", "abc", "1"]
    with tiercel.open(tmp_path / "text", schema={"x": str}) as collection:
        collection.upsert(values, metadata=[{"x": value} for value in values])
        assert ids(collection.scan(order_by="x")) == sorted(values)
        assert ids(collection.scan(filter=F("x") < "2024-05-01T", order_by="x")) == ["1", "2024-05-01"]


def test_none_is_the_first_page_and_an_empty_string_is_no_position(tmp_path: Path) -> None:
    with tiercel.open(tmp_path / "few") as collection:
        collection.upsert(["a", "b"])
        assert ids(collection.scan(after=None)) == ["a", "b"]
        with pytest.raises(tiercel.InvalidInputError, match="after: expected the position of a scan"):
            collection.scan(after="")
