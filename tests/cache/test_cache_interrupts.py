"""An exception at any place of a call leaves a key old, new or absent, and blocks nothing."""

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from caching import Clock, Counted
from interrupting import Interrupter, Interruption
from remote import Shelf, on_shelf
from support.waiting import until

import tiercel
from tiercel import gate
from tiercel.cache import Cache, Memory, Store, pool
from tiercel.embed import HashingEmbedder

KEYS = ["one", "none", "stale", "below"]
LARGE = 4000


def wait_for_jobs(of: pool.Pool) -> None:
    """Wait for all jobs in a pool, whoever started them: until its threads meet at a barrier."""
    all_here = threading.Barrier(of._most + 1)
    for _ in range(of._most):
        of.submit(all_here.wait)
    all_here.wait(30)


def assert_nothing_is_held(cache: Cache, raised: object) -> None:
    shared = cache._shared
    stack, single_flight, namespace = shared.stack, shared.single_flight, cache._namespace
    wait_for_jobs(pool._POOL)
    wait_for_jobs(shared.refresher._pool)
    # Reloads end by themselves.
    until(lambda: not single_flight._flights and not stack.leases._leases)
    # On another thread, which cannot take locks that this one holds.
    settling = threading.Thread(target=cache.wait_idle)
    settling.start()
    settling.join(30)
    assert not settling.is_alive()
    assert stack.leases._writers == {}, raised
    assert [(tier._moving, dict(tier.queue)) for tier in stack.tiers] == [(set(), {})] * len(stack.tiers)
    locks = [stack.leases._lock, stack._mover._lock, single_flight._lock, shared._lock, shared.counters._lock]
    locks += [namespace._lock, namespace._keeping, *(tier.lock for tier in stack.tiers)]
    assert not any(lock.locked() for lock in [*locks, *(tier._counting for tier in stack.tiers)])


CALLS: dict[str, Callable[[Cache], Any]] = {
    "put": lambda cache: cache.put("one", ["new"]),
    "put a large one": lambda cache: cache.put("one", ["new", bytes(LARGE)]),
    "delete": lambda cache: cache.delete("one"),
    "get": lambda cache: cache.get("below"),
    "get many": lambda cache: cache.get_many(["below", "one"]),
    "load": lambda cache: cache.get_or_load("none", lambda _: ["new"]),
    "load what is stale": lambda cache: cache.get_or_load("stale", lambda _: ["new"]),
    "load many": lambda cache: cache.get_many_or_load(["none", "stale"], lambda keys: [["new"]] * len(keys)),
    "aload": lambda cache: run(cache.aget_or_load("none", aload)),
    "aload what is stale": lambda cache: run(cache.aget_or_load("stale", aload)),
    "aload many": lambda cache: run(cache.aget_many_or_load(["none", "stale"], aload)),
    "aput": lambda cache: run(cache.aput("one", ["new"])),
    "adelete": lambda cache: run(cache.adelete("one")),
}


async def aload(keys: Any) -> Any:
    await asyncio.sleep(0)
    return ["new"] if isinstance(keys, str) else [["new"]] * len(keys)


def run(work: Any) -> Any:
    """Like `asyncio.run`, which would install its own signal handler."""
    loop = asyncio.new_event_loop()
    # An exception in a task that nobody awaits ends the loop, and needs no report.
    loop.set_exception_handler(lambda loop, context: None)
    try:
        return loop.run_until_complete(work)
    finally:
        sys.setprofile(None)
        sys.settrace(None)
        # A loop that was interrupted while stopping stops again at once.
        with suppress(RuntimeError):
            loop.run_until_complete(cancel_all())
        loop.run_until_complete(cancel_all())
        loop.close()


