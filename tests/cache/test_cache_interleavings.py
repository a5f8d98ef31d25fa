"""In any order of threads and coroutines, no read returns a value older than a completed write."""

import random
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from caching import Clock
from interleaving import Scheduler

import tiercel
from tiercel.cache import Cache, Files, Memory, Store, execution, mover, waiting

KEYS = ["one", "other"]
SIZES = [10, 400, 3000]
LOCKED = [
    "single_flight",
    *(
        f"cache.{name}"
        for name in ["tier_stack", "queued_tier", "namespaces", "counters", "shared", "leases", "backoff"]
    ),
]


class History:
    """All writes and loads, with times of a clock that advances with each call."""

    def __init__(self) -> None:
        self.now = 0
        self.writes: dict[str, list[tuple[int, int, int]]] = {key: [] for key in KEYS}
        """Number, beginning and end of each write that has returned."""
        self.made: dict[int, tuple[int, int | None]] = {}
        """For each value, by number: the beginning of its write or load, and the end of a write."""

    def tick(self) -> int:
        self.now += 1
        return self.now

    def check(self, key: str, value: Any, begun: int) -> None:
        """Check a read of `value` that began at `begun`."""
        if value is None:
            return
        number = value[0]
        made, ended = self.made[number]
        for other, first, last in self.writes[key]:
            # A loaded value is older than any write that begins after the load began.
            later = first > made if ended is None else first > ended and other != number
            assert not (later and last < begun), (
                f"{key}: {number} of {made} is read at {begun}, after a write at {first} to {last}"
            )


class Caller:
    """A thread or coroutine that uses the cache."""

    def __init__(self, cache: Cache, history: History, clock: Clock, seed: int, steps: int) -> None:
        self.cache, self.history, self.clock, self.steps = cache, history, clock, steps
        self.chance = random.Random(seed)

    def run(self) -> None:
        for _ in range(self.steps):
            # A failure of one caller is a failure of those that wait for it.
            with suppress(OSError, tiercel.DeadlineExceededError):
                self.chance.choice(STEPS)(self, self.chance.choice(KEYS))

    def value(self) -> tuple[int, list[Any]]:
        number = len(self.history.made)
        self.history.made[number] = self.history.tick(), None
        return number, [number, bytes(self.chance.choice(SIZES))]

    def write(self, key: str) -> None:
        begun = self.history.tick()
        number, value = self.value()
        # Until it has returned, no value is known to be older.
        self.history.made[number] = begun, 1 << 60
        self.cache.put(key, value, ttl=self.chance.choice([None, 1]))
        ended = self.history.tick()
        self.history.made[number] = begun, ended
        self.history.writes[key].append((number, begun, ended))

    def delete(self, key: str) -> None:
        begun = self.history.tick()
        self.cache.delete(key)
        self.history.writes[key].append((-1, begun, self.history.tick()))

    def invalidate(self, _: str) -> None:
        begun = self.history.tick()
        self.cache.invalidate()
        ended = self.history.tick()
        for key in KEYS:
            self.history.writes[key].append((-1, begun, ended))

    def read(self, key: str) -> None:
        begun = self.history.tick()
        self.history.check(key, self.cache.get(key), begun)

    def read_many(self, _: str) -> None:
        begun = self.history.tick()
        for key, value in zip(KEYS, self.cache.get_many(KEYS), strict=True):
            self.history.check(key, value, begun)

    def load(self, key: str) -> None:
        begun = self.history.tick()
        self.history.check(key, self.cache.get_or_load(key, lambda _: self.value()[1], timeout=1e6), begun)

    def load_and_fail(self, key: str) -> None:
        def load(_: str) -> Any:
            made = self.value()[1]
            if self.chance.random() < 0.7:
                raise OSError
            return made

        begun = self.history.tick()
        self.history.check(key, self.cache.get_or_load(key, load, timeout=1e6), begun)

    def give_up(self, key: str) -> None:
        begun = self.history.tick()
        self.history.check(key, self.cache.get_or_load(key, lambda _: self.value()[1], timeout=0), begun)

    def load_apart(self, key: str) -> None:
        async def load(_: str) -> Any:
            return self.value()[1]

        begun = self.history.tick()
        self.history.check(key, run(self.cache.aget_or_load(key, load, timeout=1e6)), begun)

    def load_many(self, _: str) -> None:
        begun = self.history.tick()
        found = self.cache.get_many_or_load(KEYS, lambda keys: [self.value()[1] for _ in keys], timeout=1e6)
        for key, value in zip(KEYS, found, strict=True):
            self.history.check(key, value, begun)

    def fill(self, _: str) -> None:
        # Evict other values.
        self.cache.put(f"filler {self.chance.randrange(4)}", bytes(700))

    def wait(self, _: str) -> None:
        self.clock.pass_seconds(0.7)

    def settle(self, _: str) -> None:
        self.cache._shared.stack.drain(self.chance.randrange(1, 4))

    def flush(self, _: str) -> None:
        self.cache._shared.stack.write_back()

    def optimize(self, _: str) -> None:
        self.cache.optimize()


