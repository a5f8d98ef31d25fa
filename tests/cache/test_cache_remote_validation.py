"""Keys of remote tiers after a write or deletion of unknown outcome: never an older value."""

import signal
import threading

import pytest
from remote import Clock, Shelf, impatient, on_shelf, rest
from support.waiting import LONG, until

from tiercel.cache.remote import validation


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
    known = validation.WriteValidator()
    first, second = known.begin("a"), known.begin("a")
    known.fail("a", second)
    known.confirm("a", first)
    assert known.is_uncertain("a")
    assert [name for name, _ in known.take_failed(9)] == ["a"]
    third = known.begin("a")
    known.confirm("a", third)
    assert not known.is_uncertain("a")
    assert [known.is_valid("a", known.version(number)) for number in (first, second, third)] == [False, False, True]


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


def test_beyond_a_bound_the_doubt_is_general(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MOST", 10)
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
    monkeypatch.setattr(validation, "MOST", 10)
    clock = Clock()
    tier = on_shelf(shelf, clock=clock)
    for number in range(40):
        clock.now += 100
        shelf.mode = "late"
        tier[f"{number}"] = b"old"
        shelf.mode = "works"
        tier[f"{number}"] = b"new"
    assert len(tier._validator._floors) == 10
    assert not tier._validator._open
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
    """Each thread writes growing numbers under its own key, and reads the last one or nothing."""
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
