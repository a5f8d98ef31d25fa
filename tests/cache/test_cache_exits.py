"""What a process leaves in the tiers of a cache that it never closed, however the process ends."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from caching import Gate
from remote import Shelf

import tiercel
from tiercel.cache import Cache, Files, Memory, Store, Wrapped
from tiercel.cache.values import Codec

# A program that is killed or ends after it printed "done"; `{end}` says how.
PROGRAM = """
import os, signal, sys, threading, time
from tiercel.cache import Cache, Files, Memory, Store

class Told(Store):
    rounds = 0

    def write(self):
        done = super().write()
        Told.rounds += 1
        return done

directory, kind, write = sys.argv[1:4]
tiers = dict(
    store=lambda: [Memory(1 << 20), Told(directory, 1 << 20)],
    files=lambda: [Memory(1 << 20), Files(directory, 1 << 20)],
    alone=lambda: [Told(directory, 1 << 20)],
    third=lambda: [Memory(1 << 20), Memory(1 << 20), Told(directory, 1 << 20)],
    bare=lambda: None,
)[kind]()

def wait():
    # Until the background has worked off all that was put, and has begun and ended a round since.
    while any(level["waiting"] for level in cache.stats()["tiers"]):
        time.sleep(0.001)
    before = Told.rounds
    cache["more"] = 1
    while any(level["waiting"] for level in cache.stats()["tiers"]) or Told.rounds < before + 1:
        time.sleep(0.001)

cache = Store(directory, 1 << 20) if tiers is None else Cache(tiers, write=None if write == "None" else write)
for number in range(100):
    cache[str(number)] = b"%d" % number
{end}
"""
KILLED = "wait(); print('done', flush=True); time.sleep(60)"


def run(directory: Path, kind: str, end: str, write: str = "None") -> "subprocess.Popen[str]":
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM.replace("{end}", end), str(directory), kind, write]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def found(directory: Path, kind: str) -> int:
    """How many of the hundred values a new process finds."""
    if kind == "bare":
        with Store(directory, 1 << 20) as store:
            return sum(store.get(str(number)) == b"%d" % number for number in range(100))
    tier = Files(directory, 1 << 20) if kind == "files" else Store(directory, 1 << 20)
    with Cache([Memory(1 << 20), tier]) as cache:
        return sum(cache.get(str(number)) == b"%d" % number for number in range(100))


@pytest.mark.parametrize(
    ("kind", "kill"), [("store", signal.SIGTERM), ("alone", signal.SIGKILL), ("third", signal.SIGKILL)]
)
def test_a_kill_loses_nothing_that_the_background_has_written(tmp_path: Path, kind: str, kill: signal.Signals) -> None:
    with run(tmp_path / "tier", kind, KILLED) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.send_signal(kill)
        assert process.wait() == -kill
    assert found(tmp_path / "tier", kind) == 100


def test_a_kill_loses_what_is_written_back(tmp_path: Path) -> None:
    end = "print('done', flush=True); time.sleep(60)"
    with run(tmp_path / "tier", "store", end, "back") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.kill()
    assert found(tmp_path / "tier", "store") == 0


@pytest.mark.parametrize(
    ("kind", "write", "end"),
    [
        ("store", "None", "raise ValueError('on purpose')"),
        ("store", "None", "del cache"),
        ("store", "back", "sys.exit(3)"),
        ("files", "None", ""),
        ("bare", "None", ""),
    ],
)
def test_an_exit_loses_nothing(tmp_path: Path, kind: str, write: str, end: str) -> None:
    with run(tmp_path / "tier", kind, end, write) as process:
        process.communicate()
    assert found(tmp_path / "tier", kind) == 100


def test_a_forked_process_that_exits_leaves_the_parent_s_alone(tmp_path: Path) -> None:
    end = """
