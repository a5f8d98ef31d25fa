"""Keys of calls: the same call has the same key in every process, and no other call has it."""

import dataclasses
import datetime as dt
import enum
import functools
import math
import os
import pickle
import subprocess
import sys
import threading
import uuid
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.naming import shown

import tiercel
from tiercel.cache.stable import copied, stable_key


class Colour(enum.IntEnum):
    RED = 1


class Title(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int


def call(value: object = None, *more: object, by: object = 1, **rest: object) -> None:
    """The function whose calls the keys below identify."""


@dataclasses.dataclass(frozen=True)
class Place:
    x: float
    tags: tuple[str, ...] = ()


@dataclasses.dataclass
class OtherPlace:
    x: float
    tags: tuple[str, ...] = ()


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Shade(enum.Enum):
    RED = object()
    BLUE = len


ZONE = ZoneInfo("Europe/Berlin")
NOON = dt.datetime.fromisoformat("2024-01-05T12:00")
NIGHT = dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZONE)
# All of these are different, though Python considers some of them equal.
DIFFERENT: list[Any] = [
    *(["a", "b"], ["asb"], ([], []), ([[]],), NOON.replace(fold=1)),
    *(None, True, False, 1, 0, -1, 255, 256, 2**70, 1.0, 0.0, -0.0, math.inf, math.nan, "", "1", "\ud800", b"", b"1"),
    *(
        (),
        (1,),
        [1],
        {1},
        frozenset({1}),
        [],
        {},
        set(),
        frozenset(),
        {1: 2},
        {"1": 2},
        [[1], [2]],
        [[1, 2]],
        [[], [1, 2]],
    ),
    *(["ab", "c"], ["a", "bc"], [b"ab", b"c"], [1, (2, 3)], [1, [2, 3]], {"a": {"b": 1}}, [None], [[]], [True], [1.0]),
    *(Colour.RED, Access.READ, Access.READ | Access.WRITE, Access(0), Shade.RED, Shade.BLUE),
    *(Place(1.0), Place(1.0, ("a",)), OtherPlace(1.0), ("x", 1.0)),
    *(np.zeros(2), np.zeros(2, np.float32), np.zeros((1, 2)), np.zeros(2, ">f8"), np.zeros(2, "m8[s]"), np.array(0.0)),
    *(np.float64(1), np.int64(1), np.str_("1"), np.array(["1"])),
    *(NOON, NOON.date(), NOON.time(), NOON.replace(tzinfo=dt.UTC), NOON.replace(tzinfo=ZONE), NOON.isoformat()),
    *(NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))), NIGHT, NIGHT.replace(fold=1), dt.timedelta(1)),
    *(
        dt.timedelta(0, 1),
        uuid.UUID(int=1),
        uuid.UUID(int=1).bytes,
        Path("a"),
        "a",
        PurePosixPath("a"),
        PureWindowsPath("a"),
    ),
]


def key(value: object) -> bytes:
    return stable_key(call, (value,), {})


def test_values_that_are_not_the_same_have_different_keys() -> None:
    keys = [key(value) for value in DIFFERENT]
    assert {len(each) for each in keys} == {32}
    assert len(set(keys)) == len(DIFFERENT)


def test_calls_that_are_the_same_have_one_key_however_they_are_written() -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {}), ((None,), {}), ((), {"value": None, "by": 1})]
    assert len({stable_key(call, *each) for each in calls}) == 1
    assert stable_key(call, (1,), {"b": 2, "a": 1}) == stable_key(call, (1,), {"a": 1, "b": 2})
    assert stable_key(call, (1, 2), {}) != stable_key(call, ((1, 2),), {})
    assert stable_key(call, (), {"by": 2}) != stable_key(call, (2,), {})


def test_the_order_of_dicts_and_sets_does_not_count() -> None:
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
    assert key({f"{number}" for number in range(50)}) == key({f"{number}" for number in reversed(range(50))})
    assert key([1, 2]) != key([2, 1])


