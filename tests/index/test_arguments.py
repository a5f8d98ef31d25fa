"""Arguments other than arrays: what each accepts, and how a wrong one is refused."""

import copy
import errno
import pickle
import weakref
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from support.naming import shown

import tiercel
from tiercel import _core

ROWS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [3, 2, 1]], np.float32)

STORAGES: Final = (
    "'auto' or 'sq4' or 'sq8' or 'rabitq1' or 'rabitq2' or 'rabitq3' or 'rabitq4' or 'f16' or 'bf16' or 'raw' or 'pq', "
    "'opq' or 'rq' with a number of parts and their bits, such as 'pq48x8' or 'opq96x4'"
)

pytestmark = pytest.mark.usefixtures("simd")


@pytest.fixture
def index() -> tiercel.Index:
    index = tiercel.Index(3, "l2")
    index.add(ROWS)
    return index


def test_an_index_tells_what_it_was_made_with() -> None:
    index = tiercel.Index(5)
    made = (index.dim, index.metric, index.dtype, index.storage, index.m, index.ef_construction, index.seed)
    assert made == (5, "cosine", "f32", "auto", 16, 200, 0)
    index = tiercel.Index(32768, "dot", "f16", "sq8", 2, 65536, seed=2**64 - 1)
    made = (index.dim, index.metric, index.dtype, index.storage, index.m, index.ef_construction, index.seed)
    assert made == (32768, "dot", "f16", "sq8", 2, 65536, 2**64 - 1)
    assert tiercel.Index(np.int64(7), m=np.uint8(4)).m == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "dim: expected an int from 1 to 32768, got 0"),
        ({"dim": -1}, "dim: expected an int from 1 to 32768, got -1"),
        ({"dim": 32769}, "dim: expected an int from 1 to 32768, got 32769"),
        ({"dim": 2**70}, "dim: expected an int from 1 to 32768, got 1180591620717411303424"),
        ({"dim": 3.0}, "dim: expected an int from 1 to 32768, got 3.0"),
        ({"dim": "3"}, "dim: expected an int from 1 to 32768, got '3'"),
        ({"dim": True}, "dim: expected an int from 1 to 32768, got True"),
        ({"dim": None}, "dim: expected an int from 1 to 32768, got None"),
        ({"m": 1}, "m: expected an int from 2 to 512, got 1"),
        ({"m": 513}, "m: expected an int from 2 to 512, got 513"),
        ({"m": None}, "m: expected an int from 2 to 512, got None"),
        ({"ef_construction": 0}, "ef_construction: expected an int from 1 to 65536, got 0"),
        ({"ef_construction": 65537}, "ef_construction: expected an int from 1 to 65536, got 65537"),
        ({"seed": -1}, "seed: expected an int from 0 to 2**64 - 1, got -1"),
        ({"seed": 2**64}, "seed: expected an int from 0 to 2**64 - 1, got 18446744073709551616"),
        ({"seed": None}, "seed: expected an int from 0 to 2**64 - 1, got None"),
        ({"metric": "euclid"}, "metric: expected 'cosine' or 'dot' or 'l2', got 'euclid'"),
        ({"metric": None}, "metric: expected 'cosine' or 'dot' or 'l2', got None"),
        ({"metric": 1}, "metric: expected 'cosine' or 'dot' or 'l2', got 1"),
        ({"metric": b"l2"}, "metric: expected 'cosine' or 'dot' or 'l2', got b'l2'"),
        ({"dtype": np.float32}, "dtype: expected 'f32' or 'f16', got <class 'numpy.float32'>"),
        ({"storage": "sq2"}, f"storage: expected {STORAGES}, got 'sq2'"),
        ({"storage": "\ud800"}, f"storage: expected {STORAGES}, got '\\ud800'"),
        ({"storage": "pq3x2"}, f"storage: expected {STORAGES}, got 'pq3x2'"),
        ({"storage": "pq4x8"}, "parts of storage: expected an int from 1 to 3, got 'pq4x8'"),
        ({"storage": "rq33x8"}, "parts of storage: expected an int from 1 to 32, got 'rq33x8'"),
        ({"metric": "x" * 1000}, "metric: expected 'cosine' or 'dot' or 'l2', got str"),
    ],
)
def test_an_option_out_of_range_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(tiercel.InvalidInputError) as error:
        tiercel.Index(**{"dim": 3, **arguments})
    assert str(error.value) == message
    assert isinstance(error.value, ValueError)


def test_an_unknown_argument_is_a_type_error(index: tiercel.Index) -> None:
    for call in (
        lambda: tiercel.Index(3, space="l2"),  # pyright: ignore[reportCallIssue]
        tiercel.Index,
        lambda: index.search(ROWS, 1, ef=3),  # pyright: ignore[reportCallIssue]
        index.search,
        lambda: index.add(ROWS, None, 2),  # pyright: ignore[reportCallIssue]
    ):
        with pytest.raises(TypeError) as error:
            call()
        assert not isinstance(error.value, tiercel.TiercelError)


