"""An index and a collection have the same verbs, and their results the same names."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import tiercel

VECTORS = [[1, 0], [0, 1], [1, 1]]


@pytest.fixture(params=["index", "collection"])
def store(request: pytest.FixtureRequest, tmp_path: Path):
    """An index, or a collection of vectors, and three ids for it."""
    if request.param == "index":
        yield tiercel.Index(dim=2), [7, 8, 9]
        return
    with tiercel.open(tmp_path, dim=2, durability="none") as collection:
        yield collection, ["a", "b", "c"]


def vector(record: Any) -> list[float]:
    return (record.vector if isinstance(record, tiercel.Match) else record).tolist()


def test_verbs(store: Any) -> None:
    kept, ids = store
    new: Any = {"ids": ids[:2], "vectors": VECTORS[:2]}
    kept.add(**new)
    assert (list(kept), len(kept), kept.count()) == (ids[:2], 2, 2)
    with pytest.raises(
        tiercel.ConflictError, match=r"ids.*: expected (a )?new ids?, got '?(b|8)'?.*upsert replaces"
    ) as caught:
        kept.add(ids=ids[1:], vectors=VECTORS[1:])
    assert (caught.value.id, caught.value.expected) == (ids[1], 0)
    assert list(kept) == ids[:2]
    assert kept.upsert(ids[1:], VECTORS[1:]) == 2
    assert kept.upsert(ids[0], VECTORS[2]) == 1
    assert vector(kept.get(ids[0])) == VECTORS[2]
    assert ids[0] in kept
    assert kept.delete(ids[0]) == 1
    assert kept.delete([ids[0], ids[1]]) == 1
    assert kept.get(ids[0]) is None
    absent, there = kept.get([ids[0], ids[2]])
    assert (absent, vector(there)) == (None, VECTORS[2])
    assert (list(kept), ids[0] in kept) == (ids[2:], False)
    assert kept.clear() == 1
    assert (list(kept), len(kept), kept.count(), kept.get([])) == ([], 0, 0, [])


def test_results(store: Any) -> None:
    kept, ids = store
    kept.upsert(ids, VECTORS)
    result = kept.search([1, 0.1], k=2)
    assert isinstance(result, tiercel.SearchResult)
    assert [hit.id for hit in result] == list(result.ids) == [ids[0], ids[2]]
    assert [hit.distance for hit in result] == result.distances.tolist()
    assert all(isinstance(hit, tiercel.SearchHit) for hit in result)
    assert (len(result), result[1], result[-2:]) == (2, list(result)[1], list(result))
    assert json.loads(json.dumps(result.to_list()))[0]["id"] == ids[0]
    assert result.to_dict()["matches"] == result.to_list()
    assert result.to_dict()["quality"] == result.quality
    assert copy.copy(result) == result
    assert kept.search([1, 0.1]) == kept.search([1, 0.1], k=10)


def test_filters_are_named(store: Any) -> None:
    kept, ids = store
    kept.upsert(ids, VECTORS)
    for method in (kept.count, getattr(kept, "scan", kept.count)):
        with pytest.raises(TypeError, match="positional argument"):
            method([])
