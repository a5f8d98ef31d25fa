"""Values encoded as bytes come back unchanged."""

import datetime as dt
import enum
import json
import math
import os
import pickle
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from support.naming import shown

import tiercel
from tiercel.cache.values import Codec, DamagedValueError

PLAIN = Codec()
PICKLE = Codec("pickle (unsafe)")

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)
fields = [("id", ">i8"), ("at", "M8[us]"), ("name", "U3"), ("more", [("x", "f2", (2,)), ("ok", "?")])]
dtypes = npst.scalar_dtypes() | st.sampled_from([np.dtype(fields), np.dtype("S2")])
arrays = npst.arrays(dtypes, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


def same(left: Any, right: Any) -> bool:
    """Whether both are equal and of equal types, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return (
        left == right and math.copysign(1, left) == math.copysign(1, right)
        if isinstance(left, float)
        else left == right
    )


@given(value=json_values | st.binary())
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert same(PLAIN.decode(PLAIN.encode(value)), value)


def wrapped(depth: int, inner: Any) -> Any:
    return inner if depth == 0 else [0, {"in": wrapped(depth - 1, inner)}, "after"]


LONG = "a text of many words " * 400


@pytest.mark.parametrize(
    "value",
    [
        list(range(20_000)),
        {f"key {number}": number for number in range(20_000)},
        [[number, {"of": [number] * 3}] for number in range(3000)],
        {"first": 1, "many": list(range(9000)), "between": [2], "more": {f"{n}": None for n in range(9000)}, "last": 3},
        [LONG] * 300,
        [1, LONG * 20, {"long": LONG * 20, LONG * 20: []}],
        [list(range(4095)), list(range(4096)), list(range(4097)), []],
        wrapped(31, list(range(5000))),
        {"$": list(range(5000)), "[": {"]": list(range(5000))}},
        (*range(4095),),
        (*range(4094),),
        {number: (number, {number}) for number in range(3000)},
        {(1, 2): {"$": [LONG * 20, b"bytes" * 100_000]}},
        wrapped(31, (1, frozenset(range(5000)))),
    ],
    ids=range(14),
)
def test_many_values_come_back_as_they_were(value: Any) -> None:
    """They are encoded in pieces."""
    written = PLAIN.encode(value)
    assert same(PLAIN.decode(written), value)
    assert written[:1] in b"JTt"
    for damaged in (written[:-1], written + b" ", written[:1] + bytes(4) + written[5:]):
        with pytest.raises(DamagedValueError):
            PLAIN.decode(damaged)


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 3])
def test_large_values_come_back_as_they_were(size: int) -> None:
    """They are copied in pieces."""
    numbers = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    strided = numbers[: size // 8 * 8].view("M8[ns]")[::-2]
    for value in (numbers.tobytes(), "aö€𝄞"[size % 4] * size, numbers, strided):
        back = PLAIN.decode(PLAIN.encode(value))
        assert type(back) is type(value)
        assert np.array_equal(back, value, equal_nan=False) if type(value) is np.ndarray else back == value
    with pytest.raises(tiercel.InvalidInputError, match=f"lone surrogate at character {size}"):
        PLAIN.encode("a" * size + "\ud800")


@pytest.mark.parametrize(
    "outline",
    [
        "[]",
        '["[","]","[","]"]',
        '["["]',
        '["]"]',
        '["[","]","]"]',
        '["[",1,"]"]',
        '["{",3,"]"]',
        '["{","[","]","]"]',
        "[2]",
        '["[",true,"]"]',
        '["[",-1,"]"]',
        '["?"]',
        '["[",null,"]"]',
        '{"[":1}',
        "[" + '"[",' * 300 + '"]"' + ',"]"' * 299 + "]",
    ],
    ids=range(15),
)
def test_outlines_that_nobody_wrote_are_damage(outline: str) -> None:
    for rest in (b"", b"[]", b"[1]", b"{}"):
        with pytest.raises(DamagedValueError):
            PLAIN.decode(b"J" + len(outline).to_bytes(4, "little") + outline.encode() + rest)


def test_no_number_and_infinity_come_back() -> None:
    assert PLAIN.decode(PLAIN.encode([math.inf, -math.inf])) == [math.inf, -math.inf]
    assert math.isnan(PLAIN.decode(PLAIN.encode(math.nan)))


@given(array=arrays)
def test_arrays_come_back_as_they_were(array: np.ndarray) -> None:
    back = PLAIN.decode(PLAIN.encode(array))
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert back.flags.writeable
    assert back.flags.owndata
    assert back.flags.aligned


def test_arrays_in_any_order_of_memory() -> None:
    array = np.arange(24.0).reshape(4, 6)
    for view in (array.T, array[::2, ::-1], np.asfortranarray(array), array.astype(">f4"), array[0, 0:0]):
        back = PLAIN.decode(PLAIN.encode(view))
        assert (back.tolist(), back.dtype) == (view.tolist(), view.dtype)


@pytest.mark.parametrize(
    "value",
    [
        np.float32(1.5),
        np.float64(-0.0),
        np.int64(2**62),
        np.uint8(7),
        np.bool_(True),
        np.datetime64("2020-01-01", "ns"),
    ],
    ids=shown,
)
def test_numbers_of_numpy_come_back_as_such(value: np.generic) -> None:
    back = PLAIN.decode(PLAIN.encode(value))
    assert (type(back), back.dtype, back.tobytes()) == (type(value), value.dtype, value.tobytes())


class Colour(enum.IntEnum):
    RED = 1


class Title(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int


class Zone(dt.tzinfo):
    def utcoffset(self, moment: dt.datetime | None, /) -> dt.timedelta:
        del moment
        return dt.timedelta(0)


@pytest.mark.parametrize(
    ("value", "named", "advice"),
    [
        (Point(1), "got Point", "name the class in types"),
        (bytearray(b"a"), "got bytearray", "make it bytes"),
        ((memoryview(b"a"),), "got memoryview", "make it bytes"),
        (Colour.RED, "got Colour", "name the class in types"),
        ([Title("a")], "got Title", "make it a plain str"),
        ({Title("a"): 1}, "got Title", "make it a plain str"),
        (OrderedDict(a=1), "got OrderedDict", "make it a plain dict"),
        (np.ma.zeros(2), "got MaskedArray", "choose another codec"),
        (np.str_("a"), "got str_", "make it a plain str"),
        (dt.time(1, tzinfo=Zone()), "a time in UTC, an offset or a named zone, got one in", ""),
        (np.array([None]), "without padding, got dtype object", ""),
        (np.zeros(2, np.dtype([("a", "u1"), ("b", "f4")], align=True)), "without padding", ""),
        (np.zeros(2, [("a", "O")]), "without padding", ""),
        (np.zeros(2, [(("title", "a"), "f4")]), "without padding", ""),
        ("\ud800", "lone surrogate at character 0", ""),
        (["\ud800\udc00"], "lone surrogate", ""),
        (10**5000, "value: ", ""),
        (1j, "got complex", "cache its parts, or choose another codec"),
        (object(), "got object", "choose another codec"),
        (json.loads("[" * 70 + "]" * 70), "at most 64 nested levels", ""),
    ],
    ids=range(20),
)
def test_what_would_come_back_as_something_else_is_refused(value: Any, named: str, advice: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=f"value: .*{named.removeprefix('value: ')}.*{advice}"):
        PLAIN.encode(value)


@pytest.mark.parametrize("codec", ["plain", "msgpack"])
def test_half_a_character_has_no_place_that_only_the_encoding_has(codec: Any) -> None:
    if codec == "msgpack":
        pytest.importorskip("msgpack")
    many = [*range(100_000), "\ud800"]
    for value in (["\ud800"], {"ab\ud800": 1}, ("\ud800",), many):
        with pytest.raises(tiercel.InvalidInputError, match=r"^value: .* got a lone surrogate in one of its texts$"):
            Codec(codec).encode(value)


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless += [endless, endless]
    with pytest.raises(tiercel.InvalidInputError, match="nested levels"):
        PLAIN.encode(endless)


def test_another_codec_is_refused() -> None:
    with pytest.raises(tiercel.InvalidInputError, match="codec: expected 'plain' or 'msgpack' or"):
        Codec("pickle")  # pyright: ignore[reportArgumentType]
    with pytest.raises(tiercel.InvalidInputError, match=r"codec: expected .*, got array\(\[1, 2\]\)"):
        Codec(np.array([1, 2]))  # pyright: ignore[reportArgumentType]


@given(value=json_values | arrays | st.binary(), data=st.data())
def test_damaged_bytes_are_told_or_are_a_value(value: Any, data: st.DataObject) -> None:
    content = bytearray(PLAIN.encode(value))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    for damaged in (bytes(content), bytes(content[:at])):
        try:
            PLAIN.decode(damaged)
        except DamagedValueError:
            continue


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"s\xff",
        b"j",
        b"j[1",
        b"j" + b"[" * 100_000,
        b"a",
        b"a\xff\xff\xff\xff[]",
        b'a\x0f\x00\x00\x00["<f8",[1,1,1]]',
        b'a\x10\x00\x00\x00["<f8",[9999999]]',
        b'a\x0b\x00\x00\x00["|O",[1]]' + bytes(8),
        b'a\x0d\x00\x00\x00["<f8",[0.5]]' + bytes(4),
        b'a\x0b\x00\x00\x00["<f8",[-1]]',
        b'a\x0c\x00\x00\x00["|S0",[99]]',
        b'a\x0b\x00\x00\x00["<f8",[0]]' + bytes(8),
        b"p" + pickle.dumps(1),
    ],
)
def test_bytes_that_no_codec_wrote_are_told(content: bytes) -> None:
    with pytest.raises(DamagedValueError, match="expected bytes of the codec 'plain'"):
        PLAIN.decode(content)


class Trap:
    """Run a function when its pickle is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.putenv, ("TIERCEL_TRAP", "1"))


