"""The cache compared with a dict with times, tags and namespaces: no value that the dict lacks."""

import tempfile
from pathlib import Path
from typing import Any

from caching import SECOND, Clock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from remote import Clock as BreakerClock
from remote import Shelf, on_shelf

from tiercel.cache import Cache, Memory, Store

KEYS = st.sampled_from(["", "a", "b", b"a", "c" * 300])
SPACES = st.sampled_from(["", "one", "two"])
TAGS = st.lists(st.sampled_from(["red", "blue"]), max_size=2, unique=True)
TIMES = st.sampled_from([None, 1, 5])
SIZES = st.sampled_from([0, 10, 400, 3000])


class Known:
    """What the model knows of a value."""

    def __init__(self, value: bytes, now: int, ttl: int | None, idle: int | None, tags: list[str]) -> None:
        self.value, self.tags = value, tags
        self.fresh = None if ttl is None else now + ttl * SECOND
        self.idle = None if idle is None else idle * SECOND
        self.touched = now

    def is_given(self, now: int) -> bool:
        return (self.fresh is None or now < self.fresh) and (self.idle is None or now < self.touched + self.idle)

    def may_be_gone(self, now: int) -> bool:
        """Uses are recorded only after an eighth of the idle time."""
        return self.idle is not None and now >= self.touched + self.idle - self.idle // 8


class CacheMachine(RuleBasedStateMachine):
    """All calls, in any order, to a cache that has room for everything."""

    forgets = False
    fails = False

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.known: dict[tuple[str, Any], Known] = {}
        self.number = 0
        self.cache = self.make()

    def make(self) -> Cache:
        return Cache([Memory(4 << 20)], clock=self.clock)

    def value(self, size: int) -> bytes:
        self.number += 1
        return self.number.to_bytes(4, "little") + bytes(size)

    def check(self, space: str, key: Any, found: Any) -> None:
        known = self.known.get((space, key))
        now = self.clock.now
        if known is None or not known.is_given(now):
            assert found is None
            return
        assert found == known.value or (found is None and (self.forgets or known.may_be_gone(now)))
        if found is not None:
            known.touched = now

    @rule(space=SPACES, key=KEYS, size=SIZES, ttl=TIMES, idle=TIMES, tags=TAGS)
    def put(self, space: str, key: Any, size: int, ttl: Any, idle: Any, tags: list[str]) -> None:
        value = self.value(size)
        kept = self.cache.namespace(space).put(key, value, ttl=ttl, idle_ttl=idle, tags=tags)
        assert kept or (self.fails and size > 2000)
        self.known[space, key] = Known(value, self.clock.now, ttl, idle, tags)

    @rule(space=SPACES, key=KEYS)
    def get(self, space: str, key: Any) -> None:
        self.check(space, key, self.cache.namespace(space).get(key))

    @rule(space=SPACES, key=KEYS, size=SIZES)
    def load(self, space: str, key: Any, size: int) -> None:
        value = self.value(size)
        answer = self.cache.namespace(space).fetch(key, lambda _: value)
        if answer.tier is None:
            self.check(space, key, None)
            self.known[space, key] = Known(value, self.clock.now, None, None, [])
        else:
            self.check(space, key, answer.value)

    @rule(space=SPACES, keys=st.lists(KEYS, max_size=4))
    def get_many(self, space: str, keys: list[Any]) -> None:
        for key, found in zip(keys, self.cache.namespace(space).get_many(keys), strict=True):
            self.check(space, key, found)

    @rule(space=SPACES, key=KEYS)
    def delete(self, space: str, key: Any) -> None:
        self.cache.namespace(space).delete(key)
        self.known.pop((space, key), None)

    @rule(space=SPACES)
    def invalidate(self, space: str) -> None:
        assert self.cache.namespace(space).invalidate()
        self.known = {name: known for name, known in self.known.items() if name[0] != space}

    @rule(space=SPACES, tag=st.sampled_from(["red", "blue"]))
    def invalidate_tag(self, space: str, tag: str) -> None:
        assert self.cache.namespace(space).invalidate_tags(tag)
        self.known = {name: known for name, known in self.known.items() if name[0] != space or tag not in known.tags}

    @rule(seconds=st.sampled_from([0.5, 1, 3]))
    def wait(self, seconds: float) -> None:
        self.clock.pass_seconds(seconds)

    @rule()
    def optimize(self) -> None:
        self.cache.optimize()

    @invariant()
    def keys_are_known(self) -> None:
        for space in ("", "one", "two"):
            listed = list(self.cache.namespace(space))
            given = {key for (of, key), known in self.known.items() if of == space and known.is_given(self.clock.now)}
            assert len(listed) == len(set(listed))
            assert set(listed) <= given
            if not self.forgets:
                sure = {key for key in given if not self.known[space, key].may_be_gone(self.clock.now)}
                assert sure <= set(listed)

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.cache.close()
            self.directory.cleanup()


class TieredMachine(CacheMachine):
    """The same with a memory tier that is too small, above stores, and with restarts."""

    forgets = True

    def make(self) -> Cache:
        here = Path(self.directory.name)
        tiers = [Memory(2500), Store(here / "one", 20_000), Store(here / "two", 1 << 20)]
        return Cache(tiers, clock=self.clock, queue_bytes=5000)

    @rule()
    def settle(self) -> None:
        self.cache.wait_idle()

    @precondition(lambda self: self.known)
    @rule()
    def restart(self) -> None:
        self.cache.close()
        self.cache = self.make()


class OutsideMachine(CacheMachine):
    """The same above an outside tier that fails in every way, and recovers."""

    forgets = True
    fails = True

    def make(self) -> Cache:
        self.shelf, self.breaker = Shelf(), BreakerClock()
        return Cache([Memory(2500), on_shelf(self.shelf, clock=self.breaker)], clock=self.clock, queue_bytes=5000)

    @rule(mode=st.sampled_from(["works", "fails", "loses", "late", "damages", "mixes up", "forgets"]))
    def change(self, mode: str) -> None:
        self.shelf.mode = mode

    @rule()
    def land(self) -> None:
        self.shelf.land()

    @rule()
    def recover(self) -> None:
        self.breaker.now += 100
        self.cache.wait_idle()

    @rule(space=SPACES)
    def invalidate(self, space: str) -> None:
        kept = self.cache.namespace(space).invalidate()
        assert kept or self.shelf.calls
        self.known = {name: known for name, known in self.known.items() if name[0] != space}

    @rule(space=SPACES, tag=st.sampled_from(["red", "blue"]))
    def invalidate_tag(self, space: str, tag: str) -> None:
        self.cache.namespace(space).invalidate_tags(tag)
        self.known = {name: known for name, known in self.known.items() if name[0] != space or tag not in known.tags}

    def teardown(self) -> None:
        self.shelf.mode = "works"
        super().teardown()


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestTieredMachine = TieredMachine.TestCase
TestTieredMachine.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestOutsideMachine = OutsideMachine.TestCase
TestOutsideMachine.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