def test_the_memory_of_an_array_does_not_count() -> None:
    array = np.arange(6).reshape(2, 3)
    assert key(array) == key(np.asfortranarray(array)) == key(array.copy())
    assert key(array) != key(array.T)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
tree = st.recursive(
    scalars | st.binary(max_size=4) | st.dates() | st.datetimes() | st.timedeltas() | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3)
        | st.frozensets(scalars, max_size=3)
    ),
    max_leaves=6,
)


def written(value: Any) -> Any:
    """Return a form that is equal only for equal values, made in another way than keys are."""
    if isinstance(value, dict):
        return ("dict", frozenset((written(name), written(each)) for name, each in value.items()))
    if isinstance(value, list | tuple):
        return (type(value), tuple(map(written, value)))
    if isinstance(value, frozenset):
        return ("frozenset", frozenset(map(written, value)))
    return (type(value), repr(value))


@given(left=tree, right=tree)
def test_keys_are_equal_for_the_same_values_alone(left: Any, right: Any) -> None:
    assert (key(left) == key(right)) == (written(left) == written(right))
    assert key(left) == key(pickle.loads(pickle.dumps(left)))


def test_a_copy_of_an_argument_shares_nothing_that_can_be_changed() -> None:
    record = np.array([(1, 2.0)], "i4,f8")[0]
    at = OtherPlace(0.5)
    at.lock = threading.Lock()  # pyright: ignore[reportAttributeAccessIssue] - no field, and not to be copied
    value = {"list": [[1]], "set": {1}, "array": np.zeros(2), "record": record, "at": (at, Place(1)), "name": "x"}
    same = copied(value)
    assert key(same) == key(value)
    assert same["at"][0].lock is at.lock
    value["list"][0].append(2)
    value["set"].add(2)
    value["array"][0] = record["f0"] = 9
    at.x = 9
    assert key(same) == key(copied(same))
    assert (same["list"], same["set"], same["array"].tolist()) == ([[1]], {1}, [0, 0])
    assert (same["record"]["f0"], same["at"][0].x) == (1, 0.5)


def test_functions_have_different_keys() -> None:
    def inner(value: object = None) -> None: ...

    class Model:
        def call(self, value: object) -> None: ...

    @dataclasses.dataclass
    class Sized:
        size: int

        def call(self, value: object) -> None: ...

    assert stable_key(inner, (1,), {}) != stable_key(call, (1,), {})
    assert stable_key(Sized(1).call, (1,), {}) == stable_key(Sized.call, (Sized(1), 1), {})
    assert stable_key(Sized(1).call, (1,), {}) != stable_key(Sized(2).call, (1,), {})
    with pytest.raises(tiercel.InvalidInputError, match=r"self: expected .* got Model"):
        stable_key(Model().call, (1,), {})


def made(number: int) -> Any:
    """Return functions of one name."""

    def captures() -> int:
        return number

    def has_default(number: int = number) -> int:
        return number

    @functools.wraps(call)
    def wraps(*args: Any) -> None: ...

    return captures, has_default, wraps


def test_functions_that_their_name_does_not_tell_apart_need_one() -> None:
    captures, has_default, wraps = made(1)
    with pytest.raises(
        tiercel.InvalidInputError,
        match=r"^name: expected a str, since .* captures the variable 'number'.*, got None; pass a unique name",
    ):
        stable_key(captures, (), {})
    with pytest.raises(
        tiercel.InvalidInputError,
        match=r"^name: expected a str, since .* wraps another function.*, got None; pass a unique name",
    ):
        stable_key(wraps, (), {})
    with pytest.raises(
        tiercel.InvalidInputError,
        match=r"^name: expected a str, since .* is a lambda, or is defined in one, got None; pass a unique name",
    ):
        stable_key(lambda: 1, (), {})
    assert stable_key(has_default, (), {}) == stable_key(has_default, (1,), {}) != stable_key(made(2)[1], (), {})


