"""Vectors and queries: anything numeric is converted, and anything else refused with the reason."""

import array
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.naming import shown

import tiercel

DIM = 3
ROWS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [3, 2, 1]])

pytestmark = pytest.mark.usefixtures("simd")


@pytest.fixture
def index() -> tiercel.Index:
    index = tiercel.Index(DIM, "l2")
    index.add(ROWS)
    return index


def empty() -> tiercel.Index:
    return tiercel.Index(DIM, "l2")


# Every method that takes vectors, by the name that messages use for the argument.
TAKERS: list[tuple[str, Callable[[tiercel.Index, Any], object]]] = [
    ("vectors", lambda index, value: index.add(value)),
    ("queries", lambda index, value: index.search(value, 2)),
    ("queries", lambda index, value: index.range_search(value, 10.0)),
]
takers = pytest.mark.parametrize(("argument", "take"), TAKERS, ids=["add", "search", "range_search"])


class OnlyArray:
    """An array of another library that supports only numpy's own protocol."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values if dtype is None else self.values.astype(dtype)


class OnlyDlpack:
    """An array of another library that supports only DLPack."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> object:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()


def strided(rows: np.ndarray) -> np.ndarray:
    wide = np.zeros((2 * len(rows), 2 * rows.shape[1]))
    wide[::2, ::2] = rows
    return wide[::2, ::2]


def unaligned(rows: np.ndarray) -> np.ndarray:
    memory = np.zeros(4 * rows.size + 1, np.uint8)
    view = memory[1:].view(np.float32).reshape(rows.shape)
    view[:] = rows
    return view


def readonly(rows: np.ndarray) -> np.ndarray:
    copy = rows.astype(np.float32)
    copy.flags.writeable = False
    return copy


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    **{
        f"{order}{code}": lambda rows, code=code, order=order: rows.astype(np.dtype(code).newbyteorder(order))
        for code in ["f2", "f4", "f8", "g", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
        for order in "<>"
    },
    "fortran": lambda rows: np.asfortranarray(rows, dtype=np.float32),
    "strided": strided,
    "strided f4": lambda rows: strided(rows).astype(np.float32, order="K"),
    "reversed": lambda rows: np.ascontiguousarray(rows[::-1, ::-1], dtype=np.float32)[::-1, ::-1],
    "transposed": lambda rows: np.ascontiguousarray(rows.T, dtype=np.float32).T,
    "unaligned": unaligned,
    "read-only": readonly,
    "masked": lambda rows: np.ma.masked_array(rows, dtype=np.float32),
    "lists": lambda rows: rows.tolist(),
    "lists of floats": lambda rows: rows.astype(float).tolist(),
    "tuple of arrays": tuple,
    "buffer": lambda rows: memoryview(rows.astype(np.float32)),
    "__array__": OnlyArray,
    "__dlpack__": lambda rows: OnlyDlpack(rows.astype(np.float32)),
    "__dlpack__ of f8": lambda rows: OnlyDlpack(rows.astype(np.float64)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_any_numeric_array_is_converted(form: Callable[[np.ndarray], Any]) -> None:
    index = empty()
    assert index.add(form(ROWS)).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(index.get([0, 1, 2, 3]), ROWS)
    np.testing.assert_array_equal(index.search(form(ROWS), 1, recall=1).ids, [[0], [1], [2], [3]])
    np.testing.assert_array_equal(index.range_search(form(ROWS), 0.0).ids, [0, 1, 2, 3])


@pytest.mark.parametrize(
    "vector",
    [
        [7, 8, 9],
        (7.0, 8.0, 9.0),
        np.array([7, 8, 9], np.float16),
        np.array([7, 0, 8, 0, 9, 0], np.float32)[::2],
        array.array("d", [7, 8, 9]),
        range(7, 10),
        [np.float32(7), 8, np.int8(9)],
    ],
    ids=lambda vector: type(vector).__name__,
)
def test_a_1d_array_is_one_vector(index: tiercel.Index, vector: Any) -> None:
    matches = index.search(vector, 2)
    assert matches.ids.shape == matches.distances.shape == (2,)
    assert matches.counts.shape == ()
    assert len(matches) == 2
    assert matches.ids[0] == 2
    assert index.range_search(vector, 0.0).offsets.tolist() == [0, 1]
    assert index.add(vector).tolist() == [4]
    np.testing.assert_array_equal(index.get(4), [7, 8, 9])


def test_a_vector_of_one_value_is_not_a_batch() -> None:
    index = tiercel.Index(1, "l2")
    assert index.add([5.0]).tolist() == [0]
    assert index.add([[6.0], [7.0]]).tolist() == [1, 2]
    assert index.search([6.9], 1).ids.tolist() == [2]


def test_values_are_copied() -> None:
    vectors = ROWS.astype(np.float32)
    index = empty()
    index.add(vectors)
    vectors[:] = -1
    np.testing.assert_array_equal(index.get([0, 1, 2, 3]), ROWS)


def test_arrays_that_come_back_are_the_callers_own(index: tiercel.Index) -> None:
    matches = index.search(ROWS, 2)
    ranges = index.range_search(ROWS, 100.0)
    arrays = [index.ids, *index.get([0, 1]), index.get(0), index.add([[1, 1, 1]])]
    arrays += [matches.ids, matches.distances, matches.counts, ranges.ids, ranges.distances, ranges.offsets]
    before = index.get([0, 1]), index.ids
    for result in arrays:
        assert result.flags.writeable
        result[...] = 77
    np.testing.assert_array_equal(index.get([0, 1]), before[0])
    np.testing.assert_array_equal(index.ids, before[1])
    assert matches.ids is matches.ids
    assert matches.distances is matches.distances
    assert matches.counts is matches.counts
    assert ranges.ids is ranges.ids


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (np.ones((2, 3), bool), "dtype bool"),
        ([True, False, True], "dtype bool"),
        (np.ones((2, 3), complex), "dtype complex128"),
        (np.full((2, 3), True, object), "dtype bool"),
        (np.array([["1", "2", "3"]]), "dtype <U1"),
        (np.array([[b"1", b"2", b"3"]]), "dtype |S1"),
        (np.zeros(3, "M8[s]"), "dtype datetime64[s]"),
        (np.zeros(3, "m8[s]"), "dtype timedelta64[s]"),
        (np.zeros(3, "f4,f4"), "dtype [('f0', '<f4'), ('f1', '<f4')]"),
        ([1, 2, 2**70], "an int of more than 64 bits at column 2"),
        ([1, None, 3], "None at column 1"),
        ([[1, 2, 3], [4, 5]], "list: "),
        (None, "NoneType"),
        ("text", "str"),
        (b"text", "bytes"),
        ({1, 2, 3}, "set"),
        ({1: 2}, "dict"),
        (object(), "object"),
        ((value for value in (1, 2, 3)), "generator"),
        (OnlyDlpack(np.ones(3, complex)), "dtype complex128"),
    ],
)
@takers
def test_what_is_not_numeric_is_refused(index: tiercel.Index, argument: str, take: Any, value: Any, got: str) -> None:
    with pytest.raises(tiercel.InvalidInputError) as error:
        take(index, value)
    assert str(error.value).startswith(f"{argument}: expected a numeric array, got {got}")
    assert len(index) == 4