def test_an_unknown_instruction_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERCEL_SIMD", "sse")
    for call in (lambda: tiercel.Index(3), _core.simd_level):
        with pytest.raises(tiercel.InvalidInputError, match=r"TIERCEL_SIMD: expected .*sse"):
            call()


def test_the_instruction_set_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = _core.simd_levels()
    assert levels["scalar"]
    for name in (name for name, there in levels.items() if there):
        monkeypatch.setenv("TIERCEL_SIMD", name)
        assert _core.simd_level() == name
        assert tiercel.Index(3).stats()["simd"] == name


NOT_COUNTS = [0, -1, -(2**70), 1.0, np.float64(2), "1", [1], True, np.True_, np.array([1, 2])]


@pytest.mark.parametrize("value", NOT_COUNTS, ids=shown)
def test_counts_are_ints_of_at_least_one(index: tiercel.Index, value: Any) -> None:
    for argument, call in {
        "k": lambda: index.search(ROWS, value),
        "ef_search": lambda: index.search(ROWS, 1, ef_search=value),
        "threads": lambda: index.search(ROWS, 1, threads=value),
    }.items():
        with pytest.raises(tiercel.InvalidInputError) as error:
            call()
        assert str(error.value) == f"{argument}: expected an int of at least 1, got {value!r}"
    for call in (
        lambda: index.add(ROWS, threads=value),
        lambda: index.range_search(ROWS, 1.0, threads=value),
        lambda: index.optimize(threads=value),
    ):
        with pytest.raises(tiercel.InvalidInputError, match="threads: expected an int of at least 1"):
            call()
    assert len(index) == 4


def test_k_must_be_given_as_an_int(index: tiercel.Index) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="k: expected an int of at least 1, got None"):
        index.search(ROWS, None)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("k", [4, 5, 10**9, 2**63, 2**70, np.uint64(2**64 - 1), np.int8(9)])
def test_k_beyond_the_index_gives_all_of_it(index: tiercel.Index, k: Any) -> None:
    assert index.search(ROWS, k).ids.shape == (4, 4)
    assert sorted(index.search(ROWS[0], k, recall=1).ids.tolist()) == [0, 1, 2, 3]


def test_large_settings_are_fine(index: tiercel.Index) -> None:
    for settings in ({"ef_search": 2**70}, {"threads": 2**70}, {"ef_search": np.int16(5)}, {"threads": 3}):
        assert index.search(ROWS, 1, **settings).ids.tolist() == [[0], [1], [2], [3]]


def test_recall_one_is_exact(index: tiercel.Index) -> None:
    for recall in (1, 1.0, np.float32(1), np.int64(1)):
        assert index.search(ROWS, 1, recall=recall).quality == "exact"
    for recall in (0.5, np.float16(0.9), 5e-324, np.float64(0.99)):
        assert index.search(ROWS, 1, recall=recall).ids.tolist() == [[0], [1], [2], [3]]


@pytest.mark.parametrize(
    "value", [0, 0.0, -0.5, 1.0000001, 2, np.nan, np.inf, "0.9", [0.9], True, np.True_, 1j, np.array([0.5, 0.6])]
)
def test_recall_is_a_share(index: tiercel.Index, value: Any) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="recall: expected a number above 0 and at most 1, got "):
        index.search(ROWS, 1, recall=value)


def test_recall_and_ef_search_exclude_each_other(index: tiercel.Index) -> None:
    with pytest.raises(tiercel.InvalidInputError, match="ef_search: expected ef_search or recall, got both"):
        index.search(ROWS, 1, ef_search=10, recall=0.9)


def test_radius_is_a_number(index: tiercel.Index) -> None:
    assert index.range_search(ROWS[0], 0).ids.tolist() == [0]
    assert index.range_search(ROWS[0], np.float32(8)).ids.tolist() == [0, 3]
    assert index.range_search(ROWS[0], -1.5).ids.tolist() == []
    assert len(index.range_search(ROWS[0], float("inf")).ids) == 4
    assert len(index.range_search(ROWS[0], 1e300).ids) == 4
    for value in (np.nan, "1", None, True, [1.0], 1j):
        with pytest.raises(tiercel.InvalidInputError, match="radius: expected a number, got "):
            index.range_search(ROWS, value)  # pyright: ignore[reportArgumentType]


