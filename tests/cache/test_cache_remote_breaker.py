"""Remote tiers that are slow or silent: callers continue, and the breaker opens and closes."""

import threading

from remote import SHORT, Clock, Failure, Shelf, impatient, on_shelf
from support.waiting import LONG, until

from tiercel.cache.remote.guard import Breaker, Guard


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
    # The hanging call may land after this put, which is a miss then.
    until(lambda: tier.put("b", b"3") and tier.get("b") == b"3")


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
        breaker.record(ticket, answered=False)

    for _ in range(3):
        for _ in range(4):
            fail()
        breaker.record(breaker.admit() or 0, answered=True)
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
        breaker.record(ticket, answered=False)
    clock.now += 60
    late = ticket = breaker.admit()
    assert ticket is not None
    breaker.record(ticket, answered=True)
    assert breaker.state == "closed"
    # Calls from before the breaker closed say nothing about now.
    for _ in range(9):
        breaker.record(late or 0, answered=False)
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
