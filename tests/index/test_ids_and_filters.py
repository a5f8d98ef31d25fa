"""Valid and invalid ids and filters."""

import array
import re
from typing import Any

import numpy as np
import pytest
from support.naming import shown

import tiercel

ROWS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [3, 2, 1]], np.float32)

pytestmark = pytest.mark.usefixtures("simd")
LARGEST = 2**64 - 2


@pytest.fixture
def index() -> tiercel.Index:
    index = tiercel.Index(3, "l2")
    index.add(ROWS, ids=[7, 2**63, LARGEST, 0])
    return index


INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


@pytest.mark.parametrize("code", INTEGERS)
@pytest.mark.parametrize("order", "<>")
def test_ids_of_any_integer_dtype_and_layout(code: str, order: str) -> None:
    dtype = np.dtype(code).newbyteorder(order)
    index = tiercel.Index(3, "l2")
    ids = np.array([9, 1, 8, 1, 7, 1, 6, 1], dtype)[::2]
    added = index.add(ROWS, ids=ids)
    assert (added.tolist(), added.dtype) == ([9, 8, 7, 6], np.uint64)
    np.testing.assert_array_equal(index.get(ids[::-1]), ROWS[::-1])
    assert index.search(ROWS[0], 4, filter=ids[1:3]).ids.tolist()[:2] in ([8, 7], [7, 8])
    assert index.delete(ids[:2]) == 2
    assert list(index) == [7, 6]


@pytest.mark.parametrize(
    "ids",
    [
        [7, 2**63, LARGEST, 0],
        (7, 2**63, LARGEST, 0),
        [np.int8(7), np.uint64(2**63), LARGEST, np.uint8(0)],
        np.array([7, 2**63, LARGEST, 0], np.uint64),
        np.array([7, 2**63, LARGEST, 0], object),
        array.array("Q", [7, 2**63, LARGEST, 0]),
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_ids_of_mixed_sizes_keep_every_bit(index: tiercel.Index, ids: Any) -> None:
    other = tiercel.Index(3, "l2")
    assert other.add(ROWS, ids=ids).tolist() == [7, 2**63, LARGEST, 0]
    np.testing.assert_array_equal(index.get(ids), ROWS)
    assert index.search(ROWS[0], 4, filter=ids).counts == 4
    assert index.delete(ids) == 4


def test_one_int_is_one_id(index: tiercel.Index) -> None:
    for one in (LARGEST, np.uint64(LARGEST), np.array(LARGEST, np.uint64)):
        assert index.get(one).shape == (3,)
        np.testing.assert_array_equal(index.get(one), ROWS[2])
    assert [vector.shape for vector in index.get([LARGEST])] == [(3,)]
    assert index.get(np.int8(7)).tolist() == [1, 2, 3]
    assert [index.delete(LARGEST), index.delete(LARGEST), index.delete(np.int64(7))] == [1, 0, 1]
    assert list(index) == [2**63, 0]


@pytest.mark.parametrize("ids", [range(4), range(7, 3, -1), np.arange(4)])
def test_ranges_are_ids(ids: Any) -> None:
    index = tiercel.Index(3, "l2")
    assert index.add(ROWS, ids=ids).tolist() == list(ids)
    assert index.delete(ids) == 4


def test_an_id_that_is_not_there(index: tiercel.Index) -> None:
    assert index.delete([1, 7, 7, 5]) == 1
    there, absent = index.get([0, 7])
    np.testing.assert_array_equal(there, ROWS[3])
    assert absent is index.get(7) is index.get(2**64 - 1) is None


BAD_IDS = [
    ([1.0, 2.0], "integers, got float at row 0"),
    ([1, 2.0], "integers, got float at row 1"),
    ([1, "2"], "integers, got str at row 1"),
    ([1, None], "integers, got NoneType at row 1"),
    ([1, True], "integers, got bool at row 1"),
    ([[1, 2]], "integers, got list at row 0"),
    (np.array([1, None], object), "integers, got NoneType at row 1"),
    ([1, -2], "integers from 0 to 2**64 - 2, got -2 at row 1"),
    ([1, 2**64], "integers from 0 to 2**64 - 2, got 18446744073709551616 at row 1"),
    (np.array([1, -2]), "integers from 0 to 2**64 - 2, got -2 at row 1"),
    (np.array([-2], np.int8), "integers from 0 to 2**64 - 2, got -2 at row 0"),
    (np.array([1.0]), "an int or an array of integers, got dtype float64"),
    (np.array([True]), "an int or an array of integers, got dtype bool"),
    (np.array(["1"]), "an int or an array of integers, got dtype <U1"),
    (np.array([[1], [2]]), "an int or an array of integers, got 2-D"),
    (np.empty((0, 3)), "an int or an array of integers, got 2-D"),
    (1.0, "an int or an array of integers, got float"),
    ("1", "an int or an array of integers, got str"),
    ({1, 2}, "an int or an array of integers, got set"),
    (None, "an int or an array of integers, got NoneType"),
    (True, "integers, got bool"),
    (-1, "integers from 0 to 2**64 - 2, got -1"),
    (np.int64(-1), "integers from 0 to 2**64 - 2, got -1"),
    (2**64, "integers from 0 to 2**64 - 2, got 18446744073709551616"),
]


@pytest.mark.parametrize(("ids", "message"), BAD_IDS)
def test_what_is_no_id_is_refused(index: tiercel.Index, ids: Any, message: str) -> None:
    # A set says no order, which only `delete` does without.
    for call in (index.get,) if isinstance(ids, set) else (index.delete, index.get):
        with pytest.raises(tiercel.InvalidInputError) as error:
            call(ids)
        assert str(error.value) == f"ids: expected {message}"
    if ids is not None:
        with pytest.raises(
            tiercel.InvalidInputError, match=r"^ids: expected .*" + re.escape(message.split(" got ")[1])
        ):
            index.add(ROWS[:2], ids=ids)
    assert len(index) == 4


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2, 1], "ids: .*distinct ids, got 1 at rows 0 and 2"),
        ([1, 2**64 - 1, 3], r"ids: .*2\*\*64 - 2, got 2\*\*64 - 1 at row 1"),
        ([1, 2], "ids: expected 3 ids, one per vector, got 2"),
        ([], "ids: expected 3 ids, one per vector, got 0"),
        (5, "ids: expected 3 ids, one per vector, got 1"),
    ],
)
def test_ids_must_fit_the_vectors(index: tiercel.Index, ids: Any, message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError, match=message):
        index.add(ROWS[:3], ids=ids)
    assert len(index) == 4