@takers
def test_what_cannot_be_read_is_refused_with_the_reason(index: tiercel.Index, argument: str, take: Any) -> None:
    class Refuses:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            raise RuntimeError("the values are on another device")

    with pytest.raises(tiercel.InvalidInputError, match=f"{argument}: .* got Refuses: the values are on") as error:
        take(index, Refuses())
    assert isinstance(error.value.__cause__, RuntimeError)


@takers
def test_an_interrupt_while_reading_is_passed_on(index: tiercel.Index, argument: str, take: Any) -> None:
    class Interrupts:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(index, Interrupts())


@pytest.mark.parametrize("value", [np.float32(1.0), 1.0, 1, np.array(1.0), np.ones((1, 1, 3)), np.ones((2, 1, 1, 3))])
@takers
def test_another_rank_is_refused(index: tiercel.Index, argument: str, take: Any, value: Any) -> None:
    expected = f"{argument}: expected a 1-D or 2-D array, got {np.ndim(value)}-D"
    with pytest.raises(tiercel.InvalidInputError, match=re.escape(expected)) as error:
        take(index, value)
    assert not isinstance(error.value, tiercel.DimensionMismatchError)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ([1.0, 2.0], 2),
        (np.ones((2, 4), np.float32), 4),
        (np.ones((2, 4)), 4),
        (np.ones(12, np.float32), 12),
        ([[]], 0),
        (np.ones((2, 0), np.float32), 0),
        (np.ones((0, 5)), 5),
    ],
)
@takers
def test_another_length_is_refused(index: tiercel.Index, argument: str, take: Any, value: Any, got: int) -> None:
    with pytest.raises(tiercel.DimensionMismatchError) as error:
        take(index, value)
    assert str(error.value) == f"{argument}: expected vectors of length 3, got {got}"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", ["<f4", ">f4", "<f8", "<f2", "g", "fortran", "lists"])
@takers
def test_values_that_are_not_finite_are_named(argument: str, take: Any, form: str, bad: float) -> None:
    rows = ROWS.astype(float)
    rows[2, 1] = bad
    rows[3, 0] = bad
    make = FORMS.get(form) or FORMS[f"<{form}"]
    index = empty()
    with pytest.raises(tiercel.InvalidInputError, match=f"^{argument}: .*at row 2, column 1$"):
        take(index, make(rows))
    with pytest.raises(tiercel.InvalidInputError, match=f"^{argument}: .*at row 0, column 1$"):
        take(index, make(rows)[2])
    assert len(index) == 0


@takers
def test_a_zero_vector_is_refused_under_cosine(argument: str, take: Any) -> None:
    index = tiercel.Index(DIM)
    index.add(ROWS)
    with pytest.raises(tiercel.InvalidInputError, match=f"^{argument}: .*cosine.* at row 1$"):
        take(index, [[1, 2, 3], [0, 0, 0]])
    assert len(index) == 4


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_a_zero_vector_is_a_vector_elsewhere(metric: Any) -> None:
    index = tiercel.Index(DIM, metric)
    assert index.add(np.zeros((1, DIM))).tolist() == [0]
    assert index.search(np.zeros(DIM), 1).distances.tolist() == [0.0]


