"""The tiers of a cache from Python: mappings of bytes that may forget, but invent nothing."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.naming import shown

import tiercel
from tiercel.cache import Files, Memory, PersistentTier, Store, Tier

mapping_tests = pytest.importorskip("test.mapping_tests")

MIB = 1 << 20
Make = Callable[[int], Tier]


@pytest.fixture(params=[Memory, Store, Files])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Make tiers of a number of bytes."""
    made: list[Store | Files] = []

    def lasting(size: int) -> Tier:
        made.append(request.param(tmp_path / str(len(made)), size, level=None))
        return made[-1]

    yield Memory if request.param is Memory else lasting
    for each in made:
        each.close()


def put_text(tier: Tier, key: Any, value: Any) -> None:
    """Some of CPython's tests put text."""
    tier.put(key, value.encode() if isinstance(value, str) else value)


class EncodingMemory(Memory):
    """A tier that accepts text and encodes it."""

    __setitem__ = put_text


class EncodingStore(Store):
    """A tier that accepts text and encodes it."""

    __setitem__ = put_text


class EncodingFiles(Files):
    """A tier that accepts text and encodes it."""

    __setitem__ = put_text


class TestMemoryIsAMapping(mapping_tests.BasicTestMappingProtocol):
    """CPython's tests of mappings."""

    type2test: Any = staticmethod(lambda: EncodingMemory(MIB))

    def _reference(self) -> dict[str, bytes]:
        return {"1": b"2", "key1": b"value1", "key2": b"\x01\x02\x03"}


class TestStoreIsAMapping(TestMemoryIsAMapping):
    """The same with a store."""

    @pytest.fixture(autouse=True)
    def _stores(self, tmp_path: Path) -> None:
        numbers = iter(range(1000))
        self.type2test = lambda: EncodingStore(tmp_path / str(next(numbers)), MIB)


class TestFilesAreAMapping(TestMemoryIsAMapping):
    """The same with a tier of files."""

    @pytest.fixture(autouse=True)
    def _stores(self, tmp_path: Path) -> None:
        numbers = iter(range(1000))
        self.type2test = lambda: EncodingFiles(tmp_path / str(next(numbers)), MIB)


def test_text_and_bytes_are_two_keys(make: Make) -> None:
    tier = make(MIB)
    tier["a"], tier[b"a"] = b"text", b"bytes"
    assert (tier["a"], tier[b"a"], len(tier)) == (b"text", b"bytes", 2)
    assert set(tier) == {"a", b"a"}
    del tier["a"]
    assert "a" not in tier
    assert tier.get_many(["a", b"a"]) == [None, b"bytes"]


@pytest.mark.parametrize("value", [b"", bytes(1), bytearray(b"abc"), memoryview(b"abcdef")[::2]], ids=shown)
def test_any_buffer_is_a_value(make: Make, value: Any) -> None:
    tier = make(MIB)
    assert tier.put("key", value)
    assert tier["key"] == bytes(value)


@pytest.mark.parametrize("key", ["", b"", "k" * 65536, b"\0" * 65536, "ключ", b"\xff\xfe"], ids=len)
def test_any_text_and_any_bytes_are_keys(make: Make, key: str | bytes) -> None:
    tier = make(8 * MIB)
    tier[key] = b"value"
    assert tier[key] == b"value"
    assert list(tier) == [key]


def test_a_value_of_100_megabytes(make: Make) -> None:
    large = bytes(1000) * 100_000
    tier = make(4 << 30)
    assert tier.put("large", large)
    assert tier["large"] == large
    tier = make(200 * MIB)
    assert tier.put("small", b"x")
    assert not tier.put("large", large * 3)
    with pytest.raises(tiercel.InvalidInputError, match=r"value: expected at most \d+ bytes .*, got \d{9}"):
        tier["large"] = large * 3
    assert (tier.get("large"), tier["small"], tier.stats()["refused"]) == (None, b"x", 2)


@pytest.mark.parametrize("key", [None, 5, 1.5, ("a",), bytearray(b"a"), "\ud800"], ids=shown)
def test_other_keys_are_refused(make: Make, key: Any) -> None:
    tier = make(MIB)
    calls = [
        lambda: tier[key],
        lambda: tier.get(key),
        lambda: tier.put(key, b""),
        lambda: tier.delete(key),
        lambda: tier.get_many(["a", key]),
    ]
    for call in calls:
        with pytest.raises(tiercel.InvalidInputError, match="key: expected"):
            call()
    if not isinstance(key, str):
        assert key not in tier
    assert len(tier) == 0


@pytest.mark.parametrize("keys", [None, 5, "ab", b"ab", [1]], ids=shown)
def test_other_lists_of_keys_are_refused(make: Make, keys: Any) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"keys?: expected .*str or bytes, got"):
        make(MIB).get_many(keys)