def test_counted_ids_go_on_from_the_largest() -> None:
    index = tiercel.Index(3, "l2")
    assert index.add(ROWS, ids=[3, 100, 4, 5]).tolist() == [3, 100, 4, 5]
    assert index.add(ROWS[:2]).tolist() == [101, 102]
    assert index.add(ROWS[:1], ids=[LARGEST]).tolist() == [LARGEST]
    with pytest.raises(tiercel.InvalidInputError, match="ids: "):
        index.add(ROWS[:1])
    assert len(index) == 7


def test_in_is_false_for_whatever_is_no_id(index: tiercel.Index) -> None:
    for there in (7, 2**63, LARGEST, 0, np.uint64(LARGEST), np.int8(7), np.array(7)):
        assert there in index
    for other in (1, -1, 2**64, 2**64 - 1, 2**200, 7.0, "7", None, False, np.False_, [7], np.array([7]), np.float32(7)):
        assert other not in index
    assert list(index) == index.ids.tolist() == [7, 2**63, LARGEST, 0]
    assert all(type(one) is int for one in index)


def test_in_passes_on_what_is_not_about_types(index: tiercel.Index) -> None:
    class Interrupts:
        def __index__(self) -> int:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _ = Interrupts() in index


MASKS = [
    np.array([False, True, True, False]),
    [False, True, True, False],
    np.array([False, True, False, True, False, True, True, True])[[0, 1, 3, 4]],
    np.array([False, False, True, False, True, False, False, False])[::2],
    np.array([0, 2, 255, 0], np.uint8).view(bool),
]


@pytest.mark.parametrize("mask", MASKS, ids=["array", "list", "picked", "strided", "bytes"])
def test_a_mask_goes_by_the_order_of_ids(index: tiercel.Index, mask: Any) -> None:
    matches = index.search(ROWS[[0, 3]], 4, filter=mask)
    assert matches.counts.tolist() == [2, 2]
    for row in range(2):
        assert set(matches.ids[row, :2].tolist()) == {2**63, LARGEST}
        assert matches.ids[row, 2:].tolist() == [2**64 - 1] * 2
        assert matches.distances[row, 2:].tolist() == [np.inf] * 2
    ranges = index.range_search(ROWS[0], np.inf, filter=mask)
    assert set(ranges.ids.tolist()) == {2**63, LARGEST}


