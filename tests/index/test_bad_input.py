"""Bad input: each row of this table from the design, under every instruction set.

| input | answer |
|---|---|
| NaN or infinity in a vector or query | `InvalidInputError` naming row and column |
| zero vector under cosine | `InvalidInputError` |
| wrong dimension / wrong rank | `DimensionMismatchError` / `InvalidInputError` |
| float64, float16, int, non-contiguous, big-endian, read-only arrays | converted; a value that overflows f32 is an error |
| k = 0, negative, not an int | `InvalidInputError`; k > n returns n |
| duplicate ids in one batch | `InvalidInputError` |
| empty batch, empty index | empty result of the right shape and dtype |
| unknown id in remove | counted, not raised |
| damaged, truncated or foreign file | `CorruptionError`; no crash, no allocation larger than the file |
| Ctrl-C in a long call | stops, nothing half-applied |
| use after fork, in threads, on free-threaded Python | works |

An error names the argument, what was expected and what was passed, and leaves the index
unchanged, down to the byte.
"""

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.naming import shown

import tiercel
from tiercel import CorruptionError, DimensionMismatchError, InvalidInputError

DIM = 12
SIZES = {"a few": 20, "with codes": 1200}

Call = Callable[[tiercel.Index, Any], object]

# Every method that takes vectors, by the name that messages use for the argument.
TAKERS: dict[str, tuple[str, Call]] = {
    "add": ("vectors", lambda index, value: index.add(value)),
    "search": ("queries", lambda index, value: index.search(value, 3)),
    "exact search": ("queries", lambda index, value: index.search(value, 3, recall=1)),
    "range search": ("queries", lambda index, value: index.range_search(value, 1.0)),
}
takers = pytest.mark.parametrize(("argument", "take"), TAKERS.values(), ids=TAKERS)


def rows(count: int = 4) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, DIM), dtype=np.float32)


@pytest.fixture(params=SIZES.values(), ids=SIZES)
def index(request: pytest.FixtureRequest, simd: str) -> tiercel.Index:
    index = tiercel.Index(DIM)
    index.add(rows(request.param))
    return index


def answers(index: tiercel.Index) -> list[object]:
    matches, exact = index.search(rows(), 5), index.search(rows(), 5, recall=1)
    found = [matches.ids, matches.distances, exact.ids, exact.distances, index.range_search(rows(), 0.8).ids]
    return [len(index), index.ids.tolist(), *(part.tolist() for part in found)]


@contextmanager
def refuses(index: tiercel.Index, error: type[Exception], *parts: str) -> Generator[None]:
    """Check the error, the parts of its message in order, and that nothing changed."""
    before, found = index.to_bytes(), answers(index)
    with pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    message, at = str(caught.value), 0
    for part in parts:
        assert part in message[at:], message
        at = message.index(part, at) + len(part)
    assert answers(index) == found
    assert index.to_bytes() == before


@takers
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_nan_or_infinity(index: tiercel.Index, argument: str, take: Call, value: float, dtype: type) -> None:
    for row, column in [(0, 0), (2, DIM - 1), (3, 5)]:
        bad = rows().astype(dtype)
        bad[row, column] = value
        where = f"at row {row}, column {column}"
        with refuses(index, InvalidInputError, f"{argument}: expected finite values, got", where):
            take(index, bad)
        with refuses(index, InvalidInputError, f"{argument}: expected finite", f"row 0, column {column}"):
            take(index, bad[row])


@takers
def test_a_zero_vector_under_cosine(index: tiercel.Index, argument: str, take: Call) -> None:
    bad = rows()
    bad[2] = 0
    with refuses(index, InvalidInputError, f"{argument}: expected a vector with a direction", "got norm 0", "row 2"):
        take(index, bad)
    for metric in ("dot", "l2"):
        other = tiercel.Index(DIM, metric)
        other.add(rows())
        take(other, bad)


@takers
@pytest.mark.parametrize("length", [0, 1, DIM - 1, DIM + 1, 2 * DIM])
def test_a_wrong_dimension(index: tiercel.Index, argument: str, take: Call, length: int) -> None:
    message = f"{argument}: expected vectors of length {DIM}, got {length}"
    with refuses(index, DimensionMismatchError, message):
        take(index, np.ones((3, length)))
    # A 1-D array without values is an empty batch.
    if length > 0:
        with refuses(index, DimensionMismatchError, message):
            take(index, np.ones(length))


@takers
@pytest.mark.parametrize("shape", [(), (1, 2, DIM), (1, 1, 1, DIM)])
def test_a_wrong_rank(index: tiercel.Index, argument: str, take: Call, shape: tuple[int, ...]) -> None:
    with refuses(index, InvalidInputError, f"{argument}: expected a 1-D or 2-D array, got {len(shape)}-D"):
        take(index, np.ones(shape))


