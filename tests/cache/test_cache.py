"""The cache: a mapping over tiers that may forget, and never returns outdated or expired values."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from caching import Clock, Counted
from remote import Shelf

import tiercel
from tiercel.cache import Cache, Memory, Store
from tiercel.cache.envelope import pack, unpack
from tiercel.cache.keys import key_name, prefix_of

mapping_tests = pytest.importorskip("test.mapping_tests")

MIB = 1 << 20
MEMORY = Memory(MIB)


@pytest.fixture
def two(tmp_path: Path, clock: Clock) -> Iterator[Cache]:
    """A small memory tier above a store."""
    with Cache([Memory(4096), Store(tmp_path / "store", MIB)], clock=clock) as made:
        yield made


def tier_stats(cache: Cache, at: int) -> Any:
    return cache.stats()["tiers"][at]


class TestCacheIsAMapping(mapping_tests.BasicTestMappingProtocol):
    """CPython's tests of mappings."""

    type2test: Any = staticmethod(lambda: Cache([Memory(MIB)]))

    def _reference(self) -> dict[Any, Any]:
        return {"1": "2", "key1": "value1", "key2": [1, 2, 3]}


class TestTwoTiersAreAMapping(TestCacheIsAMapping):
    """The same over a memory tier that holds next to nothing."""

    @pytest.fixture(autouse=True)
    def _stores(self, tmp_path: Path) -> None:
        numbers = iter(range(1000))
        self.type2test = lambda: Cache([Memory(300), Store(tmp_path / str(next(numbers)), MIB)])


@pytest.mark.parametrize("value", [b"", b"bytes", "text", None, 1.5, [1, {"a": [True]}], np.arange(6.0).reshape(2, 3)])
def test_values_come_back_as_they_were(cache: Cache, value: Any) -> None:
    cache["key"] = value
    found = cache["key"]
    assert type(found) is type(value)
    np.testing.assert_equal(found, value)


def test_other_values_are_refused_before_anything_changes(cache: Cache) -> None:
    cache["key"] = "before"
    with pytest.raises(tiercel.InvalidInputError, match="object"):
        cache["key"] = {1, object()}
    assert cache["key"] == "before"


def test_text_and_bytes_are_two_keys(cache: Cache) -> None:
    cache["a"], cache[b"a"] = "text", "bytes"
    assert (cache["a"], cache[b"a"], set(cache)) == ("text", "bytes", {"a", b"a"})


def test_a_value_is_given_for_its_time_and_no_longer(cache: Cache, clock: Clock) -> None:
    cache.put("key", "value", ttl=10)
    clock.pass_seconds(9.999)
    assert cache["key"] == "value"
    clock.pass_seconds(0.001)
    assert "key" not in cache
    assert cache.get("key") is None
    assert list(cache) == []
    assert tier_stats(cache, 0)["stale"] == 1


def test_idle_values_go_and_used_ones_stay(cache: Cache, clock: Clock) -> None:
    cache.put("used", 1, idle_ttl=10)
    cache.put("unused", 1, idle_ttl=10)
    for _ in range(10):
        clock.pass_seconds(4)
        assert cache.get("used") == 1
    assert cache.get("unused") is None
    clock.pass_seconds(10)
    assert cache.get("used") is None


def test_an_idle_value_stays_used_through_all_tiers(two: Cache, clock: Clock) -> None:
    two.put("used", bytes(1000), idle_ttl=10)
    for number in range(10):
        clock.pass_seconds(4)
        assert two.get("used") == bytes(1000)
        for filler in range(20):
            two[f"filler {number} {filler}"] = bytes(500)
        two.wait_idle()


def test_jitter_spreads_what_was_put_together(clock: Clock) -> None:
    with Cache([Memory(MIB)], ttl=100, jitter=0.5, clock=clock) as cache:
        for number in range(200):
            cache[str(number)] = number
        counts = []
        for _ in range(5):
            clock.pass_seconds(20)
            counts.append(len(cache))
    assert counts[:2] == [200, 200]
    assert counts[4] == 0
    assert 200 > counts[2] > counts[3] > 0


def test_namespaces_are_apart(cache: Cache) -> None:
    one, other = cache.namespace("one"), cache.namespace("other")
    one["key"], other["key"], cache["key"] = 1, 2, 3
    assert (one["key"], other["key"], cache["key"]) == (1, 2, 3)
    assert list(one) == ["key"]
    assert one.invalidate()
    assert one.get("key") is None
    assert (other["key"], cache["key"], len(one)) == (2, 3, 0)
    one["key"] = 4
    assert one["key"] == 4


