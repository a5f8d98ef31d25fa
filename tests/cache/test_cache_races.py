"""Concurrent threads on a cache with small tiers: no call returns what was changed before it."""

import random
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.waiting import LONG, until

from tiercel.cache import Cache, Memory, Store

KEYS = 24
WRITES = 4000


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Source:
    """Growing values of each key, with one writer per key, and which are known to be written."""

    def __init__(self) -> None:
        self.sure = [0] * KEYS
        """Lower values may no longer be seen."""


def write(cache: Cache, source: Source, mine: range, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(1, WRITES):
        key = chance.choice(mine)
        value = number.to_bytes(8, "little") + bytes(chance.choice([10, 300, 900]))
        doing = chance.random()
        if doing < 0.6:
            cache.put(str(key), value, tags=["all"] if doing < 0.2 else [])
            source.sure[key] = number
        elif doing < 0.8:
            cache.delete(str(key))
            source.sure[key] = number
        else:
            cache.get_or_load(str(key), lambda _, value=value: value)
            # A loader may get an earlier value.


def read(cache: Cache, source: Source, done: threading.Event, wrong: list[str], seed: int) -> None:
    chance = random.Random(seed)
    while not done.is_set():
        key = chance.randrange(KEYS)
        sure = source.sure[key]
        found = cache.get(str(key)) if chance.random() < 0.9 else cache.get_many([str(key)])[0]
        if found is not None and int.from_bytes(found[:8], "little") < sure:
            wrong.append(f"key {key}: {int.from_bytes(found[:8], 'little')} after {sure}")


def test_threads_never_see_what_is_outdated(tmp_path: Path) -> None:
    source, wrong, done = Source(), list[str](), threading.Event()
    tiers = [Memory(3000), Store(tmp_path / "one", 4000), Store(tmp_path / "two", 1 << 20)]
    with Cache(tiers, queue_bytes=3000) as cache:
        shares = [range(start, KEYS, 3) for start in range(3)]
        writers = [threading.Thread(target=write, args=(cache, source, mine, seed)) for seed, mine in enumerate(shares)]
        readers = [threading.Thread(target=read, args=(cache, source, done, wrong, seed)) for seed in range(2)]
        sweeping = threading.Thread(target=lambda: [cache.optimize() for _ in range(20)])
        for thread in (*writers, *readers, sweeping):
            thread.start()
        for thread in (*writers, sweeping):
            thread.join()
        done.set()
        for thread in readers:
            thread.join()
        cache.wait_idle()
        for key in range(KEYS):
            found = cache.get(str(key))
            assert found is None or int.from_bytes(found[:8], "little") >= source.sure[key]
        moved = cache.stats()["tiers"]
        assert moved[1]["demoted"] > 0
        assert moved[1]["promoted"] > 0
        assert moved[2]["demoted"] > 0
    assert wrong == []


class Pause:
    """A point where a thread waits until it is released."""

    def __init__(self) -> None:
        self._begun, self._goes_on = threading.Semaphore(0), threading.Semaphore(0)
        self.is_on = False

    def here(self) -> None:
        if self.is_on:
            self.is_on = False
            self._begun.release()
            assert self._goes_on.acquire(timeout=LONG)

    def wait_for(self) -> None:
        assert self._begun.acquire(timeout=LONG)

    def end(self) -> None:
        self._goes_on.release()


class Leaving(Store):
    """Evict the key on each put, and pause before returning it."""

    pause: Pause

    def put_evicting(self, key: Any, value: Any, /) -> Any:
        kept, evicted = super().put_evicting(key, value)
        if self.pause.is_on:
            left = [(name, self[name]) for name in self if bytes(name).endswith(b"key")]
            for name, _ in left:
                del self[name]
            self.pause.here()
            evicted += left
        return kept, evicted


class Asked(Store):
    """Pause when asked whether it has a key."""

    pause: Pause

    def __contains__(self, key: object, /) -> bool:
        self.pause.here()
        return super().__contains__(key)


@pytest.mark.parametrize(
    "write", [lambda cache: cache.put("key", "new"), lambda cache: cache.delete("key")], ids=["put", "delete"]
)
def test_what_leaves_a_tier_while_it_is_replaced_does_not_come_down(
    write: Callable[[Cache], object], tmp_path: Path
) -> None:
    """The second tier evicts the old value just as the writer asks the third tier for the key."""
    memory, one, two = Memory(1 << 20), Leaving(tmp_path / "one", 1 << 20), Asked(tmp_path / "two", 1 << 20)
    one.pause, two.pause = Pause(), Pause()
    with Cache([memory, one, two]) as cache:
        cache.put("key", "old")
        cache.wait_idle()
        one.pause.is_on = True
        cache.put("other", "value")
        one.pause.wait_for()
        two.pause.is_on = True
        writing = threading.Thread(target=write, args=(cache,))
        writing.start()
        two.pause.wait_for()
        one.pause.end()
        # The mover has begun to pass it on, and waits for the lock of the third tier's queue.
        until(cache._shared.stack.tiers[1].lock.locked)
        two.pause.end()
        writing.join()
        cache.wait_idle()
        # A tier may forget any value at any time.
        memory.clear()
        one.clear()
        assert cache.get("key") in (None, "new")


def test_an_invalidation_holds_for_all_threads_at_once(tmp_path: Path) -> None:
    wrong, done = list[str](), threading.Event()
    sure = [0]
    with Cache([Memory(2000), Store(tmp_path / "one", 1 << 20)]) as cache:

        def invalidate() -> None:
            for number in range(1, 200):
                for key in range(8):
                    cache.put(str(key), number, tags=["tag"])
                if number % 2:
                    cache.invalidate()
                else:
                    cache.invalidate_tags("tag")
                sure[0] = number
            done.set()

        def look() -> None:
            while not done.is_set():
                least = sure[0]
                found = [cache.get(str(key)) for key in range(8)]
                if any(value is not None and value <= least for value in found):
                    wrong.append(f"{found} after {least}")

        threads = [threading.Thread(target=invalidate), *(threading.Thread(target=look) for _ in range(2))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