@pytest.mark.parametrize("state", ["warn", "raise", "ignore"])
@takers
def test_values_that_overflow_are_named(argument: str, take: Any, state: Any) -> None:
    rows = ROWS.astype(float)
    rows[2, 1] = -1e39
    index = empty()
    with np.errstate(all=state):
        with pytest.raises(tiercel.InvalidInputError, match=r"float32 .*got -1e\+39 at row 2, column 1$") as error:
            take(index, rows)
        assert str(error.value).startswith(f"{argument}: ")
        with pytest.raises(tiercel.InvalidInputError, match=r"got -1e\+39 at row 0, column 1$"):
            take(index, rows[2])
        # Too large for float16 but not for float32, and too small for float32: both have a float32.
        index.add([1e5, 1e-60, 1])
    np.testing.assert_array_equal(index.get(0), np.array([1e5, 0, 1], np.float32))


def test_overflow_is_found_in_any_block_of_a_large_array() -> None:
    rows = np.ones((700_000, DIM))
    rows[600_000, 2] = 1e300
    with pytest.raises(tiercel.InvalidInputError, match=r"got 1e\+300 at row 600000, column 2"):
        empty().add(rows)


def test_an_array_beyond_memory_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        empty().add(np.broadcast_to(np.float32(1), (2**59, DIM)))


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(np.float64).max, reason="long double is double here")
def test_a_long_double_that_overflows_is_named() -> None:
    value = np.longdouble("1e4000")
    with pytest.raises(tiercel.InvalidInputError, match=r"got 1e\+4000 at row 0, column 1"):
        empty().add(np.array([0, value, 0]))


def test_half_precision_has_its_own_limit() -> None:
    index = tiercel.Index(DIM, "l2", dtype="f16")
    with pytest.raises(tiercel.InvalidInputError, match=r"vectors: .*float16.*got 70000 at row 1, column 2"):
        index.add([[1, 2, 3], [1, 2, 70000]])
    assert index.add([[1, 2, 65504]]).tolist() == [0]
    assert index.search([1, 2, 70000], 1).ids.tolist() == [0]


EMPTY = [[], (), np.empty(0), np.empty(0, np.float32), np.empty((0, DIM)), np.empty((0, DIM), np.float32)]


@pytest.mark.parametrize("batch", EMPTY, ids=shown)
def test_an_empty_batch_has_an_empty_answer(index: tiercel.Index, batch: Any) -> None:
    added = index.add(batch)
    assert (added.shape, added.dtype) == ((0,), np.uint64)
    assert index.add(batch, ids=[]).shape == (0,)
    matches = index.search(batch, 9)
    assert (matches.ids.shape, matches.ids.dtype) == ((0, 4), np.uint64)
    assert (matches.distances.shape, matches.distances.dtype) == ((0, 4), np.float32)
    assert (matches.counts.shape, matches.counts.dtype) == ((0,), np.uint64)
    assert len(matches) == 0
    ranges = index.range_search(batch, 1.0)
    assert (ranges.ids.shape, ranges.ids.dtype) == ((0,), np.uint64)
    assert (ranges.distances.shape, ranges.distances.dtype) == ((0,), np.float32)
    assert (ranges.offsets.tolist(), ranges.offsets.dtype) == ([0], np.uint64)
    assert len(ranges) == 0
    assert len(index) == 4


def test_an_empty_index_has_empty_answers() -> None:
    index = empty()
    one, many = index.search([1, 2, 3], 5), index.search(ROWS, 5, filter=[])
    assert (one.ids.shape, one.distances.shape, one.counts.tolist()) == ((0,), (0,), 0)
    assert (many.ids.shape, many.distances.shape, many.counts.tolist()) == ((4, 0), (4, 0), [0, 0, 0, 0])
    assert (one.ids.dtype, one.distances.dtype, one.counts.dtype) == (np.uint64, np.float32, np.uint64)
    assert index.range_search(ROWS, np.inf).offsets.tolist() == [0] * 5
    assert (index.ids.shape, index.ids.dtype, list(index)) == ((0,), np.uint64, [])
    assert index.get([]) == []
    assert index.delete([]) == 0
    assert index.search(ROWS, 1, filter=np.empty(0, bool)).ids.shape == (4, 0)


def test_nothing_is_added_unless_all_is(index: tiercel.Index) -> None:
    before = index.ids
    for vectors, ids in [
        ([[1, 2, 3], [1, 2, np.nan]], None),
        (ROWS, [10, 11, 11, 12]),
        (ROWS, [10, 11, 0, 12]),
        (ROWS, [10, 11, 2**64 - 1, 12]),
        (ROWS, [10, 11]),
    ]:
        with pytest.raises((tiercel.InvalidInputError, tiercel.ConflictError)):
            index.add(vectors, ids)
    np.testing.assert_array_equal(index.ids, before)
    assert index.add([[0, 0, 1]]).tolist() == [4]