def test_names_cannot_be_made_to_collide(cache: Cache) -> None:
    names = ["", "a", "ab", "b", "s", "\x00", "\x00\x01a"]
    for name in names:
        for key in (*names, *(name.encode() for name in names)):
            cache.namespace(name)[key] = [name, repr(key)]
    for name in names:
        space = cache.namespace(name)
        assert {repr(key) for key in space} == {repr(key) for key in (*names, *(name.encode() for name in names))}
        assert all(value == [name, repr(key)] for key, value in space.items())


def test_tags_invalidate_what_has_them(cache: Cache) -> None:
    cache.put("both", 1, tags=["red", "blue"])
    cache.put("red", 2, tags=["red"])
    cache.put("none", 3)
    assert cache.invalidate_tags("blue")
    assert [cache.get(key) for key in ("both", "red", "none")] == [None, 2, 3]
    cache.put("both", 4, tags=["blue"])
    assert cache["both"] == 4
    cache.invalidate_tags("red", "blue")
    assert [cache.get(key) for key in ("both", "red", "none")] == [None, None, 3]


def test_many_tags_are_remembered_in_little_room(cache: Cache) -> None:
    cache.put("old", 1, tags=["first"])
    cache.put("plain", 1)
    for number in range(3000):
        cache.invalidate_tags(f"tag {number}")
    cache.put("new", 1, tags=["tag 1"])
    cache.invalidate_tags("first")
    assert [cache.get(key) for key in ("old", "plain", "new")] == [None, 1, 1]
    assert len(cache._namespace._known.tags) <= 1024


def test_what_was_invalidated_stays_so_after_a_restart(tmp_path: Path) -> None:
    def opened() -> Cache:
        return Cache([Memory(MIB), Store(tmp_path / "store", MIB)])

    with opened() as cache:
        cache.namespace("gone")["key"] = 1
        cache.namespace("kept")["key"] = 2
        cache.namespace("kept").put("tagged", 3, tags=["tag"])
        cache.flush()
        assert cache.namespace("gone").invalidate()
        assert cache.namespace("kept").invalidate_tags("tag")
    with opened() as cache:
        assert cache.namespace("gone").get("key") is None
        assert cache.namespace("kept")["key"] == 2
        assert cache.namespace("kept").get("tagged") is None


def _invalidate_and_die(path: Path) -> None:
    cache = Cache([Memory(MIB), Store(path, MIB)])
    cache["key"] = "old"
    cache.put("tagged", "old", tags=["tag"])
    cache.namespace("other")["key"] = "kept"
    assert cache.flush()
    assert cache.invalidate()
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_acknowledged_invalidation_outlives_a_kill(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_invalidate_and_die, args=(tmp_path / "store",))
    process.start()
    process.join()
    assert process.exitcode == -9
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        assert cache.get("key") is None
        assert cache.get("tagged") is None
        assert cache.namespace("other")["key"] == "kept"


def test_a_lost_record_forgets_and_never_resurrects(tmp_path: Path) -> None:
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        cache["key"] = "old"
        cache.flush()
        cache.invalidate()
    with Store(tmp_path / "store", MIB) as store:
        records = [key for key in store if isinstance(key, bytes) and key.startswith(b"\xff\xff")]
        assert records
        for record in records:
            del store[record]
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        assert cache.get("key") is None


def test_what_memory_drives_out_is_found_below(two: Cache) -> None:
    for number in range(100):
        two[str(number)] = bytes([number]) * 200
    two.wait_idle()
    assert all(two[str(number)] == bytes([number]) * 200 for number in range(100))
    below = tier_stats(two, 1)
    assert below["written"] == 100
    assert below["hits"] > 50
    assert below["waiting"] == 0


def test_the_second_sight_brings_a_value_up(tmp_path: Path) -> None:
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        cache["key"] = "value"
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        assert cache.fetch("key", Counted())[1:3] == ("Store", False)
        assert tier_stats(cache, 1)["promoted"] == 0
        assert cache.fetch("key", Counted())[1:3] == ("Store", False)
        assert tier_stats(cache, 1)["promoted"] == 1
        assert cache.fetch("key", Counted())[1:3] == ("Memory", False)


def test_what_is_replaced_or_deleted_never_comes_back(two: Cache) -> None:
    for number in range(50):
        two[str(number)] = f"old {number}" * 40
    two.wait_idle()
    for number in range(50):
        if number % 2:
            two[str(number)] = f"new {number}" * 40
        else:
            assert two.delete(str(number))
    two.wait_idle()
    for number in range(50):
        assert two.get(str(number)) == (f"new {number}" * 40 if number % 2 else None)