STEPS: list[Callable[[Caller, str], None]] = [
    *[Caller.write, Caller.read, Caller.load, Caller.load_apart, Caller.fill] * 3,
    *[Caller.delete, Caller.read_many, Caller.load_many, Caller.settle] * 2,
    *[Caller.flush, Caller.optimize, Caller.load_and_fail, Caller.give_up, Caller.wait, Caller.invalidate],
]


def run(coroutine: Any) -> Any:
    """Run a coroutine that never waits, because `patch` runs its work inline."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def patch(patched: pytest.MonkeyPatch, scheduler: Scheduler) -> None:
    """Use the scheduler's locks, and run thread work of coroutines inline, between two places."""
    threading = scheduler.as_threading()
    for name in LOCKED:
        module = import_module(f"tiercel.{name}")
        if hasattr(module, "threading"):
            patched.setattr(module, "threading", threading)
        if hasattr(module, "fork_lock"):
            patched.setattr(module, "fork_lock", threading.Lock)

    async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
        scheduler.place()
        done = work(*arguments)
        scheduler.place()
        return done

    patched.setattr(waiting, "_WAITS", threading.Lock())
    patched.setattr(waiting, "Gate", scheduler.as_gate())
    patched.setattr(execution, "in_thread", in_thread)
    patched.setattr(execution, "LoopWaiter", lambda _: waiting.ThreadWaiter())
    loop = type("Loop", (), {"is_closed": lambda _: False})()
    patched.setattr(execution, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    # The callers do its work.
    patched.setattr(mover.Mover, "notify", lambda *_: None)


def with_places(tier: Any, scheduler: Scheduler) -> Any:
    """Return a tier whose calls can be interrupted by other tasks."""

    def slow(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            scheduler.place()
            done = method(*arguments)
            scheduler.place()
            return done

        return call

    methods = ["get", "get_many", "put", "put_evicting", "delete", "__contains__"]
    return type(tier.__name__, (tier,), {name: slow(getattr(tier, name)) for name in methods})


def try_one(seed: int, directory: Path, *, lines: bool, callers: int = 4, steps: int = 8) -> int:
    """Do one run; return the number of its places."""
    chance = random.Random(seed)
    scheduler = Scheduler(seed, stay=chance.choice([0.2, 0.7, 0.95] if not lines else [0.7, 0.95, 0.99]), lines=lines)
    with pytest.MonkeyPatch.context() as patched:
        patch(patched, scheduler)
        below = chance.choice([[Files], [Store], [Store, Files], [Store, Store]])
        rooms = [1 << 20] if len(below) == 1 else [chance.choice([2500, 6000]), 1 << 20]
        made = [with_places(tier, scheduler) for tier in below]
        tiers = [
            tier(directory / f"{seed} {at}", room) for at, (tier, room) in enumerate(zip(made, rooms, strict=True))
        ]
        history, clock = History(), Clock()
        options: Any = {"write": chance.choice(["through", "back"]), "fail_safe": chance.choice([0, 10])}
        with Cache([Memory(2500), *tiers], clock=clock, **options) as cache:
            scheduler.run([Caller(cache, history, clock, seed * 100 + at, steps).run for at in range(callers)])
            stack = cache._shared.stack
            stack.drain()
            # No tier may have an outdated value, even hidden by the tiers above.
            for above in [None, *stack.tiers[:-1]]:
                if above is not None:
                    above.backend.clear()
                for key in KEYS:
                    history.check(key, cache.get(key), history.tick())
    return scheduler.places


@pytest.mark.parametrize("lines", [False, True])
def test_no_order_of_turns_gives_what_is_outdated(lines: bool, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    runs = 2000 if pytestconfig.getoption("long") else 10
    places = [try_one(seed, tmp_path, lines=lines) for seed in range(runs)]
    assert min(places) > 100
