//! The answer of a range search.

use numpy::PyArray1;
use pyo3::prelude::*;
use tiercel_index as core;

/// The answer of `Index.range_search`: rows of different length, one after the other.
///
/// Row `i` is `ids[offsets[i]:offsets[i + 1]]`, nearest first.
#[pyclass(frozen, module = "tiercel")]
pub(crate) struct RangeMatches {
    ids: Py<PyArray1<u64>>,
    distances: Py<PyArray1<f32>>,
    offsets: Py<PyArray1<u64>>,
    queries: usize,
    total: usize,
}

impl RangeMatches {
    pub(crate) fn new(py: Python<'_>, found: core::RangeMatches) -> Self {
        Self {
            queries: found.offsets.len() - 1,
            total: found.ids.len(),
            ids: PyArray1::from_vec(py, found.ids).unbind(),
            distances: PyArray1::from_vec(py, found.distances).unbind(),
            offsets: PyArray1::from_vec(py, found.offsets).unbind(),
        }
    }
}

#[pymethods]
impl RangeMatches {
    /// Ids of all rows, one row after the other; dtype uint64, shape `(total,)`.
    #[getter]
    fn ids(&self, py: Python<'_>) -> Py<PyArray1<u64>> {
        self.ids.clone_ref(py)
    }

    /// Distances in the order of `ids`; dtype float32, shape `(total,)`.
    #[getter]
    fn distances(&self, py: Python<'_>) -> Py<PyArray1<f32>> {
        self.distances.clone_ref(py)
    }

    /// Where each row begins and the last one ends; dtype uint64, shape `(n + 1,)`.
    #[getter]
    fn offsets(&self, py: Python<'_>) -> Py<PyArray1<u64>> {
        self.offsets.clone_ref(py)
    }

    /// Always `"exact"`: a range search compares every vector.
    #[getter]
    #[expect(clippy::unused_self, reason = "a property of Python")]
    const fn quality(&self) -> &'static str {
        "exact"
    }

    const fn __len__(&self) -> usize {
        self.queries
    }

    fn __repr__(&self) -> String {
        format!("RangeMatches(queries={}, results={}, quality='exact')", self.queries, self.total)
    }
}