cache.wait_idle()
if (child := os.fork()) == 0:
    cache["0"] = b"of the child"
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
cache["1"] = b"of the parent"
"""
    with run(tmp_path / "tier", "store", end) as process:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    with Cache([Memory(1 << 20), Store(tmp_path / "tier", 1 << 20)]) as cache:
        assert [cache.get("0"), cache.get("1")] == [b"0", b"of the parent"]


MULTIPROCESSING = """
import multiprocessing, sys
from tiercel.cache import Cache, Memory, Store

def fill(directory):
    global cache, alone
    cache, alone = Cache([Memory(1 << 20), Store(directory + "/cache", 1 << 20)]), Store(directory + "/alone", 1 << 20)
    for number in range(100):
        cache[str(number)] = alone[str(number)] = b"%d" % number

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=fill, args=(sys.argv[2],))
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_child_of_multiprocessing_loses_nothing(tmp_path: Path, method: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(MULTIPROCESSING)
    subprocess.run([sys.executable, "-W", "ignore", str(program), method, str(tmp_path)], check=True, timeout=60)
    with Store(tmp_path / "alone", 1 << 20) as alone:
        assert len(alone) == 100
    assert found(tmp_path / "cache", "store") == 100


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit of descriptors")
def test_a_store_without_descriptors_keeps_what_is_on_disk(tmp_path: Path) -> None:
    import resource

    with Store(tmp_path, 1 << 24) as store:
        store.update({str(number): bytes([number]) * 2000 for number in range(200)})
        assert store.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Store(tmp_path, 1 << 24) as store:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            store.flush()
            store.close()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with Store(tmp_path, 1 << 24) as store:
        assert (len(store), store.stats()["damaged"]) == (200, 0)


def test_what_is_put_is_in_the_next_tier_after_settling(tmp_path: Path) -> None:
    for write, expected in (("through", 50), ("back", 0), (None, 50)):
        with Cache([Memory(1 << 20), Store(tmp_path / str(write), 1 << 20)], write=write) as cache:  # pyright: ignore[reportArgumentType]
            for number in range(50):
                cache[str(number)] = number
            cache.wait_idle()
            below = cache.stats()["tiers"][1]
            assert (below["written"], below["demoted"], below["waiting"]) == (expected, 0, 0)
            # One more entry is the record of the namespace.
            assert below["own"]["entries"] == expected + 1


@pytest.mark.parametrize(("write", "expected"), [(None, 0), ("through", 20)])
def test_a_tier_outside_is_written_through_to_if_that_is_wanted(write: Any, expected: int) -> None:
    with Cache([Memory(1 << 20), Wrapped(Shelf())], write=write) as cache:
        for number in range(20):
            cache[str(number)] = number
        cache.wait_idle()
        assert cache.stats()["tiers"][1]["written"] == expected


def test_what_is_replaced_or_deleted_is_so_in_the_next_tier(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 20)
    with Cache([Memory(1 << 20), store]) as cache:
        for value in (1, 2, 3):
            cache["a"], cache["b"] = value, value
        del cache["b"]
        cache.wait_idle()
        names = [bytes(name) for name in store if not bytes(name).startswith(b"\xff")]
        assert [name[-1:] for name in names] == [b"a"]
        assert Codec().decode((store.get(names[0]) or b"")[64:]) == 3


def test_two_who_write_a_key_come_in_one_order_to_both_tiers(tmp_path: Path) -> None:
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
        stack = cache._shared.stack
        first, second = stack.tiers[:2]
        enqueue, begun, order = second.enqueue, threading.Event(), list[bytes]()

        def enqueued(name: bytes, data: bytes | None, *, through: bool = False) -> None:
            if data is not None and not begun.is_set():
                begun.set()
                # Later writers must wait: the first tier has the value, but the queue does not.
                later = threading.Thread(target=cache.put, args=("a", 2))
                later.start()
                later.join(0.05)
                assert later.is_alive()
                assert first.backend.get(name) == data
                waiting.append(later)
            order.append(data or b"")
            enqueue(name, data, through=through)

        waiting: list[threading.Thread] = []
        second.enqueue = enqueued
        cache.put("a", 1)
        for thread in waiting:
            thread.join()
        cache.wait_idle()
        (name,) = [bytes(key) for key in second.backend if not bytes(key).startswith(b"\xff")]
        assert second.backend.get(name) == first.backend.get(name) == order[-1]
        assert cache["a"] == 2


def test_values_that_are_written_through_are_never_dropped(tmp_path: Path) -> None:
    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)], queue_bytes=2000) as cache:
        for number in range(200):
            cache[str(number)] = bytes(1000)
        cache.wait_idle()
        below = cache.stats()["tiers"][1]
        assert (below["dropped"], below["own"]["entries"]) == (0, 201)


