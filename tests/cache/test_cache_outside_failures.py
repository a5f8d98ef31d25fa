"""Tiers outside of the process when what is outside fails: a miss, counted, never an error and never a wrong value."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside import SHORT, Clock, Failure, Shelf, impatient, on_shelf, rest
from support.naming import shown
from support.waiting import LONG, until

import tiercel
from tiercel.cache import Object, Wrapped
from tiercel.cache.outside import doubts
from tiercel.cache.outside.guard import Breaker, Guard


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.release()


FAULTS = ["works", "works", "works", "fails", "loses", "late", "damages", "mixes up", "forgets"]
KEYS = ["a", "b", b"a", "", "long" * 50]
step = st.tuples(
    st.sampled_from(["put", "put", "get", "get", "delete", "many", "list", "clear", "land", "flush"]),
    st.sampled_from(KEYS),
    st.sampled_from(FAULTS),
)


@given(steps=st.lists(step, max_size=60))
def test_no_failure_brings_a_wrong_value(steps: list[tuple[str, str | bytes, str]]) -> None:
    shelf, clock = Shelf(), Clock()
    tier, model = on_shelf(shelf, clock=clock), dict[str | bytes, bytes]()
    for number, (what, key, shelf.mode) in enumerate(steps):
        clock.now += 100
        if what == "put":
            model[key] = b"%d" % number
            tier.put(key, model[key])
        elif what == "delete":
            model.pop(key, None)
            tier.delete(key)
        elif what == "clear" and number % 3 == 0:
            model.clear()
            tier.clear()
        elif what == "many":
            assert all(value in (None, model.get(each)) for each, value in zip(KEYS, tier.get_many(KEYS), strict=True))
        elif what == "list":
            assert all(model.get(each) == value for each, value in tier.items())
        elif what == "land":
            shelf.land()
        elif what == "flush":
            tier.flush()
        assert tier.get(key) in (None, model.get(key))
        rest(tier)


@given(steps=st.lists(step, max_size=40))
def test_what_answers_again_keeps_again(steps: list[tuple[str, str | bytes, str]]) -> None:
    shelf, clock = Shelf(), Clock()
    tier = on_shelf(shelf, clock=clock)
    for what, key, shelf.mode in steps:
        clock.now += 100
        if what == "delete":
            tier.delete(key)
        else:
            tier.put(key, what.encode())
        rest(tier)
    clock.now += 100
    shelf.mode = "works"
    assert tier.flush()
    for key in KEYS:
        assert tier.put(key, b"new")
    while shelf.pending:
        shelf.land()
    assert set(tier.values()) <= {b"new"}
    for key in KEYS:
        assert tier.put(key, b"newer")
    assert dict(tier) == dict.fromkeys(KEYS, b"newer")
    assert tier.stats()["breaker"] == "closed"


@pytest.mark.parametrize("mode", ["fails", "loses", "late"])
def test_a_failure_is_a_counted_miss(shelf: Shelf, mode: str) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    shelf.mode = mode
    assert (tier.get("a"), "a" in tier, tier.get_many(["a"])) == (None, False, [None])
    assert (tier.stats()["failures"], tier.stats()["misses"], tier.stats()["error"]) == (3, 2, "Failure: get")
    with pytest.raises(KeyError):
        tier["a"]


def test_a_failure_of_a_write_or_a_deletion_is_no_error(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    shelf.mode = "fails"
    tier["b"] = b"2"
    del tier["a"]
    tier.clear()
    assert (tier.put("a", b"1"), tier.delete("a"), len(tier), list(tier), tier.bytes) == (False, False, 0, [], 0)
    assert tier.pop("a", b"default") == b"default"


@pytest.mark.parametrize("answer", ["text", 5, object(), b"", b"short", [1], memoryview(b"abcd" * 40)[::2]], ids=shown)
def test_nonsense_is_a_counted_miss(shelf: Shelf, answer: Any) -> None:
    tier = on_shelf(shelf)
    shelf.rows["t-61"] = answer
    assert tier.get("a") is None
    assert tier.stats()["damaged"] == 1
    assert not shelf.rows


def test_every_flipped_bit_is_a_counted_miss(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"a value"
    content = shelf.rows["t-61"]
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        shelf.rows["t-61"] = bytes(damaged)
        assert tier.get("a") is None
        assert (tier.stats()["damaged"], shelf.rows) == (bit + 1, {})


def test_what_another_key_has_is_not_given(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"], tier["b"] = b"1", b"2"
    shelf.rows["t-61"], shelf.rows["b-61"] = shelf.rows["t-62"], shelf.rows["t-61"]
    assert tier.get_many(["a", b"a", "b"]) == [None, None, b"2"]


def test_a_slow_call_is_a_miss_and_goes_on(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    shelf.mode = "hangs"
    with impatient(tier):
        assert (tier.get("a"), tier.put("b", b"2")) == (None, False)
    # On a busy machine the second call may not even have begun.
    assert 1 <= tier.stats()["timeouts"] <= tier.stats()["failures"] == 2
    assert tier.stats()["breaker"] == "closed"
    shelf.release()
    until(lambda: tier.get("a") == b"1")
    # What hung may land after what is put now, which is a miss then.
    until(lambda: tier.put("b", b"3") and tier.get("b") == b"3")


def test_a_write_that_lands_after_a_newer_one_is_not_given(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    gate = shelf._gate
    shelf.mode = "hangs"
    with impatient(tier):
        assert not tier.put("a", b"2")
    assert tier.get("a") is None
    shelf.mode = "works"
    assert tier.put("a", b"3")
    assert tier.get("a") == b"3"
    newest = shelf.rows["t-61"]
    gate.set()
    until(lambda: shelf.rows.get("t-61") != newest)
    assert tier.get("a") is None
    assert tier.put("a", b"4")
    assert tier.get("a") == b"4"


def test_while_a_key_is_written_its_old_value_is_there(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    shelf.mode = "hangs"
    writer = threading.Thread(target=tier.put, args=("a", b"2"))
    writer.start()
    assert shelf.hanging.acquire(timeout=LONG)
    shelf.mode = "works"
    assert tier.get("a") == b"1"
    shelf.release()
    writer.join()
    assert tier.get("a") == b"2"


def test_a_write_that_lands_after_a_deletion_is_not_given(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    shelf.mode = "late"
    assert not tier.put("a", b"1")
    shelf.mode = "works"
    assert not tier.delete("a")
    shelf.land()
    assert shelf.rows
    assert tier.get("a") is None
    assert not shelf.rows


def test_what_is_in_doubt_is_deleted_when_the_tier_answers(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier.update({"a": b"1", "b": b"1", "c": b"1"})
    shelf.mode = "fails"
    tier["a"] = b"2"
    del tier["b"]
    shelf.mode = "works"
    assert (tier.get("a"), tier.get("b"), "a" in tier, list(tier)) == (None, None, False, ["c"])
    until(lambda: set(shelf.rows) == {"t-63"})
    assert tier.flush()


def test_what_could_not_be_deleted_is_deleted_later(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    shelf.mode, shelf.spared = "fails", {"get"}
    tier["a"] = b"2"
    tier.get("b")
    rest(tier)
    assert shelf.rows
    shelf.mode = "works"
    tier.get("b")
    rest(tier)
    assert not shelf.rows


def test_what_was_never_tried_is_deleted_later(shelf: Shelf) -> None:
    clock = Clock()
    tier = on_shelf(shelf, clock=clock)
    tier["a"] = b"1"
    shelf.mode = "fails"
    for _ in range(5):
        tier.get("b")
    shelf.mode = "works"
    tier["a"] = b"2"
    assert (tier.stats()["breaker"], len(shelf.rows)) == ("open", 1)
    clock.now += 1
    assert not tier.delete("b")
    assert tier.flush()
    assert not shelf.rows


def test_what_is_in_doubt_counts_as_not_there(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    shelf.mode = "fails"
    tier["a"] = b"2"
    shelf.mode, shelf.spared = "hangs", {"get", "delete"}
    assert ("a" in tier, tier.get("a"), tier.delete("a")) == (False, None, False)


def test_a_read_that_ends_after_a_failed_write_is_a_miss(shelf: Shelf) -> None:
    tier, answers = on_shelf(shelf), list[bytes | None]()
    tier["a"] = b"1"
    shelf.mode = "hangs"
    reader = threading.Thread(target=lambda: answers.append(tier.get("a")))
    reader.start()
    assert shelf.hanging.acquire(timeout=LONG)
    shelf.mode = "fails"
    tier["a"] = b"2"
    shelf.release()
    reader.join()
    assert answers == [None]


def test_a_key_stays_in_doubt_until_the_newest_write_is_settled() -> None:
    known = doubts.Doubts()
    first, second = known.begin("a"), known.begin("a")
    known.lose("a", second)
    known.settle("a", first)
    assert known.doubted("a")
    assert [name for name, _ in known.take_lost(9)] == ["a"]
    third = known.begin("a")
    known.settle("a", third)
    assert not known.doubted("a")
    assert [known.believed("a", known.stamp(number)) for number in (first, second, third)] == [False, False, True]


def test_a_trial_that_finds_no_thread_has_failed() -> None:
    clock, failing, hanging, running = Clock(), threading.Event(), threading.Event(), threading.Semaphore(0)
    guard = Guard(LONG, LONG, clock)

    def fail() -> None:
        failing.wait(LONG)
        raise Failure

    def hang() -> None:
        running.release()
        hanging.wait(LONG)

    asking = threading.Thread(target=guard.ask, args=[*[fail] * 5, *[hang] * 8])
    asking.start()
    until(lambda: (len(guard._running), guard._pool._jobs.qsize()) == (8, 5))
    failing.set()
    assert all(running.acquire(timeout=LONG) for _ in range(8))
    assert guard.breaker == "open"
    clock.now += 1
    guard._soft = SHORT
    assert (guard.ask(hang)[0].state, guard.breaker) == ("never", "open")
    hanging.set()
    asking.join()


def test_the_key_of_another_name_is_not_listed(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a" * 200] = b"1"
    ((name, content),) = shelf.rows.items()
    shelf.rows |= {
        name[:-1] + ("0" if name[-1] == "1" else "1"): content,
        "d-" + "0" * 64: b"\xff" * 10,
        "t-ff": content,
    }
    assert list(tier) == ["a" * 200]


def test_flush_tells_whether_something_is_in_doubt(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    assert tier.flush()
    shelf.mode = "fails"
    tier["a"] = b"2"
    assert not tier.flush()
    shelf.mode = "works"
    assert tier.flush()
    assert not shelf.rows


def test_when_all_threads_hang_calls_are_misses_at_once(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    shelf.mode = "hangs"
    with impatient(tier):
        until(lambda: tier.get("a") is None and len(shelf.calls) == 8)
    calls = len(shelf.calls)
    assert (tier.get("a"), tier.put("a", b"1")) == (None, False)
    assert len(shelf.calls) == calls
    shelf.release()
    until(lambda: tier.put("a", b"2"))
    assert tier.get("a") == b"2"


def test_a_call_beyond_the_hard_limit_has_failed(shelf: Shelf) -> None:
    clock = Clock()
    tier = on_shelf(shelf, clock=clock)
    shelf.mode = "hangs"
    with impatient(tier):
        until(lambda: tier.get("a") is None and len(shelf.calls) >= 5)
    assert tier.stats()["breaker"] == "closed"
    clock.now += LONG
    shelf.mode = "works"
    assert tier.get("a") is None
    assert tier.stats()["breaker"] == "open"
    clock.now += 1
    tier.get("a")
    assert tier.stats()["breaker"] == "closed"


def test_a_breaker_opens_tries_and_closes() -> None:
    clock = Clock()
    breaker = Breaker(clock)

    def fail() -> None:
        ticket = breaker.admit()
        assert ticket is not None
        breaker.tell(ticket, answered=False)

    for _ in range(3):
        for _ in range(4):
            fail()
        breaker.tell(breaker.admit() or 0, answered=True)
    for _ in range(5):
        assert breaker.state == "closed"
        fail()
    for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60]:
        clock.now += pause - 0.01
        assert (breaker.admit(), breaker.state) == (None, "open")
        clock.now += 0.01
        ticket = breaker.admit()
        assert ticket is not None
        assert (breaker.admit(), breaker.state) == (None, "trial")
        breaker.tell(ticket, answered=False)
    clock.now += 60
    late = ticket = breaker.admit()
    assert ticket is not None
    breaker.tell(ticket, answered=True)
    assert breaker.state == "closed"
    # What began before the breaker closed tells nothing of now.
    for _ in range(9):
        breaker.tell(late or 0, answered=False)
    assert breaker.state == "closed"
    for _ in range(5):
        fail()
    clock.now += 1
    assert breaker.admit() is not None


def test_while_the_breaker_is_open_nothing_is_called(shelf: Shelf) -> None:
    clock = Clock()
    tier = on_shelf(shelf, clock=clock)
    shelf.mode = "fails"
    for _ in range(5):
        tier.get("a")
    calls = len(shelf.calls)
    shelf.mode = "works"
    assert (tier.get("a"), "a" in tier, tier.put("a", b"1"), tier.delete("b")) == (None, False, False, False)
    assert len(tier) == 0
    assert (len(shelf.calls), tier.stats()["failures"], tier.stats()["breaker"]) == (calls, 10, "open")
    clock.now += 1
    assert tier.put("a", b"2")
    assert (tier.get("a"), tier.stats()["breaker"]) == (b"2", "closed")


def test_beyond_a_bound_the_doubt_is_general(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubts, "MOST", 10)
    clock = Clock()
    tier, other = on_shelf(shelf, clock=clock), on_shelf(shelf)
    other["stranger"] = b"1"
    shelf.mode = "fails"
    for number in range(11):
        clock.now += 100
        tier[f"{number}"] = b"2"
    clock.now += 100
    shelf.mode = "works"
    assert tier.get("stranger") is None
    other["stranger"] = b"1"
    assert tier.get("stranger") is None
    tier["mine"] = b"3"
    assert tier["mine"] == b"3"
    assert not tier.flush()
    other["stranger"] = b"1"
    tier.clear()
    assert (list(tier), tier.flush()) == ([], True)
    other["stranger"] = b"4"
    assert tier["stranger"] == b"4"


def test_many_keys_that_were_in_doubt_take_bounded_memory(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubts, "MOST", 10)
    clock = Clock()
    tier = on_shelf(shelf, clock=clock)
    for number in range(40):
        clock.now += 100
        shelf.mode = "late"
        tier[f"{number}"] = b"old"
        shelf.mode = "works"
        tier[f"{number}"] = b"new"
    assert len(tier._doubts._floors) == 10
    assert not tier._doubts._open
    while shelf.pending:
        shelf.land()
    assert not any(tier.get(f"{number}") for number in range(40))


def test_a_clear_that_failed_gives_nothing_back(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier.update({"a": b"1", "b": b"2"})
    shelf.mode = "fails"
    tier.clear()
    shelf.mode = "works"
    assert tier.get_many(["a", "b"]) == [None, None]
    tier["a"] = b"3"
    assert dict(tier.items()) == {"a": b"3"}


def test_threads_see_no_value_that_was_replaced(shelf: Shelf) -> None:
    """Each thread writes numbers that grow under a key of its own, and what it reads is the last or nothing."""
    clock = Clock()
    tier = on_shelf(shelf, clock=clock)
    wrong: list[tuple[int, bytes | None]] = []

    def work(thread: int) -> None:
        for number in range(300):
            clock.now += 100
            shelf.mode = ["works", "works", "fails", "late", "loses"][(number * 7 + thread) % 5]
            tier.put(f"{thread}", b"%d" % number)
            if (value := tier.get(f"{thread}")) not in (None, b"%d" % number):
                wrong.append((number, value))
            if number % 10 == 0:
                shelf.land()

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_interrupted_write_is_in_doubt(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["a"] = b"1"
    shelf.mode = "hangs"

    def interrupt() -> None:
        assert shelf.hanging.acquire(timeout=LONG)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        tier["a"] = b"2"
    interrupting.join()
    assert tier.get("a") is None
    shelf.release()
    until(lambda: tier.get("a") == b"2")


def use(tier: Any, answer: Connection) -> None:
    """What a forked process sees."""
    kept = tier.put("child", b"2")
    answer.send((tier.get("parent"), kept, tier.get("child")))


def use_another(answer: Connection) -> None:
    """A tier that is made in a forked process."""
    with Object("memory:///") as tier:
        answer.send((tier.put("a", b"1"), tier.get("a"), tier.stats()["failures"]))


def forked(tier: Any) -> Any:
    return answer_of(use, tier)


def answer_of(work: Callable[..., None], *args: Any) -> Any:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=work, args=(*args, there))
    process.start()
    answer = here.recv()
    process.join()
    assert process.exitcode == 0
    return answer


needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")


@needs_fork
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_goes_on_with_a_shelf_and_without_an_object_store(shelf: Shelf) -> None:
    with on_shelf(shelf) as tier, Object("memory:///") as store:
        tier["parent"] = store["parent"] = b"1"
        assert forked(tier) == (b"1", True, b"2")
        assert forked(store) == (None, False, None)
        assert answer_of(use_another) == (False, None, 1)
        assert dict(tier) == dict(store) == {"parent": b"1"}


@needs_fork
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_knows_what_was_in_doubt(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    tier["parent"] = b"1"
    shelf.mode = "fails"
    tier["parent"] = b"2"
    shelf.mode = "works"
    assert forked(tier) == (None, True, b"2")


@pytest.mark.parametrize(
    "limits", [{"soft": 0}, {"soft": True}, {"hard": "1"}, {"soft": 5, "hard": 4}, {"hard": float("nan")}], ids=shown
)
def test_other_limits_are_refused(shelf: Shelf, limits: dict[str, Any]) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"(soft|hard): expected a number from 0.001 to [\d.]+, got"):
        Wrapped(shelf, **limits)


def test_an_object_without_the_methods_is_refused() -> None:
    with pytest.raises(
        tiercel.InvalidInputError, match="object: expected methods get, put and delete, got dict without put"
    ):
        Wrapped({})


def test_a_closed_tier_says_so(shelf: Shelf) -> None:
    tier = on_shelf(shelf)
    assert not tier.closed
    tier.close()
    tier.close()
    assert (tier.closed, repr(tier)) == (True, "<OnShelf: closed>")
    for call in (
        tier.flush,
        tier.clear,
        tier.stats,
        lambda: tier["a"],
        lambda: tier.put("a", b""),
        lambda: tier.delete("a"),
        lambda: len(tier),
        lambda: iter(tier),
        lambda: "a" in tier,
    ):
        with pytest.raises(tiercel.ClosedError, match="the tier is closed"):
            call()
