//! The answer of a range search.

use numpy::PyArray1;
use pyo3::prelude::*;
use tiercel_index::RangeMatches;

/// Make a `tiercel.RangeMatches`, in Python, since a range search takes long enough for that;
/// `single` if it is for one query that was not in an array.
pub(super) fn range_matches(py: Python<'_>, found: RangeMatches, single: bool) -> PyResult<Bound<'_, PyAny>> {
    let (ids, distances) = (PyArray1::from_vec(py, found.ids), PyArray1::from_vec(py, found.distances));
    let offsets = PyArray1::from_vec(py, found.offsets);
    py.import("tiercel.neighbours")?.getattr("RangeMatches")?.call_method1("_made", (ids, distances, offsets, single))
}
