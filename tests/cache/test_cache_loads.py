"""Loading through a cache: once for all callers, never an outdated value, and failures."""

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from caching import Clock, Counted, Gate, fails
from support.waiting import until

import tiercel
from tiercel.cache import Cache, Memory

MIB = 1 << 20


def waiting(cache: Cache) -> int:
    return cache.stats()["waits"]


def test_a_value_is_loaded_once_and_kept(cache: Cache) -> None:
    load = Counted()
    assert [cache.get_or_load("a", load) for _ in range(3)] == ["loaded a"] * 3
    assert load.asked == ["a"]
    assert cache["a"] == "loaded a"
    answer = cache.fetch("b", load)
    assert (answer.value, answer.tier, answer.stale) == ("loaded b", None, False)
    assert cache.fetch("b", load).tier == "Memory"


def test_a_thousand_threads_load_once(cache: Cache) -> None:
    gate = Gate()
    with ThreadPoolExecutor(1000) as pool:
        answers = [pool.submit(cache.get_or_load, "key", gate) for _ in range(1000)]
        until(lambda: waiting(cache) == 999)
        gate.may_end.set()
        assert {answer.result() for answer in answers} == {"loaded key"}
    assert gate.calls == 1


def test_who_waits_gets_a_value_of_their_own(cache: Cache) -> None:
    gate = Gate(lambda _: [1])
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(cache.get_or_load, "key", gate) for _ in range(4)]
        until(lambda: waiting(cache) == 3)
        gate.may_end.set()
        for answer in answers:
            value = answer.result()
            assert value == [1]
            value.append(2)
    assert cache["key"] == [1]


def test_after_a_failure_one_of_those_who_wait_tries_again(cache: Cache) -> None:
    first, second = Gate(fails), Gate()
    with ThreadPoolExecutor(9) as pool:
        failing = pool.submit(cache.get_or_load, "key", first)
        assert first.begun.wait(30)
        others = [pool.submit(cache.get_or_load, "key", second) for _ in range(8)]
        until(lambda: waiting(cache) == 8)
        first.may_end.set()
        with pytest.raises(OSError, match="no key"):
            failing.result()
        second.may_end.set()
        assert {other.result() for other in others} == {"loaded key"}
    assert second.calls == 1


def test_after_two_failures_all_get_the_error(cache: Cache) -> None:
    first, second = Gate(fails), Gate(fails)
    second.may_end.set()
    with ThreadPoolExecutor(50) as pool:
        failing = [pool.submit(cache.get_or_load, "key", first)]
        assert first.begun.wait(30)
        failing += [pool.submit(cache.get_or_load, "key", second) for _ in range(49)]
        until(lambda: waiting(cache) == 49)
        first.may_end.set()
        for each in failing:
            with pytest.raises(OSError, match="no key"):
                each.result()
    assert second.calls == 1
    assert "key" not in cache


def test_who_waits_too_long_is_told_and_the_next_one_loads_anew(cache: Cache) -> None:
    hangs = Gate()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(cache.get_or_load, "key", hangs)
        assert hangs.begun.wait(30)
        with pytest.raises(tiercel.DeadlineExceededError, match=r"'key' to be loaded by another caller within 0\.01 s"):
            cache.get_or_load("key", Counted(), timeout=0.01)
        assert cache.get_or_load("key", lambda _: "newer") == "newer"
        hangs.may_end.set()
        assert hanging.result() == "loaded key"
    assert cache["key"] == "newer", "what hung is older"


def test_a_loader_that_asks_for_its_own_key_is_told(cache: Cache) -> None:
    def recursive(key: Any) -> Any:
        return cache.get_or_load(key, recursive)

    def in_a_circle(key: Any) -> Any:
        return cache.get_or_load("b" if key == "a" else "a", in_a_circle)

    for loader in (recursive, in_a_circle):
        with pytest.raises(tiercel.RecursiveLoadError, match=r"asked the cache for .*, the key it is loading"):
            cache.get_or_load("a", loader)
    assert cache.get_or_load("a", lambda _: cache.get_or_load("b", lambda _: 1) + 1) == 2
    assert cache["b"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.invalidate(),
        lambda cache: cache.clear(),
        lambda cache: cache.invalidate_tags("tag"),
        lambda cache: cache.delete("key"),
        lambda cache: cache.put("key", "written"),
    ],
)
def test_what_changes_while_it_is_loaded_is_not_kept(cache: Cache, change: Callable[[Cache], Any]) -> None:
    gate = Gate(lambda _: "outdated")
    with ThreadPoolExecutor(2) as pool:
        loading = pool.submit(cache.get_or_load, "key", gate, tags=["tag"])
        assert gate.begun.wait(30)
        change(cache)
        expected = cache.get("key")
        assert expected in {None, "written"}
        later = pool.submit(cache.get_or_load, "key", lambda _: "newer", tags=["tag"])
        assert later.result() == (expected or "newer"), "a caller after the change gets the newer value"
        gate.may_end.set()
        assert loading.result() == "outdated", "an earlier caller gets what was loaded"
    assert cache["key"] == (expected or "newer")


