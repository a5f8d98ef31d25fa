"""A cache when callers are cancelled, processes fork or crash, and threads or room run out."""

import asyncio
import multiprocessing
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from caching import Clock, Counted, Gate, fails
from remote import Shelf, on_shelf
from support.waiting import until

import tiercel
from tiercel.cache import Cache, Files, Memory, Store
from tiercel.cache.keys import key_name, prefix_of

MIB = 1 << 20


def hold_first_write(cache: Cache) -> tuple[threading.Event, threading.Event]:
    """Pause the next write of a cache before it begins; return events for the pause and its end."""
    stack = cache._shared.stack
    write, begun, may_go = stack.write, threading.Event(), threading.Event()

    def held(*arguments: Any) -> bool:
        stack.write = write
        begun.set()
        assert may_go.wait(30)
        return write(*arguments)

    stack.write = held
    return begun, may_go


@pytest.mark.parametrize(
    ("change", "expected"), [(lambda cache: cache.delete("key"), None), (lambda cache: cache.put("key", "new"), "new")]
)
def test_a_cancelled_load_that_is_being_kept_overwrites_nothing(cache: Cache, change: Any, expected: Any) -> None:
    begun, may_go = hold_first_write(cache)

    async def main() -> None:
        task = asyncio.create_task(cache.aget_or_load("key", lambda _: "old"))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(change, cache)
        may_go.set()
        await asyncio.to_thread(until, lambda: not cache._shared.stack.leases._leases)

    asyncio.run(main())
    assert cache.get("key") == expected


def test_a_cancelled_batch_leaves_no_flight(cache: Cache) -> None:
    find, begun, may_go = cache._shared.lookup.find_many, threading.Event(), threading.Event()

    def held(*arguments: Any) -> Any:
        begun.set()
        assert may_go.wait(30)
        return find(*arguments)

    cache._shared.lookup.find_many = held

    async def main() -> None:
        task = asyncio.create_task(cache.aget_many_or_load(["a", "b"], lambda keys: keys))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        may_go.set()
        await asyncio.to_thread(until, lambda: cache.stats()["load_failures"] == 2)

    asyncio.run(main())
    assert cache.get_or_load("a", Counted(), timeout=0) == "loaded a"


def test_who_reads_writes_nothing_back_to_a_tier_outside() -> None:
    shelf = Shelf()
    one, other = (Cache([Memory(MIB), on_shelf(shelf)]) for _ in range(2))
    one["key"] = "first"
    one.flush()
    assert [other.get("key") for _ in range(3)] == ["first"] * 3
    one["key"] = "second"
    one.flush()
    other.close()
    with Cache([Memory(MIB), on_shelf(shelf)]) as later:
        assert later["key"] == "second"
    one.close()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_a_forked_child_writes_nothing_of_its_parent(tmp_path: Path) -> None:
    store = tmp_path / "shelf"
    store.mkdir()

    class Directory:
        def get(self, name: str) -> bytes | None:
            return (store / name).read_bytes() if (store / name).exists() else None

        def put(self, name: str, content: bytes) -> None:
            (store / name).write_bytes(content)

        def delete(self, name: str) -> None:
            (store / name).unlink(missing_ok=True)

    with Cache([Memory(MIB), on_shelf(Directory())]) as cache:
        cache["key"] = "old"
        cache.flush()
        context = multiprocessing.get_context("fork")
        may_close, closed = context.Event(), context.Event()

        def child() -> None:
            may_close.wait(30)
            cache["child"] = 1
            cache.close()
            closed.set()

        process = context.Process(target=child)
        process.start()
        del cache["key"]
        cache.flush()
        may_close.set()
        assert closed.wait(30)
        process.join()
        assert "key" not in cache
    with Cache([Memory(MIB), on_shelf(Directory())]) as later:
        assert "key" not in later
        assert later["child"] == 1


