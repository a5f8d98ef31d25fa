"""Cache tiers, one call at a time: repeated reads of existing keys, and puts of new ones."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engines import is_installed
from pytest_benchmark.fixture import BenchmarkFixture

ROOM = 64 << 20
ENTRIES = 10_000
THREADS = 8
PASSES = 5

Get = Callable[[str], Any]
Put = Callable[[str, bytes], Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """An open cache and its calls."""

    get: Get
    put: Put
    close: Callable[[], Any] = lambda: None


def memory(_: Path) -> Opened:
    from tiercel.cache import Memory

    tier = Memory(ROOM)
    return Opened(tier.get, tier.put)


def over_tiers(_: Path) -> Opened:
    from tiercel.cache import Cache, Memory

    cache = Cache([Memory(ROOM)])
    return Opened(cache.get, cache.put, cache.close)


def plain_dict(_: Path) -> Opened:
    there: dict[str, bytes] = {}
    return Opened(there.get, there.__setitem__)


def cachetools(_: Path) -> Opened:
    from cachetools import LRUCache

    cache: Any = LRUCache(maxsize=ENTRIES)
    return Opened(cache.get, cache.__setitem__)


def theine(_: Path) -> Opened:
    from theine import Cache

    cache: Any = Cache(ENTRIES)
    return Opened(cache.get, cache.set)


def store(path: Path) -> Opened:
    from tiercel.cache import Store

    tier = Store(path, 1 << 30)
    return Opened(tier.get, tier.put, tier.close)


def diskcache(path: Path) -> Opened:
    from diskcache import Cache

    cache: Any = Cache(str(path))
    return Opened(cache.get, cache.set, cache.close)


# The module that each cache needs, and the function that opens the cache.
CACHES: dict[str, dict[str, tuple[str, Callable[[Path], Opened]]]] = {
    "memory": {
        "tiercel": ("tiercel", memory),
        "tiercel-cache": ("tiercel", over_tiers),
        "cachetools": ("cachetools", cachetools),
        "theine": ("theine", theine),
        "dict": ("builtins", plain_dict),
    },
    "store": {"tiercel": ("tiercel", store), "diskcache": ("diskcache", diskcache)},
}
BYTES = {"memory": 1024, "store": 1500}
NAMES = [(kind, name) for kind, caches in CACHES.items() for name in caches]


@pytest.fixture
def opened(kind: str, name: str, tmp_path: Path) -> Iterator[Opened]:
    module, make = CACHES[kind][name]
    if not is_installed(module):
        pytest.skip(f"{module} is not installed")
    cache = make(tmp_path)
    yield cache
    cache.close()


def read(get: Get, keys: list[str]) -> None:
    for key in keys:
        get(key)


def filled(opened: Opened, kind: str) -> list[str]:
    """Put half as many keys as fit, and return them."""
    keys = [f"key {number}" for number in range(ENTRIES // 2)]
    for key in keys:
        opened.put(key, bytes(BYTES[kind]))
    return keys


def note(benchmark: BenchmarkFixture, kind: str, name: str, what: str, calls: int) -> None:
    nanoseconds = benchmark.stats.stats.min / calls * 1e9
    benchmark.extra_info.update(engine=name, what=f"{kind}, {what}", ns=nanoseconds)


@pytest.mark.benchmark(group="cache")
@pytest.mark.parametrize(("kind", "name"), NAMES)
def bench_get(benchmark: BenchmarkFixture, opened: Opened, kind: str, name: str) -> None:
    """Read existing keys in a repeating order."""
    keys = filled(opened, kind)
    benchmark.pedantic(read, (opened.get, keys), rounds=PASSES, iterations=4, warmup_rounds=1)
    note(benchmark, kind, name, "get", len(keys))


@pytest.mark.benchmark(group="cache")
@pytest.mark.parametrize(("kind", "name"), NAMES)
def bench_put(benchmark: BenchmarkFixture, opened: Opened, kind: str, name: str) -> None:
    """Put keys that are new or were put one pass ago; includes the time of background writes."""
    keys = [f"key {number}" for number in range(ENTRIES // 2)]
    value = bytes(BYTES[kind])

    def write(put: Put = opened.put) -> None:
        for key in keys:
            put(key, value)

    benchmark.pedantic(write, rounds=PASSES, iterations=1)
    note(benchmark, kind, name, "put", len(keys))


@pytest.mark.benchmark(group="cache")
@pytest.mark.parametrize(("kind", "name"), NAMES)
def bench_get_by_threads(benchmark: BenchmarkFixture, opened: Opened, kind: str, name: str) -> None:
    """Read the same keys from eight threads at once; the time is that of all threads together."""
    keys = filled(opened, kind)

    def together() -> None:
        threads = [threading.Thread(target=read, args=(opened.get, keys)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    benchmark.pedantic(together, rounds=PASSES, warmup_rounds=1)
    note(benchmark, kind, name, f"get by {THREADS} threads", THREADS * len(keys))