@pytest.mark.parametrize(
    "allowed",
    [[], (), np.empty(0), np.empty(0, np.int64), np.empty(0, object), [5, 6], np.array([2**64 - 1], np.uint64)],
    ids=shown,
)
def test_where_nothing_is_allowed_nothing_is_found(index: tiercel.Index, allowed: Any) -> None:
    matches = index.search(ROWS[0], 3, filter=allowed)
    assert matches.counts == 0
    assert matches.ids.tolist() == [2**64 - 1] * 3
    assert index.range_search(ROWS, np.inf, filter=allowed).offsets.tolist() == [0] * 5


@pytest.mark.parametrize("length", [0, 3, 5])
def test_a_mask_of_another_length_is_refused(index: tiercel.Index, length: int) -> None:
    for call in (
        lambda mask: index.search(ROWS, 1, filter=mask),
        lambda mask: index.range_search(ROWS, 1.0, filter=mask),
    ):
        with pytest.raises(
            tiercel.InvalidInputError, match=f"filter: expected a mask of length 4, .* got length {length}"
        ):
            call(np.ones(length, bool))


@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        (np.array([1.0, 2.0]), "filter: expected a 1-D array of bool or of integers, got dtype float64"),
        ([1.0, 2.0], "filter: expected integers, got float at row 0"),
        (["a"], "filter: expected integers, got str at row 0"),
        ([1, -1], "filter: expected integers from 0 to 2**64 - 2, got -1 at row 1"),
        (np.array([1, -1]), "filter: expected integers from 0 to 2**64 - 2, got -1 at row 1"),
        (np.ones((2, 2), bool), "filter: expected a 1-D array of bool or of integers, got 2-D"),
        (np.ones((2, 2), int), "filter: expected a 1-D array of bool or of integers, got 2-D"),
        (5, "filter: expected a 1-D array of bool or of integers, got int"),
        (True, "filter: expected a 1-D array of bool or of integers, got bool"),
        ("lang = 'en'", "filter: expected a 1-D array of bool or of integers, got str"),
        (np.array([None, 1]), "filter: expected integers, got NoneType at row 0"),
        (np.array([1j]), "filter: expected a 1-D array of bool or of integers, got dtype complex128"),
    ],
)
def test_what_is_no_filter_is_refused(index: tiercel.Index, allowed: Any, message: str) -> None:
    for call in (lambda: index.search(ROWS, 1, filter=allowed), lambda: index.range_search(ROWS, 1.0, filter=allowed)):
        with pytest.raises(tiercel.InvalidInputError) as error:
            call()
        assert str(error.value) == message


def test_count_is_what_a_filter_allows(index: tiercel.Index) -> None:
    assert index.count() == index.count(filter=index.ids) == len(index) == 4
    assert index.count(filter=[7, 5, 7, 0]) == 2
    assert index.count(filter=[True, False, False, False]) == 1
    assert index.count(filter=[]) == 0
    index.delete(7)
    assert (index.count(), index.count(filter=[7, 0]), index.count(filter=[True, True, False])) == (3, 1, 2)
    with pytest.raises(tiercel.InvalidInputError, match="filter: expected a mask of length 3"):
        index.count(filter=[True])
    with pytest.raises(TypeError):
        index.count([7])  # type: ignore[misc]  # pyright: ignore[reportCallIssue]


def test_an_id_that_is_there_is_in_conflict_with_add(index: tiercel.Index) -> None:
    before = index.ids.tolist()
    with pytest.raises(
        tiercel.ConflictError, match=r"ids: expected new ids, got 7 at row 1, .*upsert replaces"
    ) as caught:
        index.add(ROWS[:2], ids=[1, 7])
    assert (caught.value.id, caught.value.expected, caught.value.actual) == (7, 0, None)
    assert index.ids.tolist() == before


def test_a_search_is_for_ten_unless_k_is_given() -> None:
    index = tiercel.Index(2)
    index.add(np.random.default_rng(1).normal(size=(30, 2)))
    assert index.search([1, 0]) == index.search([1, 0], 10)
    with pytest.raises(tiercel.InvalidInputError, match="k: expected an int of at least 1, got None"):
        index.search([1, 0], k=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_set_of_ids_is_deleted(index: tiercel.Index) -> None:
    first, second, *rest = index.ids.tolist()
    assert index.delete({first, 10**9}) == 1
    assert index.delete(frozenset({second})) == 1
    assert index.delete(set()) == 0
    assert index.ids.tolist() == rest
    with pytest.raises(tiercel.InvalidInputError, match="ids: expected integers, got str"):
        index.delete({"first"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
