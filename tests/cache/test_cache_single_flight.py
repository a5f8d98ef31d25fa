"""Waiting callers: none waits forever, for a pool that waits for it, or for a closed event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from caching import Clock, Counted, Gate
from support.waiting import until

import tiercel
from tiercel.cache import Cache, Memory

MIB = 1 << 20


def never(_: Any) -> Any:
    raise AssertionError("another one loads it")


def test_coroutines_need_no_thread_of_their_event_loop() -> None:
    with Cache([Memory(MIB)]) as cache, ThreadPoolExecutor(2) as full, ThreadPoolExecutor(1) as spare:

        async def main() -> list[Any]:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(full)
            begun, may_end = asyncio.Event(), asyncio.Event()

            async def load(key: str) -> str:
                begun.set()
                await may_end.wait()
                # All of its threads wait for this key.
                assert await cache.aput("other", 1)
                assert await cache.aget("other") == 1
                assert await cache.aget_many(["other", "none"]) == [1, None]
                assert await cache.aget_many_or_load(["other", "third"], lambda keys: [3]) == [1, 3]
                assert await cache.adelete("other")
                return f"loaded {key}"

            leads = asyncio.create_task(cache.aget_or_load("key", load))
            await begun.wait()
            waiting = [asyncio.to_thread(cache.get_or_load, "key", never) for _ in range(2)]
            followed = asyncio.gather(leads, *waiting)
            await loop.run_in_executor(spare, until, lambda: cache.stats()["waits"] == 2)
            may_end.set()
            return await followed

        assert asyncio.run(main()) == ["loaded key"] * 3


class Hanging:
    """A loader that never returns, and signals its start."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    async def __call__(self, _: Any) -> Any:
        self.begun.set()
        await asyncio.Event().wait()


def left_in(loop: asyncio.AbstractEventLoop, call: Callable[[Any], Any]) -> object:
    """Begin a load on an event loop, and abandon it."""
    hanging = Hanging()

    async def main() -> Any:
        task = asyncio.ensure_future(call(hanging))
        await asyncio.to_thread(hanging.begun.wait, 30)
        return task

    return loop.run_until_complete(main())


@pytest.mark.parametrize("many", [False, True])
def test_a_flight_ends_with_its_event_loop(many: bool) -> None:
    with Cache([Memory(MIB)]) as cache, ThreadPoolExecutor(1) as pool:
        loop = asyncio.new_event_loop()
        load = (
            (lambda hang: cache.aget_many_or_load(["key"], hang))
            if many
            else (lambda hang: cache.aget_or_load("key", hang))
        )
        task = left_in(loop, load)
        waits = pool.submit(cache.get_or_load, "key", Counted(), timeout=1e6)
        until(lambda: cache.stats()["waits"] == 1)
        assert not waits.done()
        loop.close()
        assert waits.result(30) == "loaded key", "who waited goes on"
        assert task is not None
        # Later callers wait for nobody.
        other = asyncio.new_event_loop()
        another = left_in(other, lambda hang: cache.aget_or_load("other", hang))
        other.close()
        assert cache.get_or_load("other", Counted(), timeout=0) == "loaded other"
        assert asyncio.run(cache.aget_or_load("other", never)) == "loaded other"
        assert another is not None


@pytest.mark.parametrize("many", [False, True])
def test_a_stale_value_is_loaded_anew_though_an_event_loop_took_its_turn_along(many: bool) -> None:
    clock = Clock()
    # Stale for longer than all that `until` lets pass: the value is never loaded in the foreground.
    with Cache([Memory(MIB)], ttl=10, stale=1e7, clock=clock) as cache:
        cache["key"] = "old"
        clock.pass_seconds(15)
        loop = asyncio.new_event_loop()
        load = (
            (lambda hang: cache.aget_many_or_load(["key"], hang))
            if many
            else (lambda hang: cache.aget_or_load("key", hang))
        )
        task = left_in(loop, load)
        assert cache.fetch("key", never).stale
        loop.close()
        load_anew = Counted()

        def is_loaded() -> bool:
            # The refresh by `never` may come only now: it fails, which begins a pause of a second.
            clock.pass_seconds(1)
            return cache.fetch("key", load_anew).value == "loaded key"

        assert cache.fetch("key", load_anew).stale
        until(is_loaded)
        assert task is not None


def test_a_stale_value_is_loaded_anew_though_a_loader_never_returns() -> None:
    clock, gate = Clock(), Gate()
    with Cache([Memory(MIB)], ttl=10, stale=1000, clock=clock, timeout=0) as cache:
        cache["key"] = "old"
        clock.pass_seconds(15)
        assert cache.fetch("key", gate).stale
        assert gate.begun.wait(30)
        assert cache.fetch("key", Counted()).stale
        until(lambda: cache.get("key") == "loaded key")
        gate.may_end.set()


