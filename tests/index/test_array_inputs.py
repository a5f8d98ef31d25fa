"""Arrays with masks, of objects and of types from other packages, wherever arrays are accepted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tiercel
from tiercel import Collection, Index
from tiercel.embed import from_callable

ROWS = np.float32([[3, 4], [0, 1], [1, 0]])
SEMANTIC = tiercel.SemanticCache


def new_index() -> Index:
    index = Index(2, "l2")
    index.add(ROWS)
    return index


@pytest.fixture
def index() -> Index:
    return new_index()


@pytest.fixture
def pets(tmp_path: Path):
    with tiercel.open(tmp_path / "pets", dim=2, metric="l2", durability="none") as collection:
        collection.upsert(["a", "b", "c"], ROWS, ["a text"] * 3)
        yield collection


Use = Callable[[Index, Collection, NDArray[Any]], Any]


def embedded(vectors: Any) -> tiercel.embed.Embedder:
    return from_callable(lambda texts: vectors[: len(texts)], dim=2, fingerprint="f")


# Each returns the result for a batch of vectors, or for its first: the first row is at 3, 4.
VECTORS: dict[str, Use] = {
    "add": lambda index, pets, rows: np.array(index.get(index.add(rows))).tolist(),
    "search": lambda index, pets, rows: index.search(rows, 1).ids.ravel().tolist(),
    "search of one": lambda index, pets, rows: index.search(rows[0], 1).ids.tolist(),
    "range_search": lambda index, pets, rows: index.range_search(rows, 0.0).ids.tolist(),
    "upsert": lambda index, pets, rows: pets.upsert([f"new{at}" for at in range(len(rows))], rows),
    "upsert of a list": lambda index, pets, rows: pets.upsert([f"new{at}" for at in range(len(rows))], [*rows]),
    "upsert of some": lambda index, pets, rows: pets.upsert(["new", "none"], [rows[0], None]),
    "collection.search": lambda index, pets, rows: pets.search(rows[0], k=1).ids,
    "search_many": lambda index, pets, rows: [found.ids for found in pets.search_many(rows, k=1)],
    "QueryCache": lambda index, pets, rows: tiercel.QueryCache(index).search(rows, 1).ids.ravel().tolist(),
    "SemanticCache": lambda index, pets, rows: SEMANTIC(index).search(rows[0], 1).ids.tolist(),
    "put": lambda index, pets, rows: SEMANTIC.payloads(2, "l2").put(rows[0], "x"),
    "embed_documents": lambda index, pets, rows: embedded(rows).embed_documents(["x", "y"]).tolist(),
    "embed_query": lambda index, pets, rows: embedded(rows).embed_query("x").tolist(),
    "rerank": lambda index, pets, rows: pets.search(text="text", rerank=lambda query, texts: rows[0][[0, 1, 0]]).ids,
}
IDS: dict[str, Use] = {
    "ids to add": lambda index, pets, ids: index.add(ROWS[: len(ids)], ids=ids + 10),
    "delete": lambda index, pets, ids: index.delete(ids),
    "get": lambda index, pets, ids: index.get(ids),
    "filter": lambda index, pets, ids: index.search(ROWS, 1, filter=ids),
    "filter of a range": lambda index, pets, ids: index.range_search(ROWS, 1, filter=ids),
    "filter of a cache": lambda index, pets, ids: SEMANTIC(index).search(ROWS[0], 1, filter=ids),
    "filter of a query cache": lambda index, pets, ids: tiercel.QueryCache(index).search(ROWS, 1, filter=ids),
}


@pytest.mark.parametrize("use", VECTORS.values(), ids=VECTORS)
def test_vectors_with_a_mask_are_refused(index: Index, pets: Collection, use: Use) -> None:
    assert use(new_index(), pets, np.ma.array(ROWS[:2])) == use(new_index(), pets, ROWS[:2]), "a mask of nothing"
    before = len(index), len(pets)
    masked = np.ma.array(ROWS[:2], mask=[[False, True], [False, False]])
    with pytest.raises(tiercel.InvalidInputError, match="expected values without a mask, got a masked one at row"):
        use(index, pets, masked)
    assert (len(index), len(pets)) == before


@pytest.mark.parametrize("use", IDS.values(), ids=IDS)
def test_ids_and_filters_with_a_mask_are_refused(index: Index, pets: Collection, use: Use) -> None:
    masked = np.ma.array([0, 1], mask=[False, True])
    with pytest.raises(tiercel.InvalidInputError, match=": expected values without a mask, got a masked one at row 1"):
        use(index, pets, masked)
    use(index, pets, np.ma.array([0, 1]))


def test_a_mask_with_a_mask_is_refused(index: Index) -> None:
    masked = np.ma.array([True, False, True], mask=[False, False, True])
    with pytest.raises(tiercel.InvalidInputError, match="filter: expected values without a mask"):
        index.search(ROWS, 1, filter=masked)


@pytest.mark.parametrize("use", VECTORS.values(), ids=VECTORS)
def test_real_types_of_other_packages_are_read(pets: Collection, use: Use) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    expected = use(new_index(), pets, ROWS[:2])
    for name in ("bfloat16", "float8_e5m2", "float8_e4m3fn", "int4"):
        assert use(new_index(), pets, ROWS[:2].astype(getattr(ml_dtypes, name))) == expected, name


@pytest.mark.parametrize("use", VECTORS.values(), ids=VECTORS)
def test_what_is_no_real_number_is_refused(index: Index, pets: Collection, use: Use) -> None:
    for dtype in ("M8[s]", "m8[s]", "complex64", "bool", "V4", "S4", "i4,i4"):
        with pytest.raises(tiercel.InvalidInputError):
            use(index, pets, np.zeros((2, 2), dtype))


def column(rows: Any) -> NDArray[Any]:
    """An array of objects, as a data frame has vectors."""
    objects = np.empty(len(rows), object)
    objects[:] = [*rows]
    return objects


@pytest.mark.parametrize("use", VECTORS.values(), ids=VECTORS)
def test_a_column_of_vectors_is_read(index: Index, pets: Collection, use: Use) -> None:
    assert use(new_index(), pets, column(ROWS[:2])) == use(index, pets, ROWS[:2])


@pytest.mark.parametrize("use", VECTORS.values(), ids=VECTORS)
def test_objects_that_are_numbers_are_read_whatever_comes_first(index: Index, pets: Collection, use: Use) -> None:
    rows = [[3, np.float32(4)], [0.0, 1], [np.int8(1), 0]]
    for order in (rows, [[3, 4], [0, 1], [1, 0]]):
        given = np.array(order, object)[:2]
        assert use(new_index(), pets, given) == use(new_index(), pets, ROWS[:2])
    with pytest.raises(tiercel.InvalidInputError):
        use(index, pets, np.array([[3, None], [0, 1]], object))


def test_ids_that_are_objects_are_exact(index: Index) -> None:
    assert index.add(ROWS[:2], np.array([9, 2**63 + 5], object)).tolist() == [9, 2**63 + 5]


def test_filters_of_a_semantic_cache_are_those_of_its_index(index: Index) -> None:
    index.add(ROWS[:1], [2**63 + 5])
    for ids in ([1, 2**63 + 5], (1, 2**63 + 5), np.array([1, 2], object), np.array([1, 2**63 + 5], object)):
        expected = index.search(ROWS[0], 2, filter=ids, recall=1).ids.tolist()
        assert SEMANTIC(index).search(ROWS[0], 2, filter=ids).ids.tolist() == expected
        queries = tiercel.QueryCache(index)
        for _ in range(2):
            assert queries.search(ROWS[0], 2, filter=ids).ids.tolist() == expected
        assert queries.stats()["hits"] == 1
    for wrong in ([1, 0.5], [-1, 2**63 + 5], np.array([1, "2"], object)):
        for search in (index.search, SEMANTIC(index).search):
            with pytest.raises(tiercel.InvalidInputError, match=r"^filter: expected"):
                search(ROWS[0], 2, filter=wrong)


def test_bools_among_numbers_are_no_numbers(index: Index, pets: Collection) -> None:
    index.add(ROWS[:1], [2**63 + 5])
    for mixed in ([True, 5], [5, True], [True, 2**63 + 5], [np.True_, 5], [True, False, 1]):
        queries = tiercel.QueryCache(index)
        # numpy reads the mixed ids like these, whose answer is cached.
        queries.search(ROWS[0], 2, filter=[int(each) for each in mixed])
        for ids in (mixed, tuple(mixed), np.array(mixed, object)):
            for search in (index.search, SEMANTIC(index).search, queries.search):
                with pytest.raises(tiercel.InvalidInputError, match=r"^filter: expected integers, got bool at row"):
                    search(ROWS[0], 2, filter=ids)
            for call in (index.delete, index.get, lambda ids: index.add(ROWS[: len(ids)], ids=ids)):
                with pytest.raises(tiercel.InvalidInputError, match=r"^ids: expected integers, got bool at row"):
                    call(ids)
    for use in VECTORS.values():
        with pytest.raises(tiercel.InvalidInputError):
            use(index, pets, np.array([[True, 0.5], [0.5, 1]], object))
    assert len(index) == 4


def test_bools_alone_are_a_mask(index: Index) -> None:
    for mask in ([True, False, True], np.array([True, False, True], object)):
        expected = index.search(ROWS[0], 3, filter=np.array([True, False, True]), recall=1)
        for search in (index.search, SEMANTIC(index).search, tiercel.QueryCache(index).search):
            assert search(ROWS[0], 3, filter=mask).ids.tolist() == expected.ids.tolist()


def test_a_column_with_what_is_no_vector_is_refused(index: Index) -> None:
    for wrong in ([ROWS[0], None], [ROWS[0], float("nan")], [ROWS[0], ROWS[0, :1]], ["a", "b"]):
        with pytest.raises(tiercel.InvalidInputError, match="vectors: expected a numeric array"):
            index.add(column(wrong))
    masked = np.ma.array(ROWS[0], mask=[True, False])
    with pytest.raises(tiercel.InvalidInputError, match="vectors: expected values without a mask"):
        index.add(column([ROWS[0], masked]))
    assert len(index) == 3


def test_gaps_in_a_column_of_vectors_are_records_without_one(pets: Collection) -> None:
    assert pets.upsert(["d", "e"], column([ROWS[0], None])) == 2
    d, e = pets.get(["d", "e"], include=["vector"])
    assert d is not None
    assert e is not None
    assert d.vector is not None
    assert (d.vector.tolist(), e.vector) == ([3, 4], None)