async def cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Python ignores exceptions raised while it closes a generator, or a coroutine that never began.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("name", CALLS)
def test_an_exception_at_any_place_leaves_the_cache_whole(
    name: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    # Most places of the long calls also occur in the short ones.
    is_long = "many" in name or name.startswith("a")
    clock, interrupter = Clock(), Interrupter(step=4 if is_long and not pytestconfig.getoption("long") else 1)
    with Cache([Memory(2500), Store(tmp_path, 1 << 20)], clock=clock, stale=1000) as cache:
        while not interrupter.is_done:
            cache.put("below", ["old", bytes(LARGE)])
            cache.put("stale", ["old"], ttl=1)
            cache.put("one", ["old"])
            cache.delete("none")
            clock.pass_seconds(2)
            cache.wait_idle()
            raised: BaseException | None = None
            try:
                interrupter.call(lambda: CALLS[name](cache))
            except Interruption as error:
                # Keep it, with all the frames that it came through.
                raised = error
            assert_nothing_is_held(cache, str(raised))
            assert all(value is None or value[0] in {"old", "new"} for value in cache.get_many(KEYS)), str(raised)
            # Each key can be loaded, and is then cached.
            for key in KEYS:
                cache.delete(key)
                load = Counted(lambda _: ["loaded"])
                assert [cache.get_or_load(key, load, timeout=0) for _ in range(2)] == [["loaded"]] * 2, str(raised)
                assert load.asked == [key], f"{raised}: nothing is kept for {key!r}"
        assert interrupter.place > 15


def test_an_exception_at_any_place_leaves_an_embedding_cache_whole() -> None:
    interrupter = Interrupter()
    cache = tiercel.EmbeddingCache(HashingEmbedder(dim=8), Memory(1 << 20))
    while not interrupter.is_done:
        texts = [f"text {interrupter.place}", "another"]
        with suppress(Interruption):
            interrupter.call(lambda texts=texts: cache.embed_documents(texts))
        assert cache._flights._flights == {}
        assert not cache._flights._lock.locked()
        assert not cache._lock.locked()
        assert cache.embed_documents(texts).shape == (2, 8)
    assert interrupter.place > 30


def test_an_exception_at_any_place_leaves_a_tier_outside_whole() -> None:
    interrupter, shelf = Interrupter(), Shelf()
    with Cache([Memory(1 << 20), on_shelf(shelf)]) as cache:
        guard = cast("Any", cache._shared.stack.tiers[1].backend)._guard
        while not interrupter.is_done:
            key = f"key {interrupter.place}"
            with suppress(Interruption):
                interrupter.call(lambda key=key: cache.get(key))
            until(lambda: not guard._running)
            assert not guard._lock.locked()
            assert cache.get_or_load(key, Counted(), timeout=0) == f"loaded {key}"
            assert cache[key] == f"loaded {key}"
        assert interrupter.place > 50
        assert guard.breaker == "closed"


def test_an_exception_at_any_place_leaves_a_pool_whole() -> None:
    interrupter = Interrupter()
    while not interrupter.is_done:
        threads, done = pool.Pool(1, "test"), threading.Event()
        with suppress(Interruption):
            interrupter.call(lambda threads=threads: threads.submit(int))
        threads.submit(done.set)
        assert done.wait(30)
    assert interrupter.place > 3


def test_ctrl_c_that_wakes_no_wait_ends_it() -> None:
    """Ctrl-C just before a wait begins does not wake it, nor does Ctrl-C on another thread."""
    cache, main = Cache([Memory(1 << 20)]), threading.get_ident()
    loads, raised, in_time = threading.Event(), threading.Event(), list[bool]()

    def load(_: str) -> str:
        loads.set()
        in_time.append(raised.wait(15))
        return "loaded"

    def interrupt() -> None:
        until(lambda: sys._current_frames()[main].f_code.co_filename == gate.__file__)
        signal.raise_signal(signal.SIGINT)

    loading = threading.Thread(target=cache.get_or_load, args=("key", load))
    loading.start()
    assert loads.wait(30)
    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        cache.get_or_load("key", load)
    raised.set()
    loading.join()
    interrupting.join()
    assert in_time == [True]
    assert cache.get("key") == "loaded"