def test_a_value_too_large_for_memory_goes_below(two: Cache) -> None:
    two["large"] = bytes(100_000)
    assert two["large"] == bytes(100_000)
    assert tier_stats(two, 1)["own"]["entries"] >= 1
    with pytest.raises(tiercel.InvalidInputError, match="too large for every tier"):
        two["huge"] = bytes(2 * MIB)
    assert not two.put("large", bytes(2 * MIB))
    assert two.get("large") is None, "an outdated value stays"


@pytest.mark.parametrize("above", [[], [Memory(4096)]])
def test_a_value_that_a_tier_that_fails_might_have_taken_is_no_mistake(above: list[Memory]) -> None:
    shelf = Shelf()
    with Cache([*above, shelf]) as cache:
        shelf.mode = "fails"
        cache["key"] = bytes(MIB)
        assert cache.get("key") is None
        assert cache.setdefault("key", bytes(MIB)) == bytes(MIB)
        assert not cache.put("key", bytes(MIB))


def test_a_value_leaves_with_pop_and_its_default_is_for_all_that_is_not_there(two: Cache, clock: Clock) -> None:
    two["first"], two["second"] = bytes(10), None
    two.put("old", 1, ttl=1)
    clock.pass_seconds(1)
    assert two.pop("second", "absent") is None
    assert two.pop("second", "absent") == two.pop("old", "absent") == "absent"
    with pytest.raises(KeyError, match="old"):
        two.pop("old")
    assert two.popitem() == ("first", bytes(10))
    with pytest.raises(KeyError):
        two.popitem()


class Aging(Clock):
    """A clock that advances at each look."""

    def __call__(self) -> int:
        self.pass_seconds(1)
        return self.now


def test_what_ends_while_it_is_popped_is_not_there() -> None:
    with Cache([Memory(MIB)], clock=Aging()) as cache:
        for seconds in range(1, 10):
            cache.put("key", "value", ttl=seconds)
            assert cache.pop("key", "absent") in {"value", "absent"}


def test_what_the_codec_does_not_read_is_not_there(tmp_path: Path) -> None:
    with Cache([Store(tmp_path / "store", MIB)], codec="pickle (unsafe)") as cache:
        cache["tuple"], cache["text"] = (1, 2), "kept"
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        assert cache.get("tuple") is None
        assert "tuple" not in cache
        assert (len(cache), list(cache), cache.pop("tuple", "absent")) == (1, ["text"], "absent")
        assert cache.get_or_load("tuple", Counted()) == "loaded tuple"
        assert "tuple" in cache


