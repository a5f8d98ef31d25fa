"""Namespaces and tags, also between processes that share a tier: invalidated values never come
back, whatever the clocks.
"""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from caching import SECOND, Clock
from hypothesis import given
from hypothesis import strategies as st
from remote import Shelf, on_shelf
from support.waiting import LONG

import tiercel
from tiercel.cache import Cache, Memory, Store, Wrapped
from tiercel.cache.keys import record_name
from tiercel.cache.records import NamespaceState

MIB = 1 << 20
RECORD = record_name("")


class Rows:
    """The data that processes share."""

    def __init__(self, rows: dict[str, Any] | None = None) -> None:
        self.rows: dict[str, Any] = {} if rows is None else rows

    def get(self, name: str) -> Any:
        return self.rows.get(name)

    def put(self, name: str, content: bytes) -> None:
        self.rows[name] = content

    def delete(self, name: str) -> None:
        self.rows.pop(name, None)

    def keys(self) -> list[str]:
        return list(self.rows)


def shared(rows: Any, **arguments: Any) -> Cache:
    return Cache([Memory(MIB), Wrapped(rows, soft_timeout=LONG, hard_timeout=LONG)], **arguments)


def tier(cache: Cache, at: int) -> Any:
    return cache._shared.stack.tiers[at].backend


def test_a_tag_is_invalid_though_the_clock_was_set_back(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = 5000 * SECOND
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)], clock=clock) as cache:
        cache.put("key", "old", tags=["tag"])
    clock.now = 3000 * SECOND
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)], clock=clock) as cache:
        assert cache["key"] == "old"
        assert cache.invalidate_tags("tag")
        assert cache.get("key") is None
        cache.put("key", "new", tags=["tag"])
        assert cache["key"] == "new"


def test_a_tag_is_invalid_though_another_clock_is_ahead() -> None:
    rows, ahead, behind = Rows(), Clock(), Clock()
    ahead.pass_seconds(100)
    with shared(rows, clock=ahead) as one, shared(rows, clock=behind) as other:
        one.put("key", "value", tags=["tag"])
        one.flush()
        assert other["key"] == "value"
        assert other.invalidate_tags("tag")
        assert other.get("key") is None


def test_an_invalidation_of_another_process_is_never_undone() -> None:
    rows = Rows()
    with shared(rows) as one, shared(rows) as other:
        one["key"] = "old"
        one.flush()
        assert one.invalidate()
        assert other.invalidate_tags("tag")
        with shared(rows) as third:
            assert third.get("key") is None
            assert third._namespace.epoch == one._namespace.epoch == other._namespace.epoch


def test_an_invalidation_means_what_other_processes_made_meanwhile() -> None:
    rows, ahead = Rows(), Clock()
    ahead.pass_seconds(100)
    with shared(rows, clock=Clock()) as one, shared(rows, clock=ahead) as other:
        other.invalidate()
        other.invalidate_tags("some")
        other.put("key", "value", tags=["tag"])
        other.put("plain", "value")
        other.flush()
        assert one.invalidate_tags("tag")
        assert (one.get("key"), one.get("plain")) == (None, "value")
        assert one.invalidate()
        assert one.get("plain") is None
        with shared(rows) as third:
            assert (third.get("key"), third.get("plain")) == (None, None)


def test_a_tier_that_missed_an_invalidation_hears_of_it(tmp_path: Path) -> None:
    rows = Rows()
    directory = tmp_path / "store"
    with Cache([Memory(MIB), Store(directory, MIB), Wrapped(rows, soft_timeout=LONG, hard_timeout=LONG)]) as cache:
        cache["key"] = "old"
        cache.flush()
        for name in [name for name in tier(cache, 1) if not name.startswith(b"\xff\xff")]:
            tier(cache, 2).put(name, tier(cache, 1).get(name))
    with Cache([Memory(MIB), Store(directory, MIB)]) as cache:
        assert cache.invalidate()
    with Cache([Memory(MIB), Store(directory, MIB), Wrapped(rows, soft_timeout=LONG, hard_timeout=LONG)]) as cache:
        assert cache.get("key") is None
        assert cache.flush()
    with Cache(
        [Memory(MIB), Store(tmp_path / "another", MIB), Wrapped(rows, soft_timeout=LONG, hard_timeout=LONG)]
    ) as cache:
        assert cache.get("key") is None


def test_a_record_that_is_driven_out_does_not_come_down(tmp_path: Path) -> None:
    with Cache([Store(tmp_path / "store", MIB), Memory(MIB)]) as cache:
        stack = cache._shared.stack
        stack._queue(1, [(RECORD, b"older"), (b"\0\0skey", b"value")])
        assert list(stack.tiers[1].queue) == [b"\0\0skey"]


