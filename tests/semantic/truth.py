"""Check whether an answer is true, up to rounding."""

from typing import Any

import numpy as np
from support.reference import Metric, distances, tolerance


def check_true(
    ids: list[Any], near: np.ndarray, query: np.ndarray, there: dict[Any, np.ndarray], metric: Metric
) -> None:
    """Check that results have their true distances and none nearer is missing, up to rounding."""
    if not there:
        assert ids == []
        return
    names, rows = list(there), np.array(list(there.values()), np.float32)
    true, slack = distances(query, rows, metric)[0], tolerance(query, rows, metric)[0]
    places = [names.index(name) for name in ids]
    assert len(set(places)) == len(places)
    assert (np.abs(near - true[places]) <= slack[places]).all()
    others = np.delete(true + slack, places)
    assert np.min(others, initial=np.inf) >= np.max((true - slack)[places], initial=-np.inf), "a nearer one was missed"