def test_progress_is_a_callable(index: tiercel.Index) -> None:
    calls: list[tuple[int, int]] = []
    index.add(ROWS, progress=lambda done, total: calls.append((done, total)))
    done, total = calls[-1]
    assert done == total
    assert total > 0
    index.optimize(progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1]
    with pytest.raises(tiercel.InvalidInputError, match="progress: expected a callable, got 5"):
        index.add(ROWS, progress=5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(tiercel.InvalidInputError, match="progress: expected a callable, got 'x'"):
        index.optimize(progress="x")  # pyright: ignore[reportArgumentType]
    assert len(index) == 8


def test_an_exception_of_the_last_report_is_raised_and_everything_is_added(index: tiercel.Index) -> None:
    def fails(done: int, total: int) -> None:
        # Stands for another thread: nothing may take back what it writes.
        index.upsert([10], [ROWS[0]])
        raise ZeroDivisionError(f"{done} of {total}")

    with pytest.raises(ZeroDivisionError, match="4 of 4"):
        index.add(ROWS + 1, ids=[10, 11, 12, 13], progress=fails)
    assert list(index) == [0, 1, 2, 3, 11, 12, 13, 10]
    np.testing.assert_array_equal(index.get(10), ROWS[0])


@pytest.mark.parametrize("kind", [str, Path, lambda path: str(path).encode()])
def test_a_path_may_be_anything_that_names_a_file(index: tiercel.Index, tmp_path: Path, kind: Any) -> None:
    path = kind(tmp_path / "índex.tiercel")
    index.save(path)
    np.testing.assert_array_equal(tiercel.Index.load(path).get([0, 1, 2, 3]), ROWS)


@pytest.mark.parametrize("value", [None, 5, 1.5, ["x"], object])
def test_what_names_no_file_is_refused(index: tiercel.Index, value: Any) -> None:
    for call in (index.save, tiercel.Index.load):
        with pytest.raises(tiercel.InvalidInputError, match=r"path: expected a str or os\.PathLike, got "):
            call(value)
        with pytest.raises(tiercel.InvalidInputError, match="path: expected no NUL character"):
            call("a\0b")


def test_files_that_cannot_be_read_or_written(index: tiercel.Index, tmp_path: Path) -> None:
    missing = tmp_path / "no" / "index.tiercel"
    with pytest.raises(FileNotFoundError) as error:
        tiercel.Index.load(missing)
    assert error.value.filename == str(missing)
    with pytest.raises(tiercel.StorageFailedError) as failed:
        index.save(missing)
    assert (failed.value.errno, failed.value.filename) == (errno.ENOENT, str(missing))
    assert isinstance(failed.value, OSError)
    for call in (index.save, tiercel.Index.load):
        with pytest.raises(tiercel.StorageFailedError) as failed:
            call(tmp_path)
        assert failed.value.errno
        assert failed.value.strerror
        assert "os error" not in failed.value.strerror
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_index_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_bytes(b"hello " * 100)
    with pytest.raises(tiercel.CorruptionError) as error:
        tiercel.Index.load(path)
    assert str(error.value).startswith(f"{path}: ")
    with pytest.raises(tiercel.CorruptionError, match=r"^data: "):
        tiercel.Index.from_bytes(b"hello")


def test_an_index_comes_back_from_its_bytes(index: tiercel.Index) -> None:
    data = index.to_bytes()
    assert isinstance(data, bytes)
    spread = memoryview(bytes(byte for pair in zip(data, data, strict=True) for byte in pair))[::2]
    for form in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8), spread):
        other = tiercel.Index.from_bytes(form)  # pyright: ignore[reportArgumentType]
        assert (list(other), other.metric) == ([0, 1, 2, 3], "l2")
        np.testing.assert_array_equal(other.get([0, 1, 2, 3]), ROWS)
    for value in (None, 5, "text", [1, 2]):
        with pytest.raises(tiercel.InvalidInputError, match="data: expected bytes, got "):
            tiercel.Index.from_bytes(value)  # pyright: ignore[reportArgumentType]


def test_copies_and_pickles_are_independent(index: tiercel.Index) -> None:
    copies = [copy.copy(index), copy.deepcopy(index), copy.deepcopy([index])[0]]
    copies += [pickle.loads(pickle.dumps(index, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in copies:
        assert type(other) is tiercel.Index
        other.add([[1, 1, 1]])
        other.delete(0)
        assert list(other) == [1, 2, 3, 4]
    assert list(index) == [0, 1, 2, 3]


def test_an_index_is_an_ordinary_object(index: tiercel.Index) -> None:
    other = copy.copy(index)
    assert index != other
    assert {index: 1}[index] == 1
    reference = weakref.ref(other)
    assert reference() is other
    del other
    assert reference() is None
    assert not hasattr(index, "__dict__")
    assert repr(index) == "<tiercel.Index: 4 vectors, dim=3, metric='l2', dtype='f32', storage='auto'>"
    assert repr(index.search(ROWS, 9, recall=1)) == "Matches(queries=4, k=4, quality='exact')"
    assert repr(index.range_search(ROWS, 0.0)) == "RangeMatches(queries=4, results=4, quality='exact')"
    with pytest.raises(AttributeError):
        index.dim = 4  # pyright: ignore[reportAttributeAccessIssue]


def test_stats_have_every_part(index: tiercel.Index) -> None:
    stats = index.stats()
    assert stats["len"] == 4
    assert list(stats["bytes"]) == ["vectors", "codes", "links", "lists", "ids", "other", "total"]
    assert sum(stats["bytes"].values()) == 2 * stats["bytes"]["total"]
    assert set(stats) == {
        "len",
        "tombstones",
        "linked",
        "lists",
        "storage",
        "codec_recall",
        "graph_recall",
        "bytes",
        "bytes_per_vector",
        "disk_bytes",
        "why",
        "levels",
        "mean_degree",
        "simd",
        "build_seconds",
    }
