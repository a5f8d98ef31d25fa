//! The answer of a search.

use std::sync::Arc;

use numpy::ndarray::ArrayViewD;
use numpy::npyffi::NPY_ORDER;
use numpy::{Element, PyArray1, PyArrayDyn, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tiercel_index as core;

use crate::errors;
use crate::gil::{LARGE, apart};
use crate::work::detached;

/// Values from which on an array is copied without the GIL.
const MANY: usize = LARGE / size_of::<u64>();

/// An array for Python, made when it is first asked for: many callers read the ids alone.
struct Lazy<T>(PyOnceLock<Py<PyArrayDyn<T>>>);

impl<T: Element + Copy + Send + Sync> Lazy<T> {
    const fn new() -> Self {
        Self(PyOnceLock::new())
    }

    fn get(&self, py: Python<'_>, values: &[T], shape: &[usize]) -> PyResult<Py<PyArrayDyn<T>>> {
        let copy = || match ArrayViewD::from_shape(shape, values) {
            Ok(_) if values.len() > MANY => {
                let copied = PyArray1::from_vec(py, detached(py, || values.to_vec())?);
                Ok(copied.reshape_with_order(shape, NPY_ORDER::NPY_CORDER)?.unbind())
            }
            Ok(view) => Ok(PyArrayDyn::from_array(py, &view).unbind()),
            Err(mismatch) => Err(errors::internal(py, &mismatch.to_string())),
        };
        Ok(self.0.get_or_try_init(py, copy)?.clone_ref(py))
    }
}

/// The answer of `Index.search`.
///
/// A 1-D query gives arrays of shape `(k,)` and `counts` of shape `()`; a 2-D query of shape `(n, dim)` gives `(n, k)`
/// and `(n,)`. `k` is what was asked for, or the number of vectors in the index when that is smaller. Where fewer than `k`
/// results exist (a filter allows fewer), the rest of a row is padding: ids with the largest u64, distances with infinity.
#[pyclass(frozen, module = "tiercel")]
pub(crate) struct Matches {
    /// Shared by copies, which have arrays of their own.
    found: Arc<core::Matches>,
    single: bool,
    quality: &'static str,
    ids: Lazy<u64>,
    distances: Lazy<f32>,
    counts: Lazy<u64>,
}

impl Matches {
    /// `single` when the answer is for one query that was not in an array.
    pub(crate) fn new(found: core::Matches, single: bool) -> Self {
        let quality = if found.exact { "exact" } else { "approximate" };
        Self::copy_of(Arc::new(found), single, quality)
    }

    const fn copy_of(found: Arc<core::Matches>, single: bool, quality: &'static str) -> Self {
        Self { found, single, quality, ids: Lazy::new(), distances: Lazy::new(), counts: Lazy::new() }
    }

    /// The shape of one number a query, and of a row of them a query.
    fn shape(&self) -> [usize; 2] {
        [self.found.counts.len(), self.found.k]
    }

    /// The part of [`Self::shape`] that the caller sees.
    fn visible(&self) -> usize {
        usize::from(self.single)
    }
}

impl Drop for Matches {
    fn drop(&mut self) {
        let empty = core::Matches { k: 0, ids: vec![], distances: vec![], counts: vec![], exact: true };
        if self.found.ids.len() > MANY {
            let found = std::mem::replace(&mut self.found, Arc::new(empty));
            apart(move || drop(found));
        }
    }
}

#[pymethods]
impl Matches {
    /// Ids, nearest first; dtype uint64, shape `(k,)` or `(n, k)`.
    #[getter]
    fn ids(&self, py: Python<'_>) -> PyResult<Py<PyArrayDyn<u64>>> {
        self.ids.get(py, &self.found.ids, &self.shape()[self.visible()..])
    }

    /// Distances, smallest first; dtype float32, same shape as `ids`.
    ///
    /// `l2` is the squared Euclidean distance, `cosine` is 1 - cos, `dot` the negated inner product. They are computed
    /// from the stored vectors in full precision, never from codes.
    #[getter]
    fn distances(&self, py: Python<'_>) -> PyResult<Py<PyArrayDyn<f32>>> {
        self.distances.get(py, &self.found.distances, &self.shape()[self.visible()..])
    }

    /// How many results of each row are real, not padding; dtype uint64, shape `()` or `(n,)`.
    #[getter]
    fn counts(&self, py: Python<'_>) -> PyResult<Py<PyArrayDyn<u64>>> {
        self.counts.get(py, &self.found.counts, &self.shape()[self.visible()..1])
    }

    /// `"exact"` when an exact search found the whole answer, `"certified"` when a `SemanticCache` has proven that one would find
    /// the same, `"approximate"` otherwise.
    #[getter]
    const fn quality(&self) -> &'static str {
        self.quality
    }

    /// The same answer under another quality, with arrays of its own.
    fn _with_quality(&self, py: Python<'_>, quality: &str) -> PyResult<Self> {
        let known = ["exact", "certified", "approximate"].into_iter().find(|known| *known == quality);
        let quality = known.ok_or_else(|| errors::internal(py, &format!("the quality {quality}")))?;
        Ok(Self::copy_of(Arc::clone(&self.found), self.single, quality))
    }

    fn __copy__(&self) -> Self {
        Self::copy_of(Arc::clone(&self.found), self.single, self.quality)
    }

    fn __len__(&self) -> usize {
        self.found.counts.len()
    }

    fn __repr__(&self) -> String {
        format!("Matches(queries={}, k={}, quality='{}')", self.__len__(), self.found.k, self.quality)
    }
}
