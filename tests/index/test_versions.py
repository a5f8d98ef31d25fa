"""What caches need from an index: its changes, its additions, and answers that can be copied."""

import copy

import numpy as np
import pytest

import tiercel

ROWS = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)


def test_the_version_grows_with_every_change_and_with_nothing_else() -> None:
    index = tiercel.Index(4)
    versions = [index.version]
    for change in (
        lambda: index.add(ROWS),
        lambda: index.delete([3, 4]),
        lambda: index.add(ROWS[3], ids=[3]),
        lambda: index.delete(range(100)),
        lambda: index.add(ROWS[0]),
    ):
        change()
        versions.append(index.version)
    assert versions == sorted(set(versions))
    index.delete([777])
    index.add(np.empty((0, 4)))
    index.search(ROWS[0], 3)
    index.optimize()
    with pytest.raises(tiercel.InvalidInputError):
        index.add(ROWS[:, :3])
    assert index.version == versions[-1]


def test_a_copy_of_an_index_goes_its_own_way() -> None:
    index = tiercel.Index(4)
    index.add(ROWS)
    copied, version = copy.copy(index), index.version
    copied.add(ROWS[0])
    assert index.version == version


def test_a_copy_of_an_answer_has_arrays_of_its_own() -> None:
    index = tiercel.Index(4)
    index.add(ROWS)
    for queries in (ROWS[0], ROWS[:3]):
        matches = index.search(queries, 5)
        ids = matches.ids.copy()
        copied = copy.copy(matches)
        matches.ids[...] = 0
        assert np.array_equal(copied.ids, ids)
        assert copied.ids.shape == matches.ids.shape
        assert (copied.quality, len(copied)) == (matches.quality, len(matches))
        assert matches._with_quality("certified").quality == "certified"


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_what_came_since_a_version_is_searched_too(dtype: str) -> None:
    index = tiercel.Index(4, "l2", dtype)  # type: ignore[arg-type]
    index.add(ROWS[:30])
    version = index.version
    index.add(ROWS[30:])
    found = index._search_among(ROWS[40], 3, [1, 2, 777], version, 20)
    assert found is not None
    matches, now = found
    assert (matches.ids[0], matches.ids.shape, now) == (40, (3,), index.version)
    assert set(matches.ids.tolist()) <= {1, 2, *range(30, 50)}
    assert index._search_among(ROWS[40], 3, [1, 2], version, 19) is None
    matches, _ = index._search_among(ROWS[40], 3, [1, 2], index.version, 0, filter=[2, 40])  # type: ignore[misc]
    assert (matches.ids[0], int(matches.counts), matches.quality) == (2, 1, "exact")


def test_norms_are_told_where_they_count() -> None:
    for metric, norms in [("dot", (1.0, 5.0)), ("cosine", (1.0, 5.0)), ("l2", (np.inf, 0.0))]:
        index = tiercel.Index(2, metric)  # type: ignore[arg-type]
        index.add([[3, 4], [1, 0]])
        index.delete([0])
        assert index._norms() == norms
