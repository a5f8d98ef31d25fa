"""Remote tiers when the outside fails: a miss, counted, never an error and never a wrong value."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote import Clock, Shelf, on_shelf, rest
from support.naming import shown

import tiercel
from tiercel.cache import Wrapped

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


@pytest.mark.parametrize(
    "limits",
    [
        {"soft_timeout": 0},
        {"soft_timeout": True},
        {"hard_timeout": "1"},
        {"soft_timeout": 5, "hard_timeout": 4},
        {"hard_timeout": float("nan")},
    ],
    ids=shown,
)
def test_other_limits_are_refused(shelf: Shelf, limits: dict[str, Any]) -> None:
    with pytest.raises(
        tiercel.InvalidInputError, match=r"(soft|hard)_timeout: expected a number from 0.001 to [\d.]+, got"
    ):
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