def test_a_name_that_is_given_tells_functions_apart() -> None:
    captures, _, wraps = made(1)
    assert stable_key(captures, (), {}, "one") == stable_key(made(1)[0], (), {}, "one")
    assert stable_key(captures, (), {}, "one") != stable_key(made(2)[0], (), {}, "two")
    assert stable_key(lambda value: value, (1,), {}, "call") != stable_key(call, (1,), {})
    assert stable_key(wraps, (1,), {}, "twice") == stable_key(wraps, (1,), {}, "twice")
    with pytest.raises(TypeError, match="unexpected keyword"):
        stable_key(wraps, (), {"value": 1}, "twice")


def test_a_method_that_calls_the_one_it_inherits_captures_nothing() -> None:
    class Wide(Place):
        def __init__(self) -> None:
            super().__init__(1.0)

    assert stable_key(Wide.__init__, (1,), {}) == stable_key(Wide.__init__, (), {"self": 1})


class Wider(Place):
    """A class with more than its inherited fields."""

    def __init__(self, x: float, y: float) -> None:
        super().__init__(x)
        object.__setattr__(self, "y", y)


@pytest.mark.parametrize(
    "value",
    [object(), len, Place, Wider(1.0, 2.0), bytearray(b"a"), Title("a"), Point(1), 1j, np.array([None])],
    ids=shown,
)
def test_what_has_no_stable_form_is_named(value: Any) -> None:
    for args, kwargs, name in (((value,), {}, "value"), ((1, [value]), {}, "more"), ((), {"z": value}, "rest")):
        with pytest.raises(tiercel.InvalidInputError, match=f"^{name}: expected .*, got"):
            stable_key(call, args, kwargs)


class OwnZone(dt.tzinfo):
    def utcoffset(self, moment: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)


def test_a_zone_of_ones_own_is_refused() -> None:
    with pytest.raises(
        tiercel.InvalidInputError, match="value: expected a time in a zone with a name, got one in OwnZone"
    ):
        key(NOON.replace(tzinfo=OwnZone()))


def test_a_list_that_holds_itself_has_no_key() -> None:
    endless: list[Any] = []
    endless += [endless, endless]
    with pytest.raises(tiercel.InvalidInputError, match="value: expected at most 64 nested levels"):
        key(endless)


def test_what_is_no_function_and_calls_that_do_not_fit_are_refused() -> None:
    for function in (np.vectorize(abs), ",".join, functools.partial(call, 1), len, Place):
        with pytest.raises(tiercel.InvalidInputError, match="function: expected one with a name, made by def, got"):
            stable_key(function, (), {})
    with pytest.raises(TypeError, match="multiple values for argument 'value'"):
        stable_key(call, (1,), {"value": 1})


PROGRAM = """
import sys
from test_stable_keys import DIFFERENT, key

print(*(key(value).hex() for value in [*DIFFERENT, {"a", "b", "c"}, {"b": {1, 2, "x"}, "a": 0}]))
"""


def test_keys_are_the_same_in_every_process() -> None:
    answers = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            },
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "12345")
    }
    assert len(answers) == 1
    assert answers.pop().split()[: len(DIFFERENT)] == [key(value).hex().encode() for value in DIFFERENT]


def test_programs_with_functions_of_one_name_have_different_keys(tmp_path: Path) -> None:
    source = "from tiercel.cache.stable import stable_key\ndef f(): ...\nprint(stable_key(f, (), {}).hex())\n"
    answers: list[bytes] = []
    for name in ("one.py", "two.py", "one.py"):
        (tmp_path / name).write_text(source)
        done = subprocess.run([sys.executable, name], cwd=tmp_path, capture_output=True, check=True)
        answers.append(done.stdout)
    assert answers[0] == answers[2] != answers[1]
