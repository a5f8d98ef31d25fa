"""Memoized functions: with and without parentheses, their names, invalidation and errors."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from caching import Clock, Gate
from support.waiting import until

import tiercel
from tiercel.cache import Cache, Memory

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


def test_a_refresh_is_dropped_if_the_caller_changed_the_arguments(clock: Clock) -> None:
    gate = Gate(sum)
    gate.may_end.set()
    with Cache([Memory(MIB)], ttl=10, stale=100, clock=clock) as cache:

        @cache.memoize(name="total")
        def total(values: list[int]) -> int:
            return gate(values)

        assert total([1]) == 1
        clock.pass_seconds(20)
        gate.begun.clear()
        gate.may_end.clear()
        changing = [1]
        assert total(changing) == 1, "the stale result"
        assert gate.begun.wait(30)
        changing.append(100)
        gate.may_end.set()
        until(lambda: cache.stats()["load_failures"] == 1)
        assert total([1]) == 1


def test_the_same_on_an_event_loop(clock: Clock) -> None:
    async def main(cache: Cache) -> None:
        may_end = asyncio.Event()
        may_end.set()

        @cache.memoize(name="total")
        async def total(values: list[int]) -> int:
            await may_end.wait()
            return sum(values)

        assert await total([1]) == 1
        clock.pass_seconds(20)
        may_end.clear()
        changing = [1]
        assert await total(changing) == 1, "the stale result"
        changing.append(100)
        may_end.set()
        await asyncio.to_thread(until, lambda: cache.stats()["load_failures"] == 1)
        assert await total([1]) == 1

    with Cache([Memory(MIB)], ttl=10, stale=100, clock=clock) as cache:
        asyncio.run(main(cache))
