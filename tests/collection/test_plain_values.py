"""Metadata and filters accept the same foreign values, and name those that are missing."""

import json
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import tiercel
from tiercel import F
from tiercel.filters import as_json


class Colour(Enum):
    RED = "red"
    TWO = np.int8(2)


class Word(StrEnum):
    HIGH = "high"


class Number(IntEnum):
    ONE = 1


class Access(Flag):
    READ = 1
    WRITE = 2


VALUES: dict[str, tuple[Any, Any]] = {
    "int8": (np.int8(3), 3),
    "uint64": (np.uint64(2**64 - 1), 2**64 - 1),
    "float16": (np.float16(0.5), 0.5),
    "float64": (np.float64(0.1), 0.1),
    "longdouble": (np.longdouble(0.5), 0.5),
    "bool": (np.True_, True),
    "str": (np.str_("a"), "a"),
    "array of ints": (np.arange(3), [0, 1, 2]),
    "array of strings": (np.array(["a", "b"]), ["a", "b"]),
    "array of two dimensions": (np.eye(2), [[1.0, 0.0], [0.0, 1.0]]),
    "array of no dimension": (np.array(5), 5),
    "array with a mask of nothing": (np.ma.array([1, 2], mask=[False, False]), [1, 2]),
    "array of objects": (np.array(["a", 1, None], object), ["a", 1, None]),
    "list of numpy's": ([np.int64(1), (np.float32(2), {"a": np.False_})], [1, [2.0, {"a": False}]]),
    "enum": (Colour.RED, "red"),
    "enum of numpy's": (Colour.TWO, 2),
    "enum of strings": (Word.HIGH, "high"),
    "enum of ints": (Number.ONE, 1),
    "flag": (Access.READ | Access.WRITE, 3),
    "UUID": (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    "whole decimal": (Decimal("12.00"), 12),
    "decimal": (Decimal("19.99"), 19.99),
    "large decimal": (Decimal("1e300"), 1e300),
    "mapping": (MappingProxyType({"a": OrderedDict(b=1)}), {"a": {"b": 1}}),
    "key of a StrEnum": ({Word.HIGH: 1}, {"high": 1}),
}
DATES: dict[str, tuple[Any, str]] = {
    "date": (date(2024, 5, 1), "2024-05-01"),
    "datetime": (datetime(2024, 5, 1, 10, tzinfo=UTC), "2024-05-01T10:00:00+00:00"),
    "day of numpy": (np.datetime64("2024-05-01"), "2024-05-01"),
    "month of numpy": (np.datetime64("2024-05"), "2024-05-01"),
    "second of numpy": (np.datetime64("2024-05-01T10:00:00"), "2024-05-01T10:00:00"),
    "week of numpy": (np.datetime64("2024-05-02", "W"), "2024-05-02"),
    "step of numpy": (np.datetime64("2024-05-01T10:00:00", "25s"), "2024-05-01T10:00:00"),
    "year 9999 of numpy": (np.datetime64("9999-12-31T23:59:59", "s"), "9999-12-31T23:59:59"),
    "attosecond of numpy": (np.datetime64(2**62, "as"), "1970-01-01T00:00:04.611686018427387904"),
    "nanosecond of numpy": (np.datetime64("2024-05-01T10:00:00.000000001"), "2024-05-01T10:00:00.000000001"),
}


class Unreadable:
    """An array, perhaps on another device, that its package cannot copy."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no memory there")


MISSING: dict[str, tuple[Any, str]] = {
    "nan": (float("nan"), "expected a finite number .*got nan; a missing value is None"),
    "nan of numpy": (np.float32("nan"), "got nan; a missing value is None"),
    "nan in an array": (np.array([1, np.nan]), r"\[1\]: .*got nan; a missing value is None"),
    "nan of decimals": (Decimal("nan"), "got nan; a missing value is None"),
    "signalling nan of decimals": (Decimal("snan"), "got nan; a missing value is None"),
    "NaT of numpy": (np.datetime64("NaT"), "expected a value, got NaT; a missing value is None"),
    "NaT in an array": (np.array(["2024-05-01", "NaT"], "M8[D]"), r"\[1\]: expected a value, got NaT"),
    "masked": (np.ma.masked, "expected a value, got a masked value; a missing value is None"),
    "masked in an array": (np.ma.array([1, 2], mask=[0, 1]), r"\[1\]: expected a value, got a masked value"),
    "infinity": (float("inf"), "expected a finite number .*got inf"),
    "infinite decimal": (Decimal("-inf"), "expected a finite number .*got inf"),
    "huge decimal": (Decimal("1e1000000000"), "expected a finite number .*got inf"),
    "too large for a float": (np.longdouble("1e400"), "expected a finite number .*got inf"),
    "year 10000": (np.datetime64("10000-01-01"), "expected a year from 1 to 9999, got 10000-01-01"),
    "year beyond microseconds": (np.datetime64(2**62, "s"), "expected a year from 1 to 9999, got 1461385"),
    "hours beyond microseconds": (np.datetime64(2**62, "h"), "expected a year from 1 to 9999"),
    "weeks beyond days": (np.datetime64((2**64 + 5) // 7, "W"), "expected a year from 1 to 9999"),
    "span of time": (np.timedelta64(1, "s"), "expected a value of JSON .*got timedelta64"),
    "complex": (np.complex64(1), "expected a value of JSON .*got complex64"),
    "record": (np.zeros((), "i4,i4")[()], "expected a value of JSON .*got void"),
    "bytes": (np.bytes_(b"a"), "expected a value of JSON .*got bytes_"),
    "zone of microseconds": (
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, microseconds=3))),
        "expected a time zone that is whole seconds from UTC, got 2024-01-01T00:00:00\\+05:00:00.000003",
    ),
    "array that cannot be read": (Unreadable(), "expected a value of JSON .*got Unreadable: no memory there"),
    "set": ({1}, "expected a value of JSON .*got set"),
    "half a character": ("\ud800", "expected Unicode text, got a lone surrogate"),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory):
    with tiercel.open(tmp_path_factory.mktemp("values") / "records", durability="none") as collection:
        yield collection


def kept(records: tiercel.Collection, value: Any) -> Any:
    records.upsert("a", metadata={"field": value, "in": {"list": [value]}})
    match = records.get("a")
    assert match is not None
    assert match.metadata is not None
    assert match.metadata["in"]["list"] == [match.metadata["field"]]
    return match.metadata["field"]


@pytest.mark.parametrize(("value", "plain"), VALUES.values(), ids=VALUES)
def test_metadata_and_filters_take_the_same_values(records: tiercel.Collection, value: Any, plain: Any) -> None:
    found = kept(records, value)
    assert (found, type(found)) == (plain, type(plain))
    assert (F("field") == value).to_dict() == {"field": {"$eq": plain}}
    assert json.loads(as_json({"field": {"$in": [value]}})) == {"field": {"$in": [plain]}}
    assert records.count(filter=F("field") == value) == records.count(filter={"in.list": {"$contains": value}}) == 1


@pytest.mark.parametrize(("value", "text"), DATES.values(), ids=DATES)
def test_dates_of_all_kinds_are_one(records: tiercel.Collection, value: Any, text: str) -> None:
    assert kept(records, value) == text
    assert (F("field") == value).to_dict() == {"field": {"$eq": {"$date": text}}}
    assert records.count(filter=(F("field") >= value) & (F("field") <= value)) == 1


@pytest.mark.parametrize(("value", "message"), MISSING.values(), ids=MISSING)
def test_what_is_missing_or_no_value_is_named(records: tiercel.Collection, value: Any, message: str) -> None:
    records.upsert("a")
    with pytest.raises(tiercel.InvalidInputError, match=message) as raised:
        records.upsert(["a", "sku-7"], metadata=[None, {"price": {"net": value}}])
    assert str(raised.value).startswith("metadata[1]['price']['net']")
    assert str(raised.value).endswith("(record 'sku-7')")
    with pytest.raises(tiercel.InvalidInputError, match=message):
        records.update_metadata("a", {"price": value})
    with pytest.raises(tiercel.InvalidInputError, match=rf"^F\('price'\) ==.*{message}"):
        as_json(F("price") == value)
    with pytest.raises(tiercel.InvalidInputError, match=r"^filter\['price'\]"):
        as_json({"price": value})
    assert [match.id for match in records.scan()] == ["a"]


def test_shared_parts_are_not_written_out(records: tiercel.Collection) -> None:
    part: Any = [0] * 10_000
    for _ in range(50):
        part = [part] * 10_000
    with pytest.raises(tiercel.InvalidInputError, match=r"metadata\[0\]: expected at most 16777216 characters of JSON"):
        records.upsert("a", metadata={"part": part})


def test_a_data_frame_goes_in_and_comes_out(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "id": ["a", "b"],
            "text": ["one", "two"],
            "vector": [np.ones(2, np.float32), np.arange(2.0)],
            "price": pandas.array([1, 2], "Int64"),
            "when": [pandas.Timestamp("2024-05-01"), pandas.Timestamp("2024-05-02T10:00:00.000000001")],
            "kind": pandas.Categorical(["x", "y"]),
        }
    )
    with tiercel.open(tmp_path / "frame", dim=2) as collection:
        rows = frame[["price", "when", "kind"]].to_dict("records")
        collection.upsert(frame["id"], frame["vector"], frame["text"], rows)
        first, second = collection.get(["a", "b"], include=["metadata", "vector"])
        assert first is not None
        assert second is not None
        assert first.vector is not None
        assert first.vector.tolist() == [1, 1]
        assert first.metadata == {"price": 1, "when": "2024-05-01T00:00:00", "kind": "x"}
        assert second.metadata == {"price": 2, "when": "2024-05-02T10:00:00.000000001", "kind": "y"}
        assert collection.count(filter=F("when") > frame["when"][0]) == 1
        assert collection.count(filter=F("kind").in_(frame["kind"])) == 2
        assert collection.count(filter=F("tags") == frame["price"]) == 0
        collection.upsert("c", metadata={"prices": frame["price"]})
        assert collection.count(filter=F("prices").contains(frame["price"][1])) == 1
        table = pandas.DataFrame(collection.search([1, 0], k=2).to_list())
        assert table["id"].tolist() == ["a", "b"]
        for missing in (pandas.NaT, pandas.NA, float("nan")):
            with pytest.raises(tiercel.InvalidInputError, match=r"metadata\[0\]\['when'\]: .*a missing value is None"):
                collection.update_metadata(["a"], [{"when": missing}])
            with pytest.raises(tiercel.InvalidInputError, match=r"F\('when'\) ==: .*a missing value is None"):
                as_json(F("when") == missing)
        gaps = pandas.DataFrame({"text": ["one", None], "price": pandas.array([1, None], "Int64")})
        with pytest.raises(
            tiercel.InvalidInputError, match=r"metadata\[1\]\['price'\]: expected a value, got pandas.NA"
        ):
            collection.upsert(["a", "b"], metadata=[{"price": price} for price in gaps["price"]])
        with pytest.raises(tiercel.InvalidInputError, match=r"texts\[1\]: .*a missing value is None \(record 'b'\)"):
            collection.upsert(["a", "b"], texts=gaps["text"])


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"])
def test_small_numbers_of_ml_dtypes_are_values(records: tiercel.Collection, name: str) -> None:
    small = getattr(pytest.importorskip("ml_dtypes"), name)
    assert kept(records, small(2)) == 2
    assert kept(records, np.array([1, 2], small)) == [1, 2]
    assert records.count(filter=F("field").contains(small(2))) == 1