def test_a_cache_that_nobody_holds_lets_go_of_its_tiers(tmp_path: Path) -> None:
    cache = Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)])
    cache["a"] = 1
    cache.wait_idle()
    del cache
    for _ in range(20_000):
        try:
            again = Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)])
        except tiercel.AlreadyOpenError:
            # The last round of its thread.
            threading.Event().wait(0.001)
        else:
            with again:
                assert again["a"] == 1
            return
    raise AssertionError("still open")


def test_a_second_close_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, asked, order = Gate(), threading.Event(), list[str]()

    class Slow(Store):
        def close(self) -> None:
            gate(None)
            super().close()
            order.append("closed")

    class Telling:
        """A lock that tells that a thread wants it."""

        def __init__(self) -> None:
            self.lock = threading.RLock()

        def __enter__(self) -> None:
            asked.set()
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    cache = Cache([Memory(1 << 20), Slow(tmp_path, 1 << 20)])
    monkeypatch.setattr(cache._shared, "closing", Telling())
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.close)
        assert gate.begun.wait(30)
        asked.clear()
        second = pool.submit(lambda: (cache.close(), order.append("second")))
        assert asked.wait(30)
        gate.may_end.set()
        first.result(30), second.result(30)
    assert order == ["closed", "second"]


def test_a_signal_handler_may_close_a_cache_that_is_being_closed(tmp_path: Path) -> None:
    class Interrupted(Store):
        def flush(self) -> bool:
            # As a handler does, on the thread of the first call.
            if not cache._shared.closed:
                self.flush = super().flush
                cache.close()
            return super().flush()

    cache = Cache([Memory(1 << 20), Interrupted(tmp_path, 1 << 20)])
    cache.close()
    Store(tmp_path, 1 << 20).close()


def test_another_way_to_write_is_refused() -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"write: expected 'through' or 'back', got \[\]"):
        Cache([Memory(1 << 20)], write=[])  # type: ignore[arg-type]
    with pytest.raises(tiercel.InvalidInputError, match="write: expected 'through' or 'back', got 'around'"):
        Cache([Memory(1 << 20)], write="around")  # pyright: ignore[reportArgumentType]


def test_ints_that_python_does_not_print_are_refused() -> None:
    huge: Any = 10**5000
    with pytest.raises(tiercel.InvalidInputError, match=r"ttl: expected more than 0 .* an int of 16610 bits"):
        Cache([Memory(1 << 20)], ttl=huge)
    with pytest.raises(tiercel.InvalidInputError, match="tiers: expected a list of tiers, got an int of 16610 bits"):
        Cache(huge)
    with (
        Cache([Memory(1 << 20)]) as cache,
        pytest.raises(tiercel.InvalidInputError, match="function: expected a function, got an int of 16610 bits"),
    ):
        cache.memoize(huge)


@pytest.mark.skipif(os.name != "posix", reason="a signal that kills")
def test_a_thread_that_cannot_be_had_leaves_the_work_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Cache([Memory(1 << 20), Store(tmp_path, 1 << 20)]) as cache:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            cache["a"] = 1
        assert cache.stats()["tiers"][1]["waiting"] == 1
        cache.wait_idle()
        assert cache.stats()["tiers"][1]["waiting"] == 0