@takers
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "NoneType"),
        ("one, two", "str"),
        ([["a"] * DIM], "<U1"),
        (np.ones((2, DIM), bool), "bool"),
        (np.ones((2, DIM), complex), "complex"),
        ([[1.0, 2.0], [3.0]], "list"),
        ([[None] * DIM], "None at row 0, column 0"),
    ],
)
def test_what_is_not_numeric(index: tiercel.Index, argument: str, take: Call, value: Any, got: str) -> None:
    with refuses(index, InvalidInputError, f"{argument}: expected a numeric array, got", got):
        take(index, value)


FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "float64": lambda array: array.astype(np.float64),
    "float16": lambda array: array.astype(np.float16),
    "int8": lambda array: array.astype(np.int8),
    "uint64": lambda array: array.astype(np.uint64),
    "big-endian float": lambda array: array.astype(">f4"),
    "big-endian int": lambda array: array.astype(">i8"),
    "columns first": np.asfortranarray,
    "every second row and column": lambda array: np.repeat(np.repeat(array, 2, 0), 2, 1)[::2, ::2],
    "backwards": lambda array: np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_other_arrays_are_converted(simd: str, form: Callable[[np.ndarray], np.ndarray]) -> None:
    values = np.random.default_rng(1).integers(1, 9, (40, DIM)).astype(np.float32)
    given = form(values)
    given.flags.writeable = False
    index, plain = tiercel.Index(DIM, "l2"), tiercel.Index(DIM, "l2")
    plain.add(values)
    np.testing.assert_array_equal(index.add(given), np.arange(40))
    np.testing.assert_array_equal(index.get(index.ids), values)
    np.testing.assert_array_equal(index.search(given, 7).ids, plain.search(values, 7).ids)
    np.testing.assert_array_equal(index.search(given[3], 7).distances, plain.search(values[3], 7).distances)
    np.testing.assert_array_equal(index.range_search(given, 50.0).ids, plain.range_search(values, 50.0).ids)


@takers
@pytest.mark.parametrize("value", [1e39, -1e39, 3.5e38, 1.7e308])
def test_a_value_that_overflows_float32(index: tiercel.Index, argument: str, take: Call, value: float) -> None:
    bad = rows().astype(np.float64)
    bad[1, 7] = value
    with refuses(index, InvalidInputError, f"{argument}: expected", "float32", "got", "at row 1, column 7"):
        take(index, bad)


@pytest.mark.parametrize("k", [0, -1, -(2**70), 2.0, 2.5, "3", None, True, [1]], ids=shown)
def test_k_that_is_zero_negative_or_not_an_int(index: tiercel.Index, k: Any) -> None:
    for settings in ({}, {"recall": 1}, {"ef_search": 10}, {"filter": [1, 2, 3]}):
        with refuses(index, InvalidInputError, "k: expected an int of at least 1, got", repr(k)):
            index.search(rows(), k, **settings)


@pytest.mark.parametrize("more", [0, 1, 1000, 2**70])
def test_k_beyond_the_index_gives_all_of_it(index: tiercel.Index, more: int) -> None:
    count = len(index)
    for settings in ({}, {"recall": 1}, {"ef_search": 1}):
        matches = index.search(rows(), count + more, **settings)
        assert matches.ids.shape == matches.distances.shape == (4, count)
        assert (np.sort(matches.ids, axis=1) == np.arange(count)).all()
        assert (matches.counts == count).all()


def test_duplicate_ids_in_one_batch(index: tiercel.Index) -> None:
    first = len(index)
    with refuses(index, InvalidInputError, "ids: expected distinct ids, got", f"{first + 1}", "at rows 1 and 3"):
        index.add(rows(), ids=[first, first + 1, first + 2, first + 1])


def test_ids_that_do_not_fit(index: tiercel.Index) -> None:
    new = 5000
    for ids, parts in [
        ([new, new + 1, new + 2, 2**64 - 1], ("expected 0 to 2**64 - 2, got 2**64 - 1 at row 3",)),
        ([new, new + 1], ("expected 4 ids", "got 2")),
        ([new, -1, new + 1, new + 2], ("expected integers from 0", "got -1 at row 1")),
        ([new, 1.5, new + 1, new + 2], ("expected", "integers", "got float")),
    ]:
        with refuses(index, InvalidInputError, "ids: ", *parts):
            index.add(rows(), ids=ids)


EMPTY = {"[]": [], "1-D": np.empty(0), "(0, dim)": np.empty((0, DIM)), "(0, dim) of ints": np.empty((0, DIM), int)}


@pytest.mark.parametrize("batch", EMPTY.values(), ids=EMPTY)
def test_an_empty_batch(index: tiercel.Index, batch: Any) -> None:
    before = index.to_bytes()
    for ids in (None, []):
        added = index.add(batch, ids)
        assert (added.shape, added.dtype) == ((0,), np.uint64)
    for settings in ({}, {"recall": 1}, {"filter": [0]}):
        matches = index.search(batch, 5, **settings)
        assert (matches.ids.shape, matches.ids.dtype) == ((0, 5), np.uint64)
        assert (matches.distances.shape, matches.distances.dtype) == ((0, 5), np.float32)
        assert (matches.counts.shape, matches.counts.dtype) == ((0,), np.uint64)
    ranges = index.range_search(batch, 1.0)
    assert (ranges.ids.shape, ranges.distances.shape, ranges.offsets.tolist()) == ((0,), (0,), [0])
    assert index.delete([]) == 0
    assert index.get([]) == []
    assert index.to_bytes() == before