def test_keys_may_be_any_iterable(make: Make) -> None:
    tier = make(MIB)
    tier.update({"a": b"1", "b": b"2"})
    assert tier.get_many(iter(["a", "x"])) == [b"1", None]
    assert sorted(tier.get_many(tier.keys())) == [b"1", b"2"]


@pytest.mark.parametrize("value", [None, 5, "text", ["a"], np.array([object()])], ids=shown)
def test_other_values_are_refused(make: Make, value: Any) -> None:
    tier = make(MIB)
    tier["a"] = b"kept"
    with pytest.raises(tiercel.InvalidInputError, match="value: expected bytes, got"):
        tier["a"] = value
    assert tier["a"] == b"kept"


@pytest.mark.parametrize("size", [0, -1, 2**64, 1.5, "1", None, True], ids=shown)
def test_other_sizes_are_refused(size: Any, tmp_path: Path) -> None:
    for make in (Memory, lambda size: Store(tmp_path, size), lambda size: Files(tmp_path, size)):
        with pytest.raises(tiercel.InvalidInputError, match="bytes: expected an int from 1 to"):
            make(size)


def test_an_absent_key_is_named(make: Make) -> None:
    tier = make(MIB)
    with pytest.raises(KeyError, match=r"^'absent'$"):
        tier["absent"]
    with pytest.raises(KeyError, match=r"^b'absent'$"):
        del tier[b"absent"]
    assert tier.get("absent", 7) == 7


def test_a_tier_keeps_to_its_size(make: Make) -> None:
    tier = make(MIB)
    for number in range(5000):
        assert tier.put(f"key {number}", bytes(1000))
    assert tier.bytes <= MIB
    stats = tier.stats()
    assert stats["entries"] == len(tier) == len(list(tier))
    assert 500 < stats["entries"] == 5000 - stats["evictions"]


def test_a_tier_tells_what_is_in_it(make: Make) -> None:
    tier = make(MIB)
    tier["a"] = bytes(1000)
    assert repr(tier) == f"<{type(tier).__name__}: 1 keys, {tier.bytes:,} bytes>"
    if isinstance(tier, PersistentTier):
        tier.close()
        assert repr(tier) == f"<{type(tier).__name__}: closed>"


def test_what_is_driven_out_is_handed_out(make: Make) -> None:
    tier, model = make(20_000), dict[str | bytes, bytes]()
    evicted = 0
    for number in range(300):
        key, value = f"key {number * 7 % 90}", bytes([number % 256]) * (number * 13 % 1500)
        model[key] = value
        kept, gone = tier.put_evicting(key, value)
        assert kept
        evicted += len(gone)
        for key, value in gone:
            assert model.pop(key) == value
    assert dict(tier) == model
    assert tier.stats()["evictions"] == evicted > 100
    assert tier.put_evicting("large", bytes(50_000)) == (False, [])
    with pytest.raises(tiercel.InvalidInputError, match="key: expected"):
        tier.put_evicting(5, b"")  # pyright: ignore[reportArgumentType]


key_of = st.sampled_from(["a", "b", "c", b"a", b"b", ""])
steps = st.lists(st.tuples(st.sampled_from(["put", "delete", "get", "pop", "clear"]), key_of, st.binary(max_size=200)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_any_steps_beside_a_dictionary(make: Make, steps: list[tuple[str, str | bytes, bytes]]) -> None:
    tier, model = make(MIB), dict[str | bytes, bytes]()
    for what, key, value in steps:
        match what:
            case "put":
                tier[key] = model[key] = value
            case "delete":
                assert tier.delete(key) == (model.pop(key, None) is not None)
            case "pop":
                assert tier.pop(key, None) == model.pop(key, None)
            case "clear" if len(value) < 20:
                tier.clear()
                model.clear()
            case _:
                assert tier.get(key) == model.get(key)
        assert tier == model


def test_threads_do_not_mix_up_values(make: Make) -> None:
    tier = make(MIB)
    wrong: list[bytes] = []

    def work(thread: int) -> None:
        for number in range(2000):
            key = f"{(number * 7 + thread) % 50}"
            if number % 3 == 0:
                tier.put(key, key.encode() * 100)
            elif (value := tier.get(key)) is not None and value != key.encode() * 100:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def use(tier: Tier, answer: Connection) -> None:
    """Report what a forked process sees."""
    kept = tier.put("child", b"2")
    answer.send((tier.get("parent"), kept, tier.get("child")))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_a_memory_of_its_own_and_no_store(make: Make) -> None:
    tier = make(MIB)
    tier["parent"] = b"1"
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=use, args=(tier, there))
    process.start()
    answer = here.recv()
    process.join()
    assert answer == ((None, False, None) if isinstance(tier, PersistentTier) else (b"1", True, b"2"))
    assert process.exitcode == 0
    assert dict(tier) == {"parent": b"1"}
