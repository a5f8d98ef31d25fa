"""The caller gets whatever a loader returns; and cached values come back unchanged."""

import asyncio
import dataclasses
import datetime as dt
import enum
import json
import math
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiercel
from tiercel.cache import Cache, Memory, Store
from tiercel.cache.values import Codec, DamagedValueError

zones = st.sampled_from(
    [None, dt.UTC, dt.timezone(dt.timedelta(hours=-5, minutes=-30), "X"), ZoneInfo("Europe/London")]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.binary()
    | st.dates()
    | st.times(timezones=zones)
    | st.datetimes(timezones=zones)
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(leaves, max_size=3)
        | st.sets(leaves, max_size=3)
        | st.dictionaries(leaves | st.just("$"), inner, max_size=3)
    ),
    max_leaves=10,
)


def same(one: Any, other: Any) -> bool:
    """Whether both are equal and of equal types, all the way down."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, list | tuple):
        return all(map(same, one, other))
    if isinstance(one, dict):
        return all(same(*pair) for pair in zip(one.items(), other.items(), strict=True))
    if isinstance(one, set | frozenset):
        return sorted(repr(type(each)) for each in one) == sorted(repr(type(each)) for each in other)
    if isinstance(one, dt.datetime | dt.time):
        return one.fold == other.fold and str(one.tzinfo) == str(other.tzinfo)
    return repr(one) == repr(other)


@given(value=values, name=st.sampled_from(["plain", "msgpack"]))
def test_values_come_back_as_they_were(value: Any, name: Any) -> None:
    codec = Codec(name)
    assert same(codec.decode(codec.encode(value)), value)


def test_a_moment_that_the_clock_shows_twice_comes_back() -> None:
    for fold in (0, 1):
        value = dt.datetime(2024, 10, 27, 1, 30, tzinfo=ZoneInfo("Europe/London"), fold=fold)
        back = Codec().decode(Codec().encode(value))
        assert (back, back.fold, back.utcoffset(), back.tzinfo) == (value, fold, value.utcoffset(), value.tzinfo)


def test_arrays_and_numbers_of_numpy_come_back_from_within_others() -> None:
    value = (np.arange(6.0).reshape(2, 3), {"ids": np.array([1], np.uint64)}, [np.float32(0.5), np.bool_(True)])
    array, ids, (half, true) = Codec().decode(Codec().encode(value))
    assert (array.tolist(), array.dtype) == (value[0].tolist(), np.float64)
    assert (ids["ids"].tolist(), ids["ids"].dtype) == ([1], np.uint64)
    assert (half, type(half), true, type(true)) == (0.5, np.float32, True, np.bool_)
    assert array.flags.writeable


def test_no_number_comes_back() -> None:
    one, (other,) = Codec().decode(Codec().encode((math.nan, [Decimal("NaN")])))
    assert math.isnan(one)
    assert other.is_nan()


@dataclasses.dataclass
class Point:
    x: int
    y: tuple[int, ...] = ()
    seen: bool = dataclasses.field(default=False, init=False)

    def __post_init__(self) -> None:
        self.seen = not self.seen


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    point: Point


class Colour(enum.Enum):
    RED = "red"


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Pair(NamedTuple):
    one: Any
    other: Any


@dataclasses.dataclass(eq=False)
class Apart:
    x: int


TYPES = [Point, Frozen, Colour, Flags, Pair]


def test_members_of_known_classes_come_back_without_a_call_of_their_methods() -> None:
    codec = Codec(types=TYPES)
    point = Point(1, (2, 3))
    for value in (point, Frozen(point), Colour.RED, Flags.B, Pair(Colour.RED, {point.x: Frozen(point)})):
        back = codec.decode(codec.encode(value))
        assert back == value
        assert type(back) is type(value)
    # `__post_init__` would have negated it again.
    assert codec.decode(codec.encode(point)).seen is True
    assert type(codec.decode(codec.encode(Frozen(point))).point.y) is tuple
    for refused in (Flags.A | Flags.B, Flags(0)):
        with pytest.raises(tiercel.InvalidInputError, match="with a name"):
            codec.encode(refused)


def test_a_class_that_nobody_named_is_not_restored() -> None:
    data = Codec(types=TYPES).encode(Point(1))
    for types in ([], [Frozen, Pair]):
        with pytest.raises(DamagedValueError):
            Codec(types=types).decode(data)


def test_members_of_a_class_with_other_fields_are_not_restored() -> None:
    name = f"{__name__}:Point"
    for parts in (["D", name, ["x"], 1], ["D", name, ["x", "y", "seen"], 1], ["N", name, [], 1], ["E", name, "RED"]):
        with pytest.raises(DamagedValueError):
            Codec(types=TYPES).decode(b"t" + json.dumps({"$": parts}).encode())


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (1, "types: expected a list of classes, got int"),
        ([1], r"types\[0\]: expected a class, got 1"),
        ([int], r"types\[0\]: expected a dataclass, an enum or a named tuple, got int"),
        ([Point, Apart], r"types\[1\]: expected a dataclass that compares by its fields"),
        ([type("Point", (NamedTuple("P", [("x", int)]),), {"__module__": __name__}), Point], "different names"),
    ],
)
def test_classes_that_cannot_be_kept_are_refused(types: Any, message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        Cache([Memory(1 << 20)], types=types)


@pytest.mark.parametrize(
    "tree",
    [
        {"$": []},
        {"$": ["?", 1]},
        {"$": ["b", 1, 2]},
        {"$": ["b", "not base64"]},
        {"$": ["{", [1]]},
        {"$": ["<", {"a": 1}]},
        {"$": [":", [1]]},
        {"$": [":", [[1], 2]]},
        {"$": ["d", 1e400, 0, 0]},
        {"$": ["d", 10**20, 0, 0]},
        {"$": ["t", "2020-01-01", 2]},
        {"$": ["t", "2020-01-01T00:00:00", 0, "../../etc/passwd"]},
        {"$": ["t", "2020-01-01T00:00:00", 0, "os"]},
        {"$": ["u", "1"]},
        {"$": ["x", "one"]},
        {"$": ["a", '["|O",[1]]', "AAAAAAAAAAA="]},
        {"$": ["a", '["<f8",[99999999]]', "AAAAAAAAAAA="]},
        {"$": ["(", 1], "more": 2},
        {"$": 5},
        {"$": ["E", "os:PathLike", "A"]},
    ],
    ids=range(20),
)
def test_json_that_nobody_wrote_is_damage(tree: Any) -> None:
    with pytest.raises(DamagedValueError):
        Codec(types=TYPES).decode(b"t" + json.dumps(tree).encode())


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"$":' * 50_000, b"1" * 5000, b"\xff", b'"\\ud800'])
def test_json_that_is_deep_or_no_text_is_damage(content: bytes) -> None:
    for kind in (b"t", b"j"):
        with pytest.raises(DamagedValueError):
            Codec().decode(kind + content)


def test_reading_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = Codec(types=[Point])
    data = codec.encode((Point(1), Decimal(1), uuid.UUID(int=1), {dt.date(2020, 1, 1)}))

    def refuse(*_: object) -> None:
        raise AssertionError("an import")

    monkeypatch.setattr("builtins.__import__", refuse)
    assert codec.decode(data)[0] == Point(1)


class Odd:
    """A value that no codec can store."""


UNKEPT: list[Callable[[], Any]] = [
    Odd,
    lambda: Point(1),
    lambda: [Colour.RED],
    lambda: {1: bytearray(b"a")},
    lambda: "\ud800",
    lambda: 10**5000,
    lambda: np.array([None]),
]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache([Memory(1 << 20), Store(tmp_path / "store", 1 << 20)]) as made:
        yield made


@pytest.mark.parametrize("make", UNKEPT, ids=range(len(UNKEPT)))
def test_whoever_loads_gets_what_cannot_be_kept(cache: Cache, make: Callable[[], Any]) -> None:
    value = make()

    async def load(_: object) -> Any:
        return value

    async def load_many(keys: list[Any]) -> Any:
        return dict.fromkeys(keys, value)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert cache.get_or_load("a", lambda _: value) is value
        assert cache.fetch("a", lambda _: value).value is value
        assert asyncio.run(cache.aget_or_load("a", load)) is value
        assert asyncio.run(cache.afetch("a", load)).value is value
        assert all(each is value for each in cache.get_many_or_load(["a", "b"], lambda keys: [value for _ in keys]))
        assert all(each is value for each in asyncio.run(cache.aget_many_or_load(["a", "b"], load_many)))
        assert cache.namespace("other").get_or_load("a", lambda _: value) is value
    assert "a" not in cache
    stats = cache.stats()
    assert (stats["loads"], stats["unkept"], stats["load_failures"]) == (9, 9, 0)
    assert [type(each.message) for each in told] == [RuntimeWarning, RuntimeWarning]
    kind = type(value).__qualname__
    assert f"a loaded value of type {kind} cannot be kept in the cache" in str(told[0].message)
    assert f"a loaded value of type {kind} cannot be kept in the namespace 'other'" in str(told[1].message)


def test_a_batch_keeps_what_it_can(cache: Cache) -> None:
    odd = Odd()
    with pytest.warns(RuntimeWarning, match="Odd"):
        assert cache.get_many_or_load(["a", "b", "c"], lambda _: [1, odd, (2,)]) == [1, odd, (2,)]
    assert cache.get_many(["a", "b", "c"]) == [1, None, (2,)]


def test_memoize_gives_what_cannot_be_kept(cache: Cache) -> None:
    odd = Odd()
    calls: list[int] = []

    @cache.memoize(name="odd")
    def call(x: int) -> Odd:
        calls.append(x)
        return odd

    @cache.memoize(name="aodd")
    async def acall(x: int) -> Odd:
        calls.append(x)
        return odd

    with pytest.warns(RuntimeWarning, match="Odd"):
        assert call(1) is odd
    assert call(1) is odd
    assert asyncio.run(acall(2)) is odd
    assert calls == [1, 1, 2]


def test_memoize_keeps_tuples(cache: Cache) -> None:
    calls: list[int] = []

    @cache.memoize(name="pair")
    def pair(x: int) -> tuple[int, set[int]]:
        calls.append(x)
        return x, {x}

    assert [pair(1), pair(1)] == [(1, {1})] * 2
    # Changes by a caller do not affect the cached value.
    pair(1)[1].add(2)
    assert pair(1) == (1, {1})
    assert calls == [1]


def test_all_who_wait_get_what_cannot_be_kept(cache: Cache) -> None:
    odd, begun, waiting = Odd(), threading.Event(), threading.Event()
    found: list[Any] = []

    def load(_: object) -> Any:
        begun.set()
        assert waiting.wait(30)
        return odd

    def lead() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(cache.get_or_load("a", load))

    leader = threading.Thread(target=lead)
    leader.start()
    assert begun.wait(30)
    followers = [threading.Thread(target=lambda: found.append(cache.fetch("a", load).value)) for _ in range(3)]
    for thread in followers:
        thread.start()
    while cache.stats()["waits"] < 3:
        threading.Event().wait(0.001)
    waiting.set()
    for thread in (leader, *followers):
        thread.join()
    assert found == [odd] * 4
    assert cache.stats()["loads"] == 1


def test_an_old_value_stands_while_what_cannot_be_kept_is_loaded(tmp_path: Path) -> None:
    now = [0]
    with Cache([Memory(1 << 20)], ttl=1, stale=10, clock=lambda: now[0]) as cache:
        assert cache.get_or_load("a", lambda _: 1) == 1
        now[0] = 2 * 10**9
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert cache.get_or_load("a", lambda _: Odd()) == 1
            while not cache.stats()["unkept"]:
                threading.Event().wait(0.001)
        assert cache.get_or_load("a", lambda _: 2) == 1
    del tmp_path


def test_a_tier_that_fails_in_its_own_way_keeps_nobody_from_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache([Memory(1 << 20)]) as cache:

        def fail(*_: object) -> bool:
            raise MemoryError("no room")

        monkeypatch.setattr(type(cache._shared.stack), "write", fail)
        with pytest.warns(RuntimeWarning, match="no room"):
            assert cache.get_or_load("a", lambda _: 1) == 1
        assert cache.stats()["unkept"] == 1


def test_what_no_tier_has_room_for_is_given_and_counted() -> None:
    with Cache([Memory(1000)]) as cache:
        assert cache.get_or_load("a", lambda _: bytes(5000)) == bytes(5000)
        assert cache.stats()["unkept"] == 1


def test_a_put_of_what_cannot_be_kept_changes_nothing(cache: Cache) -> None:
    cache["a"] = 1
    for value, message in (
        (Point(1), r"got Point; name the class in types=\[Point\]"),
        (Odd(), "got Odd; cache its parts"),
        ([Pair(1, 2)], r"got Pair; name the class in types=\[Pair\]"),
        (bytearray(b"a"), "got bytearray; make it bytes"),
    ):
        with pytest.raises(tiercel.InvalidInputError, match=message):
            cache.put("a", value)
        with pytest.raises(tiercel.InvalidInputError, match=message):
            cache.namespace("new")["b"] = value
    assert cache["a"] == 1
    # Not even the record of the namespace was written.
    assert not any(b"new" in bytes(name) for name in cache._shared.stack.tiers[1].backend)


def test_a_known_class_is_kept_in_a_tier_that_outlives_the_process(tmp_path: Path) -> None:
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)], types=TYPES) as cache:
        cache["a"] = Pair(Colour.RED, [Point(1)])
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)], types=TYPES) as cache:
        assert cache["a"] == Pair(Colour.RED, [Point(1)])
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
        assert cache.get("a") is None
        assert cache.stats()["unread"] == 1