def emptied() -> tiercel.Index:
    index = tiercel.Index(DIM)
    index.add(rows(1200))
    index.delete(index.ids)
    return index


@pytest.mark.parametrize("make", [lambda: tiercel.Index(DIM), emptied], ids=["new", "all removed"])
def test_an_empty_index(simd: str, make: Callable[[], tiercel.Index]) -> None:
    index = make()
    for settings in ({}, {"recall": 1}, {"ef_search": 10}, {"filter": [1]}, {"filter": np.empty(0, bool)}):
        matches = index.search(rows(), 5, **settings)
        assert (matches.ids.shape, matches.ids.dtype) == ((4, 0), np.uint64)
        assert (matches.distances.shape, matches.distances.dtype) == ((4, 0), np.float32)
        assert (matches.counts.tolist(), matches.counts.dtype) == ([0] * 4, np.uint64)
        one = index.search(rows()[0], 5, **settings)
        assert (one.ids.shape, one.distances.shape, one.counts.shape) == ((0,), (0,), ())
    assert index.range_search(rows(), np.inf).offsets.tolist() == [0] * 5
    assert (len(index), index.ids.shape, index.ids.dtype, list(index)) == (0, (0,), np.uint64, [])
    index.optimize()
    assert len(tiercel.Index.from_bytes(index.to_bytes())) == 0


def test_an_unknown_id_in_remove(index: tiercel.Index) -> None:
    before = answers(index)
    assert index.delete([10**6, 2**64 - 1]) == 0
    assert index.delete(10**6) == 0
    assert answers(index) == before
    assert index.delete([3, 10**6, 3, 4]) == 2
    assert index.delete([3, 4]) == 0
    assert len(index) == len(before[1]) - 2  # pyright: ignore[reportArgumentType]


def test_a_damaged_truncated_or_foreign_file(index: tiercel.Index, tmp_path: Path) -> None:
    path = tmp_path / "index"
    data = index.to_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for content in (bytes(flipped), data[:-1], data[:100], b"", data + b"\0", b"PK\3\4" * 100, os.urandom(4096)):
        path.write_bytes(content)
        with refuses(index, CorruptionError, str(path), " at byte "):
            tiercel.Index.load(path)
        with refuses(index, CorruptionError, "data: ", " at byte "):
            tiercel.Index.from_bytes(content)


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_in_a_long_call(index: tiercel.Index, threads: int) -> None:
    before = answers(index)
    many = np.random.default_rng(1).standard_normal((300_000, DIM), dtype=np.float32)
    linked: list[int] = []

    def interrupt(done: int, total: int) -> None:
        # Once a codec is fitted and some vectors are linked, because then the most must be undone.
        if done > 0:
            linked.append(done)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        index.add(many, threads=threads, progress=interrupt)
    assert len(linked) == 1
    assert linked[0] < len(many)
    assert answers(index)[:2] == before[:2]
    assert index.search(rows(), 5, recall=1).ids.tolist() == before[4]
    timer = threading.Timer(0.05, signal.raise_signal, [signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal may come at any moment of the call
        timer.start()
        while True:
            index.search(many, 5, recall=1, threads=threads)
    timer.join()
    # A stopped index is like any other: it grows, is saved and loaded.
    added = index.add(many[:50])
    # Searches may have seen the ids of the vectors that were taken back, so those are not reused.
    first = int(added[0])
    assert first >= len(index) - 50
    assert added.tolist() == list(range(first, first + 50))
    loaded = tiercel.Index.from_bytes(index.to_bytes())
    assert answers(loaded) == answers(index)


def test_use_after_fork(index: tiercel.Index) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    expected = answers(index)
    index.search(rows(300), 5, threads=2)
    with warnings.catch_warnings():
        # Python warns about threads that other libraries keep.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            same = answers(index) == expected
            added = index.add(rows(3000), threads=2)
            found = index.search(rows(3000), 1, recall=1, threads=2).ids[:, 0]
            os._exit(0 if same and (found == added).all() else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert answers(index) == expected


def test_use_in_threads(index: tiercel.Index) -> None:
    expected = answers(index)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(lambda _: answers(index), range(40)))
        parts = list(pool.map(lambda part: index.add(rows(50) + part), range(8)))
    assert sorted(np.concatenate(parts)) == list(range(len(expected[1]), len(index)))  # pyright: ignore[reportArgumentType]
    for part, ids in enumerate(parts):
        np.testing.assert_array_equal(index.get(ids), rows(50) + np.float32(part))