def test_a_race_of_loads_and_invalidations_never_gives_what_is_older() -> None:
    """With a source that only grows, a caller gets at least the value at the time of its call."""
    source = [0]
    wrong: list[tuple[int, int]] = []
    with Cache([Memory(MIB)]) as cache:

        def read() -> None:
            for _ in range(3000):
                # Known to be written and invalidated before the call.
                least = published[0]
                found = cache.get_or_load("key", lambda _: source[0])
                if found < least:
                    wrong.append((found, least))

        def write() -> None:
            for number in range(1, 600):
                source[0] = number
                cache.invalidate() if number % 2 else cache.delete("key")
                published[0] = number

        published = [0]
        threads = [threading.Thread(target=read) for _ in range(4)] + [threading.Thread(target=write)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_stale_values_are_given_while_one_loads_anew(cache: Cache, clock: Clock) -> None:
    with Cache([Memory(MIB)], ttl=10, stale=10, clock=clock) as cache:
        cache["key"] = "old"
        clock.pass_seconds(15)
        assert cache.get("key") is None, "past its time"
        gate = Gate()
        answer = cache.fetch("key", gate)
        assert (answer.value, answer.stale) == ("old", True)
        assert gate.begun.wait(30)
        assert cache.fetch("key", gate)[:3:2] == ("old", True)
        gate.may_end.set()
        until(lambda: cache.get("key") == "loaded key")
        assert gate.calls == 1
        clock.pass_seconds(25)
        assert cache.get_or_load("key", lambda _: "after") == "after", "too old to be returned"


def test_a_failing_loader_may_give_what_is_old_marked(clock: Clock) -> None:
    with Cache([Memory(MIB)], ttl=10, fail_safe=100, clock=clock) as cache:
        cache["key"] = "old"
        assert cache.fetch("key", fails).stale is False
        clock.pass_seconds(50)
        answer = cache.fetch("key", fails)
        assert (answer.value, answer.stale, round(answer.age)) == ("old", True, 50)
        assert cache.get_or_load("key", lambda _: "new") == "new"
        clock.pass_seconds(111)
        with pytest.raises(OSError, match="no key"):
            cache.get_or_load("key", fails)
        assert cache.stats()["stale_served"] == 1
        assert cache.stats()["load_failures"] == 2


def test_invalidated_values_never_stand_in(clock: Clock) -> None:
    with Cache([Memory(MIB)], ttl=10, stale=100, fail_safe=100, clock=clock) as cache:
        cache["key"] = "old"
        clock.pass_seconds(50)
        cache.invalidate()
        with pytest.raises(OSError, match="no key"):
            cache.get_or_load("key", fails)


def test_many_are_loaded_in_one_call(cache: Cache) -> None:
    cache["b"] = 2
    load = Counted(lambda keys: {key: key.upper() for key in keys})
    assert cache.get_many_or_load(["a", "b", "c", "a"], load) == ["A", 2, "C", "A"]
    assert load.asked == [["a", "c"]]
    assert cache.get_many(["a", "b", "c", "d"]) == ["A", 2, "C", None]
    assert cache.get_many_or_load(iter(["x", "y"]), lambda keys: [key + "!" for key in keys]) == ["x!", "y!"]
    assert cache.get_many_or_load([], load) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda keys: [1], "expected a mapping or a list of 2 values, got 1"),
        (lambda keys: {"a": 1}, "expected a value for each key, got none for 'b'"),
        (lambda keys: 5, "got int"),
        (lambda keys: "ab", "got str"),
    ],
)
def test_a_batch_loader_must_give_what_was_asked(cache: Cache, values: Any, message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        cache.get_many_or_load(["a", "b"], values)
    assert cache.get_many_or_load(["a", "b"], lambda keys: [1, 2]) == [1, 2]


def test_overlapping_batches_load_each_key_once(cache: Cache) -> None:
    asked: list[str] = []
    both = threading.Barrier(2)

    def load(keys: list[str]) -> list[str]:
        asked.extend(keys)
        both.wait(30)
        return [f"loaded {key}" for key in keys]

    def batch(own: str, order: list[str]) -> list[str]:
        return cache.get_many_or_load([own, *order], load)

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(batch, "x", ["a", "b", "c"])
        other = pool.submit(batch, "y", ["c", "b", "a"])
        assert one.result(60) == ["loaded x", "loaded a", "loaded b", "loaded c"]
        assert other.result(60) == ["loaded y", "loaded c", "loaded b", "loaded a"]
    assert sorted(asked) == ["a", "b", "c", "x", "y"]


def test_coroutines_load_once_and_mix_with_threads(cache: Cache) -> None:
    calls = []

    async def load(key: str) -> str:
        calls.append(key)
        await asyncio.sleep(0)
        return f"loaded {key}"

    async def main() -> list[str]:
        found = await asyncio.gather(*(cache.aget_or_load("key", load) for _ in range(50)))
        threads = [asyncio.to_thread(cache.get_or_load, "key", Counted()) for _ in range(5)]
        assert await cache.aget("key") == "loaded key"
        assert await cache.aput("other", 1)
        assert await cache.adelete("other")
        assert await cache.aget_many_or_load(["key", "x"], lambda keys: [1]) == ["loaded key", 1]
        return found + await asyncio.gather(*threads)

    assert set(asyncio.run(main())) == {"loaded key"}
    assert calls == ["key"]


def test_a_cancelled_coroutine_hands_over(cache: Cache) -> None:
    async def main() -> str:
        begun = asyncio.Event()

        async def hangs(_: str) -> str:
            begun.set()
            await asyncio.Event().wait()
            return "never"

        first = asyncio.create_task(cache.aget_or_load("key", hangs))
        await begun.wait()
        second = asyncio.create_task(cache.aget_or_load("key", Counted()))
        await asyncio.to_thread(until, lambda: waiting(cache) == 1)
        first.cancel()
        found = await second
        with pytest.raises(asyncio.CancelledError):
            await first
        return found

    assert asyncio.run(main()) == "loaded key"


def test_a_coroutine_needs_the_coroutine_methods(cache: Cache) -> None:
    async def load(_: str) -> str:
        return "never"

    with pytest.raises(tiercel.InvalidInputError, match="await aget_or_load"):
        cache.get_or_load("key", load)
    with pytest.raises(tiercel.InvalidInputError, match="await aget_many_or_load"):
        cache.get_many_or_load(["key"], load)


def test_memoized_functions_are_computed_once(cache: Cache, clock: Clock) -> None:
    calls = []

    @cache.memoize(ttl=10, name="add")
    def add(one: int, other: int = 2) -> int:
        calls.append((one, other))
        return one + other

    @cache.memoize(name="twice")
    async def twice(text: str) -> str:
        calls.append(text)
        return text * 2

    assert [add(1), add(1, 2), add(one=1, other=2), add(1.0), add(2)] == [3, 3, 3, 3.0, 4]
    assert calls == [(1, 2), (1.0, 2), (2, 2)]
    clock.pass_seconds(11)
    assert add(1) == 3
    assert len(calls) == 4
    assert asyncio.run(twice("ab")) == asyncio.run(twice(text="ab")) == "abab"
    assert calls[4:] == ["ab"]
    assert cache.delete(add.cache_key(1))  # pyright: ignore[reportFunctionMemberAccess]
    with pytest.raises(tiercel.InvalidInputError, match="one"):
        add(object())  # pyright: ignore[reportArgumentType]


def test_memoized_functions_never_share_results(cache: Cache) -> None:
    def adds(more: int) -> Callable[[int], int]:
        return cache.memoize(name=f"add {more}")(lambda number: number + more)

    def plain(number: int) -> int:
        return number

    @functools.wraps(plain)
    def doubled(number: int) -> int:
        return 2 * plain(number)

    assert [adds(1)(10), adds(100)(10)] == [11, 110]
    assert cache.memoize()(plain)(5) == 5
    for function, message in (
        (doubled, "name: .* wraps"),
        (lambda: 1, "name: .* lambda"),
        (len, "function: .* made by def"),
    ):
        with pytest.raises(tiercel.InvalidInputError, match=message):
            cache.memoize()(function)
    assert cache.memoize(name="doubled")(doubled)(5) == 10
    with pytest.raises(tiercel.InvalidInputError, match="name: expected a str, got int"):
        cache.memoize(name=1)  # pyright: ignore[reportArgumentType]


def follow(cache: Cache, session: list[str], load: Counted) -> None:
    """Request keys until each predicts the next one, and forget their values."""
    for _ in range(20):
        for key in session:
            cache.get_or_load(key, load)
    # Values loaded ahead between the two are in the cache and in neither list.
    load.asked.clear()
    cache.clear()


@pytest.mark.parametrize("tags", [["all"], lambda key: [f"about {key}", "all"]])
def test_what_is_prefetched_is_kept_on_the_terms_it_was_given(cache: Cache, clock: Clock, tags: Any) -> None:
    load = Counted()
    prefetcher = cache.prefetch(load, ttl=10, tags=tags, idle=0)
    follow(cache, ["menu", "dish", "price", "wine", "bill"], load)
    for end in (lambda: cache.invalidate_tags("about dish", "all"), lambda: clock.pass_seconds(10)):
        cache.get_or_load("menu", load)
        until(lambda: "dish" in cache)
        end()
        assert "dish" not in cache
        cache.get_or_load("menu", load)
    prefetcher.close()


def test_what_is_prefetched_with_bad_tags_is_not_kept(cache: Cache) -> None:
    load = Counted()
    prefetcher = cache.prefetch(load, tags=lambda key: key, idle=0)
    follow(cache, ["menu", "dish", "price", "wine", "bill"], load)
    cache.get_or_load("menu", load)
    until(lambda: prefetcher.stats()["failures"])
    assert load.asked == ["menu"]


@pytest.mark.parametrize(
    ("terms", "message"),
    [({"ttl": 0}, "ttl"), ({"idle_ttl": "1"}, "idle_ttl"), ({"tags": "tag"}, "tags: expected a list")],
)
def test_bad_terms_of_a_prefetch_are_named(cache: Cache, terms: dict[str, Any], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        cache.prefetch(Counted(), **terms)
    cache.prefetch(Counted()).close()


def test_prefetch_loads_what_comes_next_while_nobody_asks(cache: Cache) -> None:
    load = Counted()
    session = ["menu", "dish", "price", "wine", "bill"]
    prefetcher = cache.prefetch(load, idle=0)
    for _ in range(20):
        for key in session:
            cache.get_or_load(key, load)
    assert cache.predict("menu")[0].key == "dish"
    # Values loaded ahead between the two are in the cache and in neither list.
    load.asked.clear()
    cache.clear()
    assert cache.get_or_load("menu", load) == "loaded menu"
    until(lambda: "dish" in cache)
    assert "dish" in load.asked
    until(lambda: prefetcher.stats()["prefetched"] > 0)
    assert cache.get_or_load("dish", lambda _: "not asked") == "loaded dish"
    assert prefetcher.stats()["used"] >= 1
    assert cache.namespace("other").predict() == []


@pytest.mark.parametrize("load", ["get_or_load", "get_many_or_load", "fetch", "memoize"])
def test_a_loader_may_raise_what_a_coroutine_cannot(load: str) -> None:
    def missing(_: Any) -> Any:
        return next(iter(()))

    calls: dict[str, Callable[[Cache], Any]] = {
        "get_or_load": lambda cache: cache.get_or_load("key", missing),
        "get_many_or_load": lambda cache: cache.get_many_or_load(["one", "two"], missing),
        "fetch": lambda cache: cache.fetch("key", missing),
        "memoize": lambda cache: cache.memoize(missing)("key"),
    }
    with Cache([Memory(1 << 20)]) as cache:
        for _ in range(2):
            with pytest.raises(StopIteration):
                calls[load](cache)


def test_those_who_wait_for_a_load_get_what_a_coroutine_cannot_raise() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def missing(_: Any) -> Any:
        begun.set()
        assert may_end.wait(60)
        return next(iter(()))

    with Cache([Memory(1 << 20)]) as cache, ThreadPoolExecutor(2) as pool:
        leader = pool.submit(cache.get_or_load, "key", missing)
        assert begun.wait(60)
        waiting = pool.submit(cache.get_or_load, "key", missing)
        may_end.set()
        for each in (leader, waiting):
            assert isinstance(each.exception(60), StopIteration)


def test_loads_within_loads_leave_room_for_a_hundred() -> None:
    """Python allows a thousand calls within each other, and each load takes seven."""
    with Cache([Memory(1 << 20)]) as cache:

        def load(key: Any) -> int:
            below = int(key) - 1
            return 0 if below < 0 else cache.get_or_load(str(below), load) + 1

        assert cache.get_or_load("100", load) == 100