def test_flush_takes_down_what_no_queue_holds_and_nobody_asked_for(tmp_path: Path) -> None:
    tiers = [Memory(64 * MIB), Store(tmp_path / "store", 64 * MIB)]
    with Cache(tiers, queue_bytes=MIB) as cache:
        cache["large"] = bytes(8 * MIB)
        for number in range(20):
            cache[str(number)] = number
        assert cache.flush()
        assert len(tiers[1]) == 22, "with the record of the namespace"
    with Store(tmp_path / "small", MIB) as small, Cache([Memory(64 * MIB), small]) as cache:
        cache["large"] = bytes(8 * MIB)
        assert not cache.flush()


def test_flush_leaves_loads_alone(cache: Cache, clock: Clock, tmp_path: Path) -> None:
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)], clock=clock) as cache:
        cache.put("key", "old", ttl=1)
        clock.pass_seconds(2)
        gate = Gate()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(cache.get_or_load, "key", gate)
            assert gate.begun.wait(30)
            cache.flush()
            cache.optimize()
            second = pool.submit(cache.get_or_load, "key", gate)
            until(lambda: cache.stats()["waits"] == 1)
            gate.may_end.set()
            assert (first.result(), second.result(), gate.calls) == ("loaded key", "loaded key", 1)
        assert cache["key"] == "loaded key"


def test_uses_of_what_lies_below_count_for_its_idle_time(clock: Clock, tmp_path: Path) -> None:
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)], clock=clock) as cache:
        cache.put("key", "value", idle_ttl=80)
    with Cache([Memory(3000), Store(tmp_path / "store", MIB)], clock=clock) as cache:
        for _ in range(4):
            clock.pass_seconds(70)
            assert cache.get("key") == "value"
            for filler in range(20):
                cache[str(filler)] = bytes(400)
            cache.wait_idle()


def test_a_copy_that_a_crash_left_below_never_comes_up(tmp_path: Path) -> None:
    def opened(room: int = 3000) -> Cache:
        return Cache([Memory(room), Store(tmp_path / "one", 4000), Store(tmp_path / "two", MIB)])

    name, first = key_name(prefix_of(""), "key"), Memory(3000)
    with Cache([first, Store(tmp_path / "one", 4000), Store(tmp_path / "two", MIB)]) as cache:
        cache["key"] = "old" * 100
        old = first[name]
        cache["key"] = "new" * 100
    with Store(tmp_path / "two", MIB) as second:
        second[name] = old  # the deletion in this tier was not synced
    with opened() as cache:
        for filler in range(200):
            cache[str(filler)] = bytes(400)
            assert cache.get(str(filler)) is not None
        cache.wait_idle()
        assert cache.get("key") in {None, "new" * 100}


def test_a_large_value_does_not_overwrite_a_later_one(tmp_path: Path) -> None:
    with Cache([Memory(4000), Store(tmp_path / "store", MIB)]) as cache:
        stack = cache._shared.stack
        begun = threading.Event()
        with ThreadPoolExecutor(1) as pool, stack._working:
            put_first = stack._write_first

            def seen(*arguments: Any, **more: Any) -> Any:
                kept = put_first(*arguments, **more)
                begun.set()
                return kept

            stack._write_first = seen
            large = pool.submit(cache.put, "key", bytes(10_000))
            assert begun.wait(30)
            stack._write_first = put_first
            with stack.tiers[0].lock:
                pass
            later = threading.Thread(target=cache.put, args=("key", "later"))
            later.start()
            until(lambda: cache.get("key") == "later")
            stack._working.release()
            large.result()
            later.join()
            stack._working.acquire()
        assert cache["key"] == "later"
        stack.tiers[0].backend.clear()
        assert cache.get("key") in {None, "later"}


