"""Associations of keys, and prefetching: bounded, only in idle time, and stopped when useless."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiercel
from tiercel.cache.associations import Associations
from tiercel.cache.prefetch import Prefetcher
from tiercel.intervals import wilson_interval

WAIT = 20  # seconds until a test that hangs fails


def slow_wilson(seen: int, of: int) -> float:
    """Return the smallest share within 1.96 standard deviations of what was seen, by bisection."""
    low, high = 0.0, seen / of
    for _ in range(100):
        middle = (low + high) / 2
        if (seen / of - middle) ** 2 > 1.96**2 * middle * (1 - middle) / of:
            low = middle
        else:
            high = middle
    return high


def test_the_bound_is_that_of_wilson() -> None:
    for of in range(1, 60):
        for seen in range(of + 1):
            assert wilson_interval(seen, of)[0] == pytest.approx(slow_wilson(seen, of), abs=1e-9)
    assert wilson_interval(0, 0)[0] == 0
    assert wilson_interval(16, 16)[0] >= 0.8 > wilson_interval(15, 15)[0]


keys_of = st.sampled_from(["a", "b", "c", "d", b"a", "e"])


@given(requests=st.lists(keys_of, max_size=120), window=st.integers(1, 5), least=st.sampled_from([0.0, 0.1, 0.5]))
def test_associations_count_as_one_would_by_hand(requests: list[Any], window: int, least: float) -> None:
    associations = Associations(window=window, least=least)
    for key in requests:
        associations.record(key)
    for key in ["a", "b", "c", "d", b"a", "e"]:
        places = [at for at, other in enumerate(requests[: max(0, len(requests) - window)]) if other == key]
        after = [set(requests[at + 1 : at + 1 + window]) - {key} for at in places]
        counts = {other: sum(other in each for each in after) for other in set().union(*after)}
        bounds = {other: wilson_interval(seen, len(places))[0] for other, seen in counts.items()}
        found = associations.predict(key)
        assert {each.key: each.probability for each in found} == {
            other: bound for other, bound in bounds.items() if bound >= least and counts[other] >= least * len(places)
        }
        assert all((each.seen, each.of) == (counts[each.key], len(places)) for each in found)
        assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)
    assert associations.predict() == (associations.predict(requests[-1]) if requests else [])


@given(requests=st.lists(st.integers(0, 30), max_size=300))
def test_associations_are_bounded(requests: list[int]) -> None:
    associations = Associations(keys=5, followers=3, window=4, least=0)
    for number in requests:
        associations.record(f"{number}")
        assert len(associations) <= 5
    assert all(len(associations.predict(f"{number}", limit=100)) <= 3 for number in range(31))
    if len(requests) > 4:
        # The key that was counted last is included, with those that last followed it.
        key, *after = requests[-5:]
        others = [f"{other}" for other in dict.fromkeys(after) if other != key]
        assert {each.key for each in associations.predict(f"{key}")} >= set(others[-3:])


def test_the_key_that_was_counted_least_recently_goes() -> None:
    associations = Associations(keys=2, window=1, least=0)
    for key in ("a", "b", "a", "c", "d"):
        associations.record(key)
    assert [bool(associations.predict(key)) for key in ("a", "b", "c")] == [True, False, True]


def test_what_was_usual_once_fades() -> None:
    associations = Associations(window=1)
    for follower in ("old", "new"):
        for _ in range(1000):
            associations.record("key")
            associations.record(follower)
    assert [prediction.key for prediction in associations.predict("key")] == ["new"]
    assert associations.predict("key")[0].of <= 256


class World:
    """A cache for a number of keys, a clock, and a prefetcher whose worker runs on command."""

    def __init__(
        self, room: int = 16, size: int = 100, associations: Associations | None = None, **options: Any
    ) -> None:
        self.now = 0.0
        self.room = room
        self.size = size
        self.cache: OrderedDict[Any, None] = OrderedDict()
        self.loaded: list[Any] = []
        self.workers: list[Callable[[], None]] = []
        self.prefetcher = Prefetcher(
            self.cache,
            self.load,
            associations=associations,
            clock=lambda: self.now,
            start=self.workers.append,
            **options,
        )

    def put(self, key: Any) -> None:
        self.cache[key] = None
        if len(self.cache) > self.room:
            self.cache.popitem(last=False)

    def load(self, key: Any) -> int:
        self.loaded.append(key)
        self.put(key)
        return self.size

    def ask(self, *keys: Any) -> None:
        for key in keys:
            self.prefetcher.record(key, key in self.cache)
            self.cache.pop(key, None)
            self.put(key)

    def rest(self, seconds: float) -> None:
        """Let time pass, and the worker work meanwhile."""
        until = self.now + seconds
        while (wait := self.prefetcher.step()) is not None and self.now + wait <= until:
            self.now += wait
        self.now = until

    def teach(self, *keys: Any, times: int = 20) -> None:
        """Request keys one after another, repeatedly, with others in between that evict them."""
        for _ in range(times):
            self.ask(*keys, *(f"other {self.now} {number}" for number in range(self.room)))
            self.now += 1


def test_what_always_follows_is_loaded_in_idle_time() -> None:
    world = World()
    world.teach("menu", "dish", "wine")
    world.ask("menu")
    assert [prediction.key for prediction in world.prefetcher.predict()] == ["dish", "wine"]
    world.rest(0.019)
    assert world.loaded == []
    world.rest(0.002)
    assert world.loaded == ["dish", "wine"]
    world.ask("dish", "soup", "bread", "cheese", "fruit")
    stats = world.prefetcher.stats()
    assert (stats["prefetched"], stats["used"], stats["wasted"], stats["bytes"]) == (2, 1, 1, 200)
    assert stats["precision"] == 0.5
    assert not stats["off"]


def test_what_is_asked_for_last_in_the_window_is_used() -> None:
    for others, used in ((3, 1), (4, 0)):
        world = World()
        world.teach("menu", "dish")
        world.ask("menu")
        world.rest(1)
        world.ask(*(f"another {number}" for number in range(others)), "dish")
        assert world.prefetcher.stats()["used"] == used


def test_what_is_there_is_not_loaded() -> None:
    world = World()
    world.teach("menu", "dish")
    world.put("dish")
    world.ask("menu")
    world.rest(1)
    assert world.loaded == []


def test_what_comes_too_late_is_not_loaded() -> None:
    world = World()
    world.teach("menu", "dish")
    world.ask("menu", "soup", "bread", "cheese", "fruit")
    world.rest(1)
    assert world.loaded == []


def test_what_was_asked_for_meanwhile_is_not_loaded() -> None:
    world = World()
    world.teach("menu", "dish")
    world.ask("menu", "dish")
    world.cache.clear()
    world.rest(1)
    assert world.loaded == []


def test_what_left_the_cache_before_it_was_used_is_wasted() -> None:
    world = World()
    world.teach("menu", "dish")
    world.ask("menu")
    world.rest(1)
    world.cache.clear()
    world.ask("dish")
    assert (world.prefetcher.stats()["used"], world.prefetcher.stats()["wasted"]) == (0, 1)


def test_loads_have_a_budget() -> None:
    world = World(loads_per_second=2, associations=Associations(window=40, followers=40))
    world.teach("menu", *(f"dish {number}" for number in range(30)), times=40)
    world.ask("menu")
    world.rest(0.1)
    assert len(world.loaded) <= 3
    world.ask("menu")
    world.rest(2)
    assert 4 <= len(world.loaded) <= 7


def test_bytes_have_a_budget() -> None:
    world = World(bytes_per_second=1000, size=2500, associations=Associations(window=40, followers=40))
    world.teach("menu", *(f"dish {number}" for number in range(8)), times=40)
    world.ask("menu")
    world.rest(1)
    assert len(world.loaded) == 1
    world.rest(1)
    assert len(world.loaded) == 2


def test_a_planted_association_is_found_in_a_trace() -> None:
    rng = np.random.default_rng(7)
    world = World(room=40)
    for _ in range(600):
        number = rng.integers(10)
        world.ask(f"menu {number}")
        world.rest(0.1)
        world.ask(f"dish {number}", *(f"noise {each}" for each in rng.integers(0, 5000, 12)))
        world.rest(0.1)
    stats = world.prefetcher.stats()
    assert stats["precision"] is not None
    assert stats["precision"] > 0.8
    assert stats["coverage"] is not None
    # One request in 14 has an association, and each is learned after about 16 of 60 times.
    assert 0.02 < stats["coverage"] < 1 / 14
    assert stats["coverage"] == stats["used"] / (stats["used"] + stats["misses"])
    assert not stats["off"]


def test_nothing_is_loaded_for_noise() -> None:
    rng = np.random.default_rng(7)
    world = World(room=20)
    for number in rng.integers(0, 100, 5000):
        world.ask(f"{number}")
        world.rest(0.1)
    assert world.loaded == []
    assert world.prefetcher.stats()["precision"] is None


def test_a_prefetcher_that_is_mostly_wrong_switches_itself_off() -> None:
    rng = np.random.default_rng(7)
    world = World(room=10, associations=Associations(least=0.01))
    for number in rng.integers(0, 100, 3000):
        world.ask(f"{number}")
        world.rest(0.1)
    stats = world.prefetcher.stats()
    assert stats["off"]
    assert stats["precision"] is not None
    assert stats["precision"] < 0.5
    assert stats["wasted"] > 128
    loaded = len(world.loaded)
    world.teach("menu", "dish")
    world.ask("menu")
    assert world.prefetcher.step() is None
    assert len(world.loaded) == loaded
    assert world.prefetcher.stats()["requests"] > stats["requests"]


def test_a_loader_that_raises_is_counted() -> None:
    def refuse(key: Any) -> int:
        raise ConnectionError("no origin today")

    world = World()
    world.load = refuse
    world.prefetcher = Prefetcher(world.cache, refuse, clock=lambda: world.now, start=world.workers.append)
    world.teach("menu", "dish")
    world.ask("menu")
    world.rest(1)
    stats = world.prefetcher.stats()
    assert (stats["failures"], stats["wasted"], stats["prefetched"]) == (1, 1, 0)


@given(requests=st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0.0, 0.05])), max_size=200))
def test_every_prefetch_is_judged_once(requests: list[tuple[int, float]]) -> None:
    world = World(room=3, associations=Associations(least=0.05, window=2))
    for number, pause in requests:
        world.ask(f"{number}")
        world.rest(pause)
    world.ask("x", "y", "z")
    stats = world.prefetcher.stats()
    assert stats["requests"] == len(requests) + 3
    if not stats["off"]:
        assert stats["used"] + stats["wasted"] == stats["prefetched"] == len(world.loaded)
    assert stats["bytes"] == 100 * len(world.loaded)


def test_the_worker_starts_with_the_first_prediction_and_ends_by_itself() -> None:
    world = World()
    world.ask("menu", "dish")
    assert world.workers == []
    world.teach("menu", "dish")
    assert len(world.workers) == 1
    world.ask("menu")
    world.rest(0.5)
    assert world.prefetcher.step() == pytest.approx(0.5)
    world.now += 1
    world.workers[0]()
    world.ask("menu")
    assert len(world.workers) == 2
    world.prefetcher.close()
    world.workers[1]()
    world.ask("menu")
    assert len(world.workers) == 2
    assert world.prefetcher.stats()["off"]


def test_without_a_thread_requests_go_on() -> None:
    def refuse(work: Callable[[], None]) -> None:
        refused.append(work)
        raise RuntimeError("can't start new thread")

    refused: list[Any] = []
    world = World()
    world.prefetcher = Prefetcher(world.cache, world.load, clock=lambda: world.now, start=refuse)
    world.teach("menu", "dish")
    assert len(refused) > 1


def test_a_thread_loads_while_nobody_asks() -> None:
    cache: dict[Any, None] = {}
    loaded = threading.Event()

    def load(key: Any) -> int:
        cache[key] = None
        loaded.set()
        return 1

    prefetcher = Prefetcher(cache, load, idle=0)
    for _ in range(20):
        for key in ("menu", "dish", "a", "b", "c"):
            prefetcher.record(key, False)
    prefetcher.record("menu", False)
    assert loaded.wait(WAIT)
    prefetcher.close()
    assert set(cache) <= {"menu", "dish", "a", "b", "c"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Associations(keys=0), "keys: expected an int from 1"),
        (lambda: Associations(followers=0), "followers: expected an int"),
        (lambda: Associations(window=65), "window: expected an int from 1 to 64, got 65"),
        (lambda: Associations(least=1.1), "least: expected a number from 0 to 1, got 1.1"),
        (lambda: Prefetcher({}, len, idle=-1), "idle: expected a number from 0"),
        (lambda: Prefetcher({}, len, loads_per_second=0), "loads_per_second: expected a number"),
        (lambda: Prefetcher({}, len, bytes_per_second=float("nan")), "bytes_per_second: expected a number"),
    ],
)
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        call()


def test_a_second_prefetcher_is_refused_until_the_first_one_is_closed() -> None:
    with tiercel.cache.Cache([tiercel.cache.Memory(1 << 20)]) as cache:
        first = cache.prefetch(str)
        with pytest.raises(tiercel.InvalidInputError, match=r"^prefetch: .* got one that has one; close it first$"):
            cache.prefetch(str)
        first.close()
        cache.prefetch(str).close()
