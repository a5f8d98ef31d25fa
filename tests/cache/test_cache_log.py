"""The log reports failing tiers once when the trouble begins, and once when they work again."""

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from remote import Shelf
from support.waiting import until

from tiercel.cache import Cache, Files, Memory, Store, Wrapped
from tiercel.cache.health import HealthLog

MIB = 1 << 20

FULL_DISK = """
import logging, os, resource, signal, sys
from tiercel import cache

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
tier = getattr(cache, sys.argv[2])(sys.argv[1], 1 << 30)
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
with cache.Cache([cache.Memory(1 << 20), tier] if sys.argv[3] == "below" else [tier]) as values:
    values["a"] = 1
    assert values.flush()
    print("full")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, most))
    for number in range(40):
        values.put(str(number), os.urandom(250_000))
        values.wait_idle()
    values.flush()
    print("room")
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    values["b"] = 2
    values.flush()
    assert values.flush()
    values["c"] = 3
    assert values.flush()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not limit file sizes")
@pytest.mark.parametrize("where", ["below", "alone"])
def test_a_full_disk_is_told_once_and_so_is_its_end(where: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), "Store", where]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    tier = f"tiercel cache: tiers[{1 if where == 'below' else 0}], Store {tmp_path}:"
    assert told == [
        "full",
        f"WARNING {tier} the disk refuses reads or writes; their values are dropped",
        "room",
        f"INFO {tier} the disk works again",
    ]


class Counting:
    """A tier whose counters a test sets."""

    def __init__(self) -> None:
        self.counts: dict[str, Any] = {"failures": 0, "entries": 1}

    def stats(self) -> dict[str, Any]:
        return self.counts


def test_a_tier_that_fails_now_and_then_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="tiercel")
    tier, now = Counting(), [0.0]
    health = HealthLog([tier], lambda: now[0])  # pyright: ignore[reportArgumentType]

    def told() -> list[str]:
        levels = [record.levelname for record in caplog.records]
        caplog.clear()
        return levels

    def fail() -> None:
        tier.counts["failures"] += 1
        health.check()

    health.check()
    assert told() == []
    for _ in range(10):
        fail()
        health.check()
    assert told() == ["WARNING"]
    health.check([False])
    assert told() == []
    health.check([True])
    assert told() == ["INFO"]
    for _ in range(10):
        fail()
        health.check([True])
    assert told() == [], "less than a minute after the last warning"
    now[0] = 61.0
    fail()
    assert told() == ["WARNING"]
    tier.counts["entries"] = 0
    health.check([True])
    assert told() == [], "it has forgotten everything"
    tier.counts["entries"] = 1
    now[0] = 120.0
    health.check()
    assert told() == []
    now[0] = 121.0
    health.check()
    assert told() == ["INFO"]


def test_a_tier_outside_that_does_not_answer_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger="tiercel")
    now = [0.0]
    monkeypatch.setattr(Wrapped, "_clock", staticmethod(lambda: now[0]))
    shelf = Shelf()
    with Cache([Memory(MIB), Wrapped(shelf)], write="through") as cache:
        shelf.mode = "fails"
        for number in range(20):
            cache[str(number)] = number
            cache.wait_idle()
        until(lambda: caplog.records)
        [warning] = [record.getMessage() for record in caplog.records]
        assert warning.startswith("cache: tiers[1], Wrapped: does not answer, and will be tried again later: Failure: ")
        shelf.mode = "works"
        now[0] = 2.0
        cache["a"] = 1
        cache.wait_idle()
        until(lambda: len(caplog.records) > 1)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert caplog.records[1].getMessage() == "cache: tiers[1], Wrapped: answers again"


def test_a_tier_knows_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in (Store, Files):
        with kind(kind.__name__, MIB) as tier:
            assert tier.directory == str(tmp_path / kind.__name__)


def test_a_tier_that_waits_for_its_disk_holds_up_no_other_cache() -> None:
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Counting):
        def stats(self) -> dict[str, Any]:
            if threading.current_thread() is not threading.main_thread():
                begun.set()
                assert may_end.wait(60)
            return self.counts

    slow, other = HealthLog([Slow()]), HealthLog([Counting()])  # pyright: ignore[reportArgumentType]
    checking = threading.Thread(target=slow.check)
    checking.start()
    assert begun.wait(30)
    # On a thread, which a lock that both share would hold up until the first has ended.
    beside = threading.Thread(target=other.check)
    beside.start()
    beside.join(30)
    was_held_up = beside.is_alive()
    may_end.set()
    checking.join()
    beside.join()
    assert not was_held_up


@pytest.mark.parametrize(
    ("early", "broken", "works"),
    [
        ({"failures": 1}, {"failures": 2}, {"failures": 2, "entries": 1}),
        ({"breaker": "open", "error": "none"}, {"breaker": "open", "error": "none"}, {"breaker": "closed"}),
    ],
    ids=["disk", "remote"],
)
def test_counters_that_arrive_late_are_no_new_failure(
    caplog: pytest.LogCaptureFixture, early: dict[str, Any], broken: dict[str, Any], works: dict[str, Any]
) -> None:
    caplog.set_level(logging.INFO, logger="tiercel")
    begun, may_end, now = threading.Event(), threading.Event(), [0.0]

    class Slow(Counting):
        def stats(self) -> dict[str, Any]:
            counts = self.counts
            if threading.current_thread() is not threading.main_thread():
                begun.set()
                assert may_end.wait(30)
            return counts

    tier = Slow()
    health = HealthLog([tier], lambda: now[0])  # pyright: ignore[reportArgumentType]
    tier.counts = early
    late = threading.Thread(target=health.check)
    late.start()
    assert begun.wait(30)
    for tier.counts in (broken, works):
        health.check()
        now[0] += 100
    may_end.set()
    late.join()
    now[0] += 100
    health.check()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