def test_what_stands_in_is_judged_when_it_is_given(clock: Clock) -> None:
    with Cache([Memory(MIB)], ttl=10, fail_safe=20, clock=clock) as cache:

        def takes_long(key: Any) -> Any:
            clock.pass_seconds(3600)
            return fails(key)

        def deletes(key: Any) -> Any:
            cache.delete(key)
            return fails(key)

        def invalidates(key: Any) -> Any:
            cache.invalidate()
            return fails(key)

        for loader in (takes_long, deletes, invalidates):
            cache["key"] = "old"
            clock.pass_seconds(15)
            with pytest.raises(OSError, match="no key"):
                cache.get_or_load("key", loader)


def test_who_wants_tags_joins_nobody_without_them(cache: Cache) -> None:
    gate = Gate(lambda _: "untagged")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.get_or_load, "key", gate)
        assert gate.begun.wait(30)
        assert cache.get_or_load("key", lambda _: "tagged", tags=["doc"]) == "tagged"
        gate.may_end.set()
        assert first.result() == "untagged"
    cache.invalidate_tags("doc")
    assert cache.get("key") is None


def test_a_cache_without_threads_goes_on(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Cache([Memory(2000), Store(tmp_path / "store", MIB)], ttl=10, stale=100, clock=clock) as cache:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            for number in range(50):
                cache[str(number)] = bytes(200)
            clock.pass_seconds(20)
            answer = cache.fetch("49", Counted())
            assert (answer.value, answer.stale) == (bytes(200), True)
        for number in range(50, 60):
            cache[str(number)] = bytes(200)
        until(lambda: cache.stats()["tiers"][1]["waiting"] == 0)
        assert cache.fetch("49", Counted()).stale
        until(lambda: cache.get("49") == "loaded 49")


def test_a_loaders_own_timeout_is_the_loaders(cache: Cache) -> None:
    def times_out(_: Any) -> Any:
        raise TimeoutError("database")

    gate = Gate(times_out)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get_or_load, "key", gate)
        assert gate.begun.wait(30)
        second = pool.submit(cache.get_or_load, "key", times_out)
        until(lambda: cache.stats()["waits"] == 1)
        gate.may_end.set()
        for each in (first, second):
            with pytest.raises(TimeoutError, match="database"):
                each.result()
    assert cache.stats()["deadlines"] == 0


def test_a_task_that_a_loader_began_may_load_its_key_later(cache: Cache) -> None:
    async def main() -> str:
        later = asyncio.Event()
        tasks: list[asyncio.Task[str]] = []

        async def reload() -> str:
            await later.wait()
            cache.delete("key")
            return await cache.aget_or_load("key", lambda _: "again")

        async def load(_: str) -> str:
            tasks.append(asyncio.create_task(reload()))
            return "first"

        assert await cache.aget_or_load("key", load) == "first"
        later.set()
        return await tasks[0]

    assert asyncio.run(main()) == "again"


def test_stale_keys_of_a_batch_are_loaded_anew_in_one_call(clock: Clock) -> None:
    with Cache([Memory(MIB)], ttl=10, stale=100, clock=clock) as cache:
        keys = [str(number) for number in range(100)]
        for loader in (Counted(lambda keys: [f"new {key}" for key in keys]), None):
            for key in keys:
                cache[key] = "old"
            clock.pass_seconds(15)
            if loader is not None:
                assert cache.get_many_or_load(keys, loader) == ["old"] * 100
                until(lambda: cache.get("99") == "new 99")
                assert [len(asked) for asked in loader.asked] == [100]
                continue

            async def load(keys: list[str]) -> list[str]:
                return [f"newer {key}" for key in keys]

            async def main() -> None:
                assert await cache.aget_many_or_load(keys, load) == ["old"] * 100
                await asyncio.to_thread(until, lambda: cache.get("99") == "newer 99")

            asyncio.run(main())