def test_only_the_codec_for_pickles_reads_pickles() -> None:
    assert PICKLE.decode(PICKLE.encode((1, {2: Colour.RED}))) == (1, {2: Colour.RED})
    assert type(PICKLE.decode(PICKLE.encode(np.zeros(2)))) is np.ndarray
    with pytest.raises(DamagedValueError):
        PLAIN.decode(PICKLE.encode((1, 2)))
    with pytest.raises(DamagedValueError):
        PICKLE.decode(PICKLE.encode((1, 2))[:-3])
    with pytest.raises(tiercel.InvalidInputError, match="expected what pickle takes, got function"):
        PICKLE.encode(lambda: None)


def test_msgpack_keeps_what_json_does_not() -> None:
    pytest.importorskip("msgpack")
    codec = Codec("msgpack")
    for value in ({1: "a", b"k": [b"v", None, 1.5, True]}, [2**64 - 1, -(2**63)]):
        assert codec.encode(value)[:1] == b"m"
        assert same(codec.decode(codec.encode(value)), value)
    # Values that msgpack cannot represent, or would return changed.
    for value in ([2**64], (1, 2), {(1,): 2}, "text", b"bytes"):
        assert codec.encode(value)[:1] != b"m"
        assert same(codec.decode(codec.encode(value)), value)
    assert codec.decode(codec.encode(np.arange(3))).tolist() == [0, 1, 2]
    for value in ([bytearray(b"a")], ["\ud800"], [Colour.RED], object()):
        with pytest.raises(tiercel.InvalidInputError, match="value: "):
            codec.encode(value)
    for damaged in (
        b"",
        b"m",
        b"m\xdf\xff\xff\xff\xff",
        b"m\x81\x90\x01",
        codec.encode({"a": [1]})[:-1],
        PICKLE.encode((1,)),
    ):
        with pytest.raises(DamagedValueError):
            codec.decode(damaged)