def test_a_slow_tier_is_waited_for_to_tell_what_it_has() -> None:
    shelf = Shelf()
    with shared(shelf) as cache:
        cache["key"] = "value"
    outside = on_shelf(shelf)
    shelf.mode = "hangs"
    opened: list[Cache] = []
    # Time out at once.
    outside._guard._soft = 0.0
    opening = threading.Thread(target=lambda: opened.append(Cache([Memory(MIB), outside])))
    opening.start()
    assert shelf.hanging.acquire(timeout=LONG)
    shelf.release()
    opening.join()
    outside._guard._soft = LONG
    with opened[0] as cache:
        assert cache["key"] == "value"


def test_a_tier_that_does_not_answer_keeps_what_it_has() -> None:
    shelf = Shelf()
    with shared(shelf) as cache:
        cache["key"] = "value"
    shelf.mode = "fails"
    with Cache([Memory(MIB), on_shelf(shelf)]) as cache:
        assert not cache.invalidate_tags("tag") or cache.get("key") is None
    with Cache([Memory(MIB), on_shelf(shelf)]) as cache:
        cache["other"] = 1
        shelf.mode = "works"
        assert cache.flush()
        assert cache["key"] == "value", "it was begun for lack of an answer, and gives way"
    with shared(shelf) as cache:
        assert cache["key"] == "value"