def test_stale_keys_share_a_few_threads() -> None:
    clock = Clock()
    with Cache([Memory(MIB)], ttl=10, stale=1000, clock=clock) as cache:
        keys = [str(number) for number in range(500)]
        for key in keys:
            cache[key] = "old"
        clock.pass_seconds(15)
        threads, asked, may_end = set[int](), list[str](), threading.Event()

        def load(key: str) -> str:
            threads.add(threading.get_ident())
            asked.append(key)
            assert may_end.wait(30)
            return f"new {key}"

        for _ in range(3):
            assert all(cache.fetch(key, load).stale for key in keys)
        may_end.set()
        until(lambda: all(cache.get(key) == f"new {key}" for key in keys))
        assert len(threads) <= 8
        assert sorted(asked) == sorted(keys), "each once"


def test_stale_keys_of_an_event_loop_are_loaded_a_few_at_a_time() -> None:
    clock = Clock()
    with Cache([Memory(MIB)], ttl=10, stale=1000, clock=clock) as cache:
        keys = [str(number) for number in range(100)]
        for key in keys:
            cache[key] = "old"
        clock.pass_seconds(15)
        busy, most = 0, 0

        async def load(key: str) -> str:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1
            return f"new {key}"

        async def main() -> None:
            found = await asyncio.gather(*(cache.afetch(key, load) for key in keys))
            assert all(answer.stale for answer in found)
            await asyncio.to_thread(until, lambda: all(cache.get(key) == f"new {key}" for key in keys))

        asyncio.run(main())
        assert most <= 8


def test_who_needs_a_key_waits_for_no_renewal_that_stands_in_line() -> None:
    clock, may_end, keys = Clock(), threading.Event(), [str(number) for number in range(9)]
    hanging = Counted(lambda _: may_end.wait(30))
    with Cache([Memory(MIB)], ttl=10, stale=10, clock=clock) as cache:
        for key in keys:
            cache[key] = "old"
        clock.pass_seconds(15)
        for key in keys:
            assert cache.fetch(key, hanging).stale
        until(lambda: len(hanging.asked) == 8)
        clock.pass_seconds(10)
        # All but one are being loaded.
        (left,) = set(keys) - set(hanging.asked)
        assert cache.get_or_load(left, Counted(), timeout=0) == f"loaded {left}"
        may_end.set()


CIRCLE = {"a": "b", "b": "c", "c": "a"}


@pytest.mark.parametrize("caches", [1, 3])
def test_a_circle_of_loads_is_told_at_once(caches: int) -> None:
    made = [Cache([Memory(MIB)]) for _ in range(caches)]
    all_begun = threading.Barrier(3)
    begun = set[str]()

    def get(key: str) -> Any:
        return made["abc".index(key) % caches].get_or_load(key, load, timeout=1e6)

    def load(key: str) -> Any:
        if key not in begun:
            begun.add(key)
            all_begun.wait(30)
        return get(CIRCLE[key])

    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(get, key) for key in CIRCLE]
        errors = [str(each.exception(30)) for each in loads]
    assert all(isinstance(each.exception(), tiercel.RecursiveLoadError) for each in loads)
    assert all("loader: asked the cache for" in error or " -> " in error for error in errors)
    circles = {
        f"got the circle {way}"
        for way in ("'a' -> 'b' -> 'c' -> 'a'", "'b' -> 'c' -> 'a' -> 'b'", "'c' -> 'a' -> 'b' -> 'c'")
    }
    assert any(error.endswith(tuple(circles)) for error in errors)
    assert made[0].get_or_load("a", lambda _: made[-1].get_or_load("c", lambda _: 1) + 1) == 2
    for cache in made:
        cache.close()


def test_a_circle_of_coroutines_is_told_at_once() -> None:
    with Cache([Memory(MIB)]) as cache:

        async def main() -> list[Any]:
            both = asyncio.Barrier(2)

            async def load(key: str) -> Any:
                async with asyncio.timeout(30):
                    await both.wait()
                return await cache.aget_or_load("b" if key == "a" else "a", never, timeout=1e6)

            loads = (cache.aget_or_load(key, load, timeout=1e6) for key in "ab")
            return await asyncio.gather(*loads, return_exceptions=True)

        errors = asyncio.run(main())
    assert [type(error) for error in errors].count(tiercel.RecursiveLoadError) >= 1
    assert all(isinstance(error, tiercel.RecursiveLoadError | AssertionError) for error in errors)


def test_keys_that_need_each_others_keys_without_a_circle_wait_and_load() -> None:
    with Cache([Memory(MIB)]) as cache, ThreadPoolExecutor(2) as pool:
        begun, may_end = threading.Event(), threading.Event()

        def slow(_: str) -> int:
            begun.set()
            assert may_end.wait(30)
            return 1

        one = pool.submit(cache.get_or_load, "one", slow)
        assert begun.wait(30)
        other = pool.submit(cache.get_or_load, "other", lambda _: cache.get_or_load("one", never) + 1)
        until(lambda: cache.stats()["waits"] == 1)
        may_end.set()
        assert (one.result(), other.result()) == (1, 2)
