"""Parts of the tiers written in Python: sealed values, and a sketch of how often keys were used."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.naming import shown

import tiercel
from tiercel._core import Sketch, seal, unseal

keys = st.text(st.characters(codec="utf-8"), max_size=20) | st.binary(max_size=20)
MOST = 1 << 24
levels = st.none() | st.integers(1, 22)


@given(key=keys, value=st.binary(max_size=500).map(lambda value: value * 7), level=levels)
def test_a_sealed_value_comes_back_to_its_key_alone(key: str | bytes, value: bytes, level: int | None) -> None:
    frame = seal(key, value, level)
    assert unseal(key, frame, MOST) == unseal(key, bytearray(frame), MOST) == value
    assert len(frame) <= len(value) + 32
    assert unseal("another" if key != "another" else "other", frame, MOST) is None


@pytest.mark.parametrize("level", [None, 3])
def test_damage_is_none(level: int | None) -> None:
    frame = seal("key", b"some value of many values " * 10, level)
    for bit in range(len(frame) * 8):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        assert unseal("key", damaged, MOST) is None
    for length in range(len(frame)):
        assert unseal("key", frame[:length], MOST) is None
    assert unseal("key", frame + b"x", MOST) is None


def test_a_large_value_is_compressed() -> None:
    value = bytes(range(256)) * 40_000
    frame = seal(b"key", value, level=3)
    assert len(frame) < 10_000
    assert unseal(b"key", frame, MOST) == value


@pytest.mark.parametrize("level", [0, -1, 23, 1.5, True, "3"], ids=shown)
def test_other_levels_are_refused(level: Any) -> None:
    expected = re.escape(f"level: expected None or an int from 1 to 22, got {level!r}")
    with pytest.raises(tiercel.InvalidInputError, match=expected):
        seal("key", b"", level)


def test_other_keys_and_values_are_refused() -> None:
    wrong: Any = 5
    for call in (lambda: seal(wrong, b""), lambda: unseal(wrong, b"", MOST)):
        with pytest.raises(tiercel.InvalidInputError, match="key: expected str or bytes, got 5"):
            call()
    with pytest.raises(tiercel.InvalidInputError, match="value: expected bytes, got 5"):
        seal("key", wrong)
    with pytest.raises(tiercel.InvalidInputError, match="frame: expected bytes, got 5"):
        unseal("key", wrong, MOST)


@given(width=st.integers(16, 100), added=st.lists(st.sampled_from(["a", b"a", "b", "c", "d"]), max_size=150))
def test_a_sketch_never_counts_too_low(width: int, added: list[str | bytes]) -> None:
    sketch, model = Sketch(width), dict[str | bytes, int]()
    for key in added:
        model[key] = min(model.get(key, 0) + 1, 15)
        assert model[key] <= sketch.add(key) <= 15
    for key in ["a", b"a", "b", "c", "d"]:
        assert model.get(key, 0) <= sketch.count(key) <= 15


def test_a_sketch_forgets_by_halves() -> None:
    sketch = Sketch(32)
    counts = [sketch.add("often") for _ in range(320)]
    assert counts[:16] == [*range(1, 16), 15]
    assert (counts[-1], sketch.count("often")) == (15, 7)


@pytest.mark.parametrize("width", [0, -1, 2**28 + 1, 2**64, 1.5, None, True], ids=shown)
def test_other_widths_are_refused(width: Any) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=r"width: expected an int from 1 to 2\*\*28, got"):
        Sketch(width)
