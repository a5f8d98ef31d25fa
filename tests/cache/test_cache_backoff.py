"""A loader that fails is not called for every read of a stale value."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from caching import Clock, Counted
from support.waiting import until

from tiercel.cache import Cache, Memory


@pytest.fixture
def cache(clock: Clock) -> Iterator[Cache]:
    with Cache([Memory(1 << 20)], ttl=10, stale=1e6, clock=clock) as made:
        made["a"] = made["b"] = "old"
        clock.pass_seconds(20)
        yield made


def fail(_: Any) -> Any:
    raise OSError("gone")


def read(cache: Cache, load: Callable[[Any], Any]) -> None:
    assert cache.get_or_load("a", load) == "old"


async def aread(cache: Cache, load: Callable[[Any], Any]) -> None:
    assert await cache.aget_or_load("a", load) == "old"


def failures(cache: Cache, number: int) -> None:
    until(lambda: cache.stats()["load_failures"] == number)


def test_a_loader_that_fails_is_called_once_a_pause_that_grows(cache: Cache, clock: Clock) -> None:
    load = Counted(fail)
    for number, pause in enumerate([1, 2, 4, 8, 16, 32, 60, 60], start=1):
        read(cache, load)
        failures(cache, number)
        clock.pass_seconds(pause - 0.5)
        for _ in range(20):
            read(cache, load)
        assert len(load.asked) == number, f"{pause} s"
        clock.pass_seconds(0.5)


def test_a_new_value_ends_the_pauses(cache: Cache, clock: Clock) -> None:
    for number in range(1, 4):
        read(cache, fail)
        failures(cache, number)
        clock.pass_seconds(100)
    cache.get_or_load("a", lambda _: "new")
    until(lambda: cache.get("a") == "new")
    for number, value in ((4, "new"), (5, "put")):
        clock.pass_seconds(20)
        assert cache.get_or_load("a", fail) == value
        failures(cache, number)
        cache["a"] = "put"
    clock.pass_seconds(20)
    load = Counted(fail)
    cache.get_or_load("a", load)
    failures(cache, 6)
    clock.pass_seconds(1)
    cache.get_or_load("a", load)
    failures(cache, 7)
    assert len(load.asked) == 2, "the first pause is a second again"


def test_each_key_has_pauses_of_its_own(cache: Cache) -> None:
    read(cache, fail)
    failures(cache, 1)
    load = Counted(lambda keys: [key.upper() for key in keys])
    assert cache.get_many_or_load(["a", "b"], load) == ["old", "old"]
    until(lambda: cache.get("b") == "B")
    assert load.asked == [["b"]]


def test_batches_that_fail_pause_too(cache: Cache, clock: Clock) -> None:
    load = Counted(fail)
    for _ in range(20):
        assert cache.get_many_or_load(["a", "b"], load) == ["old", "old"]
        failures(cache, 2)
    assert load.asked == [["a", "b"]]
    clock.pass_seconds(1)
    assert cache.get_many_or_load(["b", "a"], load) == ["old", "old"]
    failures(cache, 4)
    assert load.asked == [["a", "b"], ["b", "a"]]


def test_coroutines_pause_too(cache: Cache, clock: Clock) -> None:
    load = Counted(fail)

    async def run() -> None:
        for number in (1, 2):
            await aread(cache, load)
            await asyncio.to_thread(failures, cache, number)
            for _ in range(20):
                await aread(cache, load)
            assert len(load.asked) == number
            clock.pass_seconds(1)

    asyncio.run(run())


def test_a_clock_that_is_set_back_ends_the_pause(cache: Cache, clock: Clock) -> None:
    read(cache, fail)
    failures(cache, 1)
    clock.pass_seconds(-5)
    read(cache, fail)
    failures(cache, 2)


def test_a_loader_that_exits_takes_no_thread_along(cache: Cache, clock: Clock) -> None:
    load = Counted(lambda _: sys.exit())
    for number in range(1, 20):
        read(cache, load)
        failures(cache, number)
        clock.pass_seconds(60)
    cache.get_or_load("a", lambda _: "new")
    until(lambda: cache.get("a") == "new")