class Together(Rows):
    """Two processes that take each step at the same time, until both have begun."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = threading.Barrier(2, timeout=LONG)
        self.over = False

    def get(self, name: str) -> Any:
        found = super().get(name)
        self._meet()
        return found

    def put(self, name: str, content: bytes) -> None:
        super().put(name, content)
        self._meet()

    def _meet(self) -> None:
        if not self.over:
            self.barrier.wait()


def test_processes_that_begin_at_once_share_an_epoch() -> None:
    rows = Together()
    caches: list[Cache] = []

    def open_one() -> None:
        cache = shared(rows)
        cache._namespace.ensure_record()
        caches.append(cache)

    threads = [threading.Thread(target=open_one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows.over = True
    one, other = caches
    with one, other:
        one["key"] = "value"
        one.flush()
        assert other["key"] == "value"


def test_who_was_there_before_the_first_value_sees_it() -> None:
    rows = Rows()
    with shared(rows) as reader, shared(rows) as writer:
        assert reader.get("key") is None
        writer["key"] = "value"
        writer.flush()
        assert reader["key"] == "value"


def test_a_slow_tier_holds_up_nobody_who_does_not_ask_it() -> None:
    shelf = Shelf()
    with Cache([Memory(MIB), on_shelf(shelf)]) as cache:
        cache["warm"] = 1
        cache.wait_idle()
        for slow in (lambda: cache.namespace("tenant"), cache.invalidate):
            shelf.mode = "hangs"
            thread = threading.Thread(target=slow)
            thread.start()
            assert shelf.hanging.acquire(timeout=LONG)
            assert cache.stats()["loads"] == 0
            cache["another"] = 1
            shelf.release()
            thread.join()


def test_a_namespace_that_is_only_named_leaves_nothing(tmp_path: Path) -> None:
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        for number in range(20):
            assert cache.namespace(str(number)).get("key") is None
        assert cache.flush()
        assert len(tier(cache, 1)) == 0


def test_optimize_leaves_other_namespaces_alone(tmp_path: Path) -> None:
    clock = Clock()
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)], clock=clock) as cache:
        for number in range(20):
            cache.namespace(str(number)).put("key", number, ttl=None if number else 1)
    clock.pass_seconds(2)
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)], clock=clock) as cache:
        assert cache.optimize().removed == 1
        assert len(cache._shared._namespaces) == 1
        found = [cache.namespace(str(number)).get("key") for number in range(20)]
        assert found == [None, *range(1, 20)]


state = st.builds(
    NamespaceState,
    epoch=st.integers(1, 3),
    is_first=st.booleans(),
    turn=st.integers(0, 4),
    floor=st.integers(0, 4),
    tags=st.dictionaries(st.sampled_from("abc"), st.integers(1, 4)),
)


@given(one=state, other=state)
def test_processes_come_to_know_the_same_in_any_order(one: NamespaceState, other: NamespaceState) -> None:
    joined = one.joined(other)
    assert joined == other.joined(one)
    assert not joined.is_behind(one)
    assert not joined.is_behind(other)


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", b'{"epoch": "x"}', b"\xff"])
def test_a_damaged_record_is_none(tmp_path: Path, record: bytes) -> None:
    cache = Cache([Memory(MIB), Store(tmp_path / "store", MIB)])
    cache["key"] = "value"
    cache.flush()
    tier(cache, 1).put(RECORD, record)
    with pytest.warns(RuntimeWarning, match="the record of the cache is damaged"):
        cache.close()
    with Cache([Memory(MIB), Store(tmp_path / "store", MIB)]) as cache:
        assert cache["key"] == "value", "the record was written again when the cache was closed"


def leave(cache: Cache) -> None:
    """Use enough other namespaces that unreferenced ones are forgotten."""
    cache._shared._recent.clear()
    assert len(cache._shared._namespaces) == 1, "the one of the cache itself"


def test_namespaces_that_nobody_uses_are_counted_in_the_budget() -> None:
    memory = Memory(50_000)
    with Cache([memory]) as cache:
        for number in range(1000):
            space = cache.namespace(f"tenant {number}")
            space.put("key", number)
            assert space["key"] == number
            del space
            assert cache.namespace(f"tenant {number}")["key"] == number
            assert cache.namespace("tenant 0").get("key") in {0, None}
        assert len(cache._shared._namespaces) <= 65, "the last ones, and the one of the cache itself"
        assert memory.bytes <= 50_000
        found = [cache.namespace(f"tenant {number}").get("key") for number in range(1000)]
        assert all(value in {None, number} for number, value in enumerate(found))
        assert sum(value is not None for value in found) > 10


class Counting(Store):
    """A store that counts its syncs."""

    syncs = 0

    def flush(self) -> bool:
        self.syncs += 1
        return super().flush()


def test_a_new_namespace_costs_no_sync(tmp_path: Path) -> None:
    store = Counting(tmp_path / "store", MIB)
    with Cache([Memory(MIB), store]) as cache:
        for number in range(50):
            cache.namespace(str(number))["key"] = number
        cache.wait_idle()
        assert store.syncs == 0
        assert cache.namespace("7").invalidate()
        assert cache.namespace("8").invalidate_tags("tag")
        assert store.syncs == 2
        store.write()
        # As after a crash that loses nothing that was written.
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
    with Cache([Memory(MIB), Store(tmp_path / "copy", MIB)]) as cache:
        found = [cache.namespace(str(number)).get("key") for number in range(50)]
        assert found == [None if number == 7 else number for number in range(50)]


@pytest.mark.parametrize("with_store", [False, True])
@pytest.mark.parametrize("is_driven_out", [False, True])
def test_what_is_invalid_stays_so_when_nobody_uses_the_namespace(
    tmp_path: Path, with_store: bool, is_driven_out: bool
) -> None:
    memory = Memory(MIB)
    with Cache([memory, *([Store(tmp_path / "store", MIB)] if with_store else [])]) as cache:
        for number in range(5):
            cache.namespace("all").put(str(number), number)
            cache.namespace("some").put(str(number), number, tags=[f"tag {number}"])
        assert cache.namespace("all").invalidate()
        for number in (1, 3):
            assert cache.namespace("some").invalidate_tags(f"tag {number}")
        leave(cache)
        if is_driven_out:
            for space in ("all", "some"):
                memory.delete(record_name(space))
        assert [cache.namespace("all").get(str(number)) for number in range(5)] == [None] * 5
        found = [cache.namespace("some").get(str(number)) for number in range(5)]
        assert found == ([None] * 5 if is_driven_out and not with_store else [0, None, 2, None, 4])
        cache.namespace("all")["0"] = "new"
        assert cache.namespace("all")["0"] == "new"


def test_an_invalidation_that_a_tier_has_not_heard_of_is_remembered() -> None:
    shelf, memory = Shelf(), Memory(MIB)
    with Cache([memory, on_shelf(shelf)]) as cache:
        cache.namespace("space")["key"] = "old"
        cache.flush()
        shelf.mode = "fails"
        assert not cache.namespace("space").invalidate()
        cache._shared._recent.clear()
        memory.delete(record_name("space"))
        shelf.mode = "works"
        assert cache.namespace("space").get("key") is None
        assert cache.flush()
        leave(cache)
        assert cache.namespace("space").get("key") is None


def test_a_namespace_that_is_prefetched_is_held() -> None:
    with Cache([Memory(MIB)]) as cache:
        prefetcher = cache.namespace("space").prefetch(lambda key: key)
        cache._shared._recent.clear()
        assert cache.namespace("space").get("key") is None
        assert prefetcher.stats()["requests"] == 1


def test_names_of_namespaces_are_flat() -> None:
    with Cache([Memory(MIB)]) as cache:
        tenant = cache.namespace("tenant")
        with pytest.raises(tiercel.InvalidInputError, match=r"use cache.namespace\('tenant/prices'\)"):
            tenant.namespace("prices")
        cache.namespace("tenant/prices")["apple"] = 3
        assert "apple" not in cache.namespace("prices")
        tenant.close()
        with pytest.raises(tiercel.ClosedError):
            cache.get("key")