def test_a_call_that_is_refused_is_not_counted(cache: Cache) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="loader"):
        cache.fetch("key", 5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(tiercel.InvalidInputError, match="loader"):
        asyncio.run(cache.afetch("key", 5))  # pyright: ignore[reportArgumentType]
    assert cache._shared.stack.sketch.count(cache._name("key")) == 0


def test_tags_of_an_array_are_tags(cache: Cache) -> None:
    cache.put("key", 1, tags=np.array(["red", "blue"]))
    assert cache["key"] == 1
    cache.invalidate_tags("blue")
    assert "key" not in cache


def test_flush_and_close_keep_what_memory_had(tmp_path: Path) -> None:
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        for number in range(100):
            cache[str(number)] = number
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        assert {int(key): cache[key] for key in cache} == {number: number for number in range(100)}


def test_a_closed_cache_says_so(tmp_path: Path) -> None:
    cache = Cache([Memory(MIB), Store(tmp_path / "store", MIB)])
    cache.close()
    cache.close()
    for call in (lambda: cache["a"], lambda: cache.put("a", 1), cache.stats, cache.invalidate, lambda: list(cache)):
        with pytest.raises(tiercel.ClosedError):
            call()
    assert repr(cache) == "<Cache: closed>"


def test_damaged_envelopes_are_misses() -> None:
    tier = Memory(MIB)
    cache = Cache([tier])
    cache.put("key", "value", tags=["tag"])
    name = key_name(prefix_of(""), "key")
    whole = tier[name]
    parsed = unpack(whole)
    assert parsed is not None
    assert pack(parsed[0], whole[parsed[1] :]) == whole
    for at in range(parsed[1]):
        tier[name] = whole[:at]
        assert cache.get("key") is None
    for bit in range(8 * parsed[1]):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        tier[name] = damaged
        cache.get("key")
        assert cache.get_or_load("key", Counted()) is not None


def test_optimize_removes_what_is_old_and_exchanges_the_rest(two: Cache, clock: Clock) -> None:
    two.put("short", bytes(200), ttl=1)
    for number in range(60):
        two[str(number)] = bytes(300)
    two.wait_idle()
    first = two._shared.stack.tiers[0].backend
    wanted = next(key for key in two if key != "short" and two._name(key) not in first)
    for _ in range(5):
        two._shared.stack.sketch.add(two._name(wanted))
    clock.pass_seconds(2)
    before = len(first)
    moved = two.optimize()
    assert (moved.removed, two.get("short")) == (1, None)
    assert moved.promoted >= 1
    assert moved.promoted_bytes > 300
    assert two._name(wanted) in first
    assert len(first) <= before
    assert len(two) == 60, "moved values are still present"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tiers": []}, "tiers: expected a list of tiers"),
        ({"tiers": [1]}, r"tiers\[0\]: expected a tier"),
        ({"ttl": 0}, "ttl: expected more than 0"),
        ({"ttl": -1}, "ttl: expected more than 0"),
        ({"ttl": float("nan")}, "ttl: expected more than 0"),
        ({"idle_ttl": "1"}, "idle_ttl: expected more than 0"),
        ({"jitter": 2}, "jitter: expected a number from 0 to 1"),
        ({"stale": -1}, "stale: expected"),
        ({"fail_safe": None}, "fail_safe: expected"),
        ({"timeout": -1}, "timeout: expected"),
        ({"codec": "pickle"}, "codec"),
        ({"queue_bytes": 0}, "queue_bytes: expected"),
        ({"seed": -1}, "seed: expected"),
        ({"tiers": [MEMORY, MEMORY]}, r"tiers\[1\]: expected each tier once"),
        ({"tiers": [Memory(MIB), Cache([MEMORY])]}, r"tiers\[1\]: expected a tier, .* got Cache"),
        ({"ttl": np.array([1.0, 2.0])}, "ttl: expected more than 0"),
        ({"clock": 5}, "clock: expected a function"),
        ({"clock": lambda: 1.5}, r"clock\(\): expected an int"),
        ({"clock": lambda: -5}, r"clock\(\): expected an int"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        Cache(**{"tiers": [Memory(MIB)], **arguments})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cache: cache.get(1), "key: expected str or bytes, got int"),
        (lambda cache: cache.put("\ud800", 1), "key: expected Unicode"),
        (lambda cache: cache.put("a", 1, ttl=0), "ttl"),
        (lambda cache: cache.put("a", 1, tags="tag"), "tags: expected a list"),
        (lambda cache: cache.put("a", 1, tags=[1]), r"tags\[0\]: expected a str"),
        (lambda cache: cache.put("a", 1, cost=-1), "cost"),
        (lambda cache: cache.put("a", 1, ttl=np.array([1.0, 2.0])), "ttl: expected more than 0"),
        (lambda cache: cache.put("a", 1, tags=np.array([1, 2])), r"tags\[0\]: expected a str"),
        (lambda cache: cache.get_many("ab"), "keys: expected an iterable"),
        (
            lambda cache: cache.get_many({"a"}),
            r"keys: expected a list, got a set, which has no order; pass sorted\(keys\)",
        ),
        (lambda cache: cache.get_many_or_load({"a"}, Counted()), "keys: expected a list, got a set"),
        (lambda _: MEMORY.get_many({"a"}), "keys: expected a list of str or bytes, got {'a'}"),
        (lambda cache: cache.get_many_or_load([["a"]], Counted()), r"keys\[0\]: expected str or bytes, got list"),
        (lambda cache: cache.predict(["a"]), "key: expected str or bytes"),
        (lambda cache: cache.predict("a", limit=-1), "limit: expected an int"),
        (lambda cache: cache.predict("a", limit="1"), "limit: expected an int"),
        (lambda cache: cache.get_or_load("a", 1), "loader: expected a function"),
        (lambda cache: cache.get_or_load("a", Counted(), timeout=-1), "timeout"),
        (lambda cache: cache.namespace(1), "name: expected a str"),
        (lambda cache: cache.namespace("x" * 2000), "name: expected at most"),
        (lambda cache: cache.invalidate_tags(1), r"tags\[0\]"),
    ],
)
def test_bad_calls_are_named_and_change_nothing(cache: Cache, call: Any, message: str) -> None:
    cache["a"] = "before"
    with pytest.raises(tiercel.InvalidInputError, match=message):
        call(cache)
    assert cache["a"] == "before"


def _child(cache: Cache, answers: Any) -> None:
    cache["child"] = 1
    answers.put((cache.get("parent"), cache.get("child"), cache.get_or_load("new", Counted())))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_a_forked_child_goes_on(two: Cache) -> None:
    for number in range(50):
        two[str(number)] = bytes(300)
    two["parent"] = "here"
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=_child, args=(two, answers))
    process.start()
    found = answers.get(timeout=60)
    process.join()
    assert found[1:] == (1, "loaded new")
    assert found[0] in {"here", None}
    assert two["parent"] == "here"
    assert "child" not in two
