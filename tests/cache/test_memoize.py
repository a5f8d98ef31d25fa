"""Memoized functions: with and without parentheses, their names, invalidation and errors."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from caching import Clock, Gate
from support.waiting import until

import tiercel
from tiercel.cache import Cache, Memory
from tiercel.cache.refresh import Refresher

MIB = 1 << 20
CALLS: list[Any] = []


@pytest.fixture
def cache() -> Iterator[Cache]:
    CALLS.clear()
    with Cache([Memory(MIB)]) as made:
        yield made


@dataclass
class Scale:
    factor: int

    def times(self, x: int) -> int:
        CALLS.append(x)
        return self.factor * x


class Plain:
    def times(self, x: int) -> int:
        return x


def square(x: int) -> int:
    CALLS.append(x)
    return x * x


async def asquare(x: int) -> int:
    return square(x)


def total_of(values: list[int]) -> int:
    return sum(values)


async def atotal_of(values: list[int]) -> int:
    return sum(values)


def joined(row: dict[str, int], **more: int) -> str:
    return ",".join([*row, *more])


def test_brackets_may_be_left_out(cache: Cache) -> None:
    bare, called = cache.memoize(square), cache.memoize()(square)
    assert (bare(4), called(4), CALLS) == (16, 16, [4])
    assert (bare.__name__, bare.cache_key(4)) == ("square", called.cache_key(4))
    waits = cache.memoize(asquare)
    assert asyncio.run(waits(5)) == asyncio.run(waits(5)) == 25
    assert CALLS == [4, 5]


@pytest.mark.parametrize("other", [60, "squares"])
def test_what_is_no_function_is_told_how_to_be_passed(cache: Cache, other: Any) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=rf"^function: expected a function, got {other!r}; .*ttl=60"):
        cache.memoize(other)


def test_one_call_and_all_calls_are_forgotten(cache: Cache) -> None:
    memoized = cache.memoize(tags=["squares"])(square)
    memoized(1), memoized(2)
    assert cache.delete(memoized.cache_key(1))
    memoized(1), memoized(2)
    assert CALLS == [1, 2, 1]
    cache.invalidate_tags("squares")
    memoized(1), memoized(2)
    assert CALLS == [1, 2, 1, 1, 2]


def test_methods_of_dataclasses_are_memoized_by_their_fields(cache: Cache) -> None:
    times = cache.memoize(Scale.times)
    assert (times(Scale(2), 3), times(Scale(5), 3), times(Scale(2), 3)) == (6, 15, 6)
    assert CALLS == [3, 3]
    with pytest.raises(tiercel.InvalidInputError, match=r"^self: .*got Plain; pass what identifies it"):
        cache.memoize(Plain.times)(Plain(), 3)


def test_order_of_keywords_and_dicts_does_not_count(cache: Cache) -> None:
    memoized = cache.memoize(joined)
    assert memoized({"a": 1, "b": 2}, c=3, d=4) == memoized({"b": 2, "a": 1}, d=4, c=3) == "a,b,c,d"
    assert cache.stats()["loads"] == 1


def test_errors_of_memoized_functions_show_the_call(cache: Cache) -> None:
    @cache.memoize(name="around again")
    def around_again(x: int, text: str) -> Any:
        return around_again(x, text=text)

    with pytest.raises(
        tiercel.RecursiveLoadError, match=r"^loader: asked the cache for around_again\(3, text='a'\), the key"
    ):
        around_again(3, text="a")
    # However long the arguments are, and even if their repr raises.
    with pytest.raises(tiercel.RecursiveLoadError, match=r"around_again\(4, text='a+\.\.\.a+'\)") as error:
        around_again(4, text="a" * 1000)
    assert len(str(error.value)) < 200


def test_who_waits_for_a_memoized_function_too_long_hears_which_call() -> None:
    gate = Gate()
    with Cache([Memory(MIB)], timeout=0) as cache, ThreadPoolExecutor(1) as threads:

        @cache.memoize(name="slow")
        def slow(x: int) -> Any:
            return gate(x)

        other = threads.submit(slow, 1)
        assert gate.begun.wait(30)
        with pytest.raises(tiercel.DeadlineExceededError, match=r"expected the key slow\(1\) to be loaded"):
            slow(1)
        gate.may_end.set()
        other.result(30)


@pytest.fixture
def refreshes(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """The refreshes that are due; a test runs them itself."""
    due: list[Callable[[], object]] = []
    monkeypatch.setattr(Refresher, "add", lambda self, what, work: due.append(work))
    return due


@pytest.fixture
def stale(clock: Clock) -> Iterator[Cache]:
    """A cache whose values are stale after 10 seconds."""
    with Cache([Memory(MIB)], ttl=10, stale=100, clock=clock) as cache:
        yield cache


def test_a_refresh_is_dropped_if_the_caller_changed_the_arguments(
    clock: Clock, stale: Cache, refreshes: list[Callable[[], object]]
) -> None:
    total = stale.memoize(name="total")(total_of)
    assert total([1]) == 1
    clock.pass_seconds(20)
    changing = [1]
    assert total(changing) == 1, "the stale result"
    changing.append(100)
    with pytest.raises(tiercel.InvalidInputError, match=r"^arguments: expected them as they were"):
        refreshes.pop()()
    assert (stale.stats()["loads"], stale.stats()["load_failures"]) == (1, 1)
    assert total([1]) == 1


def test_what_the_caller_changes_during_a_refresh_is_not_seen(
    clock: Clock, stale: Cache, refreshes: list[Callable[[], object]]
) -> None:
    changing: list[Any] = [[1], np.array([1]), {"a": [1]}, Scale(1)]

    @stale.memoize(name="total")
    def total(values: list[Any]) -> int:
        if refreshes_begin:
            changing[0].append(100)
            changing[1][0] = changing[2]["a"][0] = changing[3].factor = 100
        return sum(values[0]) + int(values[1][0]) + sum(values[2]["a"]) + values[3].factor

    refreshes_begin = False
    assert total(changing) == 4
    clock.pass_seconds(20)
    assert total(changing) == 4
    refreshes_begin = True
    refreshes.pop()()
    assert changing[3] == Scale(100)
    assert (stale.stats()["loads"], stale.stats()["load_failures"]) == (2, 0)
    assert total([[1], np.array([1]), {"a": [1]}, Scale(1)]) == 4
    assert refreshes == [], "it is fresh"


def test_a_function_that_changes_its_arguments_is_refreshed(
    clock: Clock, stale: Cache, refreshes: list[Callable[[], object]]
) -> None:
    @stale.memoize(name="shown")
    def shown(options: dict[str, int]) -> list[str]:
        options.pop("debug", None)
        return [*options]

    assert shown({"debug": 1, "a": 2}) == ["a"]
    clock.pass_seconds(20)
    options = {"debug": 1, "a": 2}
    assert shown(options) == ["a"]
    refreshes.pop()()
    assert options == {"debug": 1, "a": 2}, "the background changes nothing of the caller's"
    assert (stale.stats()["loads"], stale.stats()["load_failures"]) == (2, 0)


def test_a_refresh_that_overtakes_its_call_has_arguments_of_its_own(
    clock: Clock, stale: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(_: Refresher, __: object, work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    monkeypatch.setattr(Refresher, "add", add)
    emptied = stale.memoize(name="emptied")(lambda values: [values.pop()])
    assert emptied([1]) == [1]
    clock.pass_seconds(20)
    values = [1]
    assert emptied(values) == [1]
    assert values == [1]
    assert stale.stats()["loads"] == 2


def test_on_an_event_loop_a_refresh_is_dropped_if_the_caller_changed_the_arguments(clock: Clock, stale: Cache) -> None:
    async def main() -> None:
        total = stale.memoize(name="total")(atotal_of)
        assert await total([1]) == 1
        clock.pass_seconds(20)
        changing = [1]
        assert await total(changing) == 1, "the stale result"
        changing.append(100)
        await asyncio.to_thread(until, lambda: stale.stats()["load_failures"] == 1)
        assert await total([1]) == 1

    asyncio.run(main())


def test_on_an_event_loop_a_function_that_changes_its_arguments_is_refreshed(clock: Clock, stale: Cache) -> None:
    async def main() -> None:
        @stale.memoize(name="emptied")
        async def emptied(values: list[int]) -> list[int]:
            return [values.pop()]

        assert await emptied([1]) == [1]
        clock.pass_seconds(20)
        values = [1]
        assert await emptied(values) == [1], "the stale result"
        await asyncio.to_thread(until, lambda: stale.stats()["loads"] == 2)
        assert values == [1]
        assert stale.stats()["load_failures"] == 0

    asyncio.run(main())