def test_a_batch_waits_once_for_all(cache: Cache) -> None:
    gates = [Gate() for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        loading = [pool.submit(cache.get_or_load, str(at), gate) for at, gate in enumerate(gates)]
        assert all(gate.begun.wait(30) for gate in gates)
        with pytest.raises(tiercel.DeadlineExceededError):
            cache.get_many_or_load([str(at) for at in range(5)], Counted(), timeout=0.01)
        for gate in gates:
            gate.may_end.set()
        for each in loading:
            each.result()
    assert cache.stats()["deadlines"] == 1


def test_closing_closes_every_tier_whatever_one_of_them_does(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one", MIB), Store(tmp_path / "two", MIB)
    cache = Cache([Memory(MIB), one, other])
    cache["key"] = 1
    one.close()
    with pytest.raises(tiercel.ClosedError):
        cache.close()
    assert other.closed
    cache.close()


def test_threads_may_close_a_cache_together(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for turn in range(25):
            cache = Cache([Memory(MIB), Store(tmp_path / str(turn), MIB)])
            for number in range(200):
                cache[str(number)] = "x" * 500
            together = threading.Barrier(4)

            def close(cache: Cache = cache, together: threading.Barrier = together) -> None:
                together.wait(30)
                cache.close()

            for closing in [pool.submit(close) for _ in range(4)]:
                closing.result()
            with Store(tmp_path / str(turn), MIB) as store:
                assert len(store) == 201, "the values and the record of their namespace"


def test_optimize_fills_room_that_is_free(tmp_path: Path) -> None:
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        for number in range(10):
            cache[str(number)] = number
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        for number in range(10):
            for _ in range(3):
                cache._shared.stack.sketch.add(cache._name(str(number)))
        moved = cache.optimize()
        assert (moved.promoted, moved.demoted) == (10, 0)
        assert cache.fetch("5", Counted()).tier == "Memory"


def test_every_kind_of_tier_together_survives_a_restart(tmp_path: Path) -> None:
    shelf = Shelf()

    def opened() -> Cache:
        near = [Memory(4000), Store(tmp_path / "store", 20_000), Files(tmp_path / "files", 60_000)]
        return Cache([*near, on_shelf(shelf)])

    values: dict[str, bytes] = {str(number): number.to_bytes(2, "little") * 100 for number in range(200)}
    values |= {"": b"", "x" * 65_536: b"a long key", "large": random.Random(5).randbytes(500_000)}
    with opened() as cache:
        for key, value in values.items():
            assert cache.put(key, value)
        cache.wait_idle()
        assert cache["large"] == values["large"]
    with opened() as cache:
        found = {key: cache.get(key) for key in values}
        assert all(found[key] in {None, value} for key, value in values.items())
        assert found["large"] == values["large"], "only the outside tier has room for it"
        assert sum(value is not None for value in found.values()) > 100
        assert cache.invalidate()
    with opened() as cache:
        assert cache.get_many(list(values)) == [None] * len(values)


@pytest.mark.parametrize("options", [{"stale": 100.0}, {"fail_safe": 100.0}])
def test_pop_deletes_what_get_does_not_return(options: dict[str, float]) -> None:
    clock = Clock()
    with Cache([Memory(MIB)], ttl=1, clock=clock, **options) as cache:
        cache["key"] = "old"
        clock.pass_seconds(2)
        assert cache.pop("key", None) is None
        with pytest.raises(ZeroDivisionError):
            cache.get_or_load("key", lambda _: 1 / 0)


def test_pop_during_a_load_keeps_its_value_out() -> None:
    with Cache([Memory(MIB)]) as cache:

        def load(_: object) -> str:
            assert cache.pop("key", None) is None
            return "of before"

        assert cache.get_or_load("key", load) == "of before"
        assert cache.get("key") is None


def test_setdefault_puts_one_default() -> None:
    with Cache([Memory(MIB)]) as cache, ThreadPoolExecutor(8) as pool:
        for number in range(50):
            key, start = str(number), threading.Barrier(8)

            def ask(own: int, key: str = key, start: threading.Barrier = start) -> int:
                start.wait(30)
                return cache.setdefault(key, own)

            assert set(pool.map(ask, range(8))) == {cache[key]}
