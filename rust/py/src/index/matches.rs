//! The answer of a search.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use numpy::ndarray::ArrayViewD;
use numpy::npyffi::NPY_ORDER;
use numpy::{Element, PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PySlice, PyType};
use tiercel_index as core;

use crate::errors;
use crate::gil::{LARGE, Turns, apart};
use crate::work::detached;

const QUALITIES: [&str; 3] = ["exact", "certified", "approximate"];

/// An array of more values is copied without the GIL.
const MANY: usize = LARGE / size_of::<u64>();

/// An array for Python, made on first use: many callers read only the ids.
struct Lazy<T>(PyOnceLock<Py<PyArrayDyn<T>>>);

impl<T: Element + Copy + Send + Sync> Lazy<T> {
    const fn new() -> Self {
        Self(PyOnceLock::new())
    }

    fn get(&self, py: Python<'_>, values: &[T], shape: &[usize]) -> PyResult<Py<PyArrayDyn<T>>> {
        Ok(self.0.get_or_try_init(py, || array(py, values, shape))?.clone_ref(py))
    }
}

/// Make a new array with these values.
fn array<T: Element + Copy + Send + Sync>(
    py: Python<'_>,
    values: &[T],
    shape: &[usize],
) -> PyResult<Py<PyArrayDyn<T>>> {
    match ArrayViewD::from_shape(shape, values) {
        Ok(_) if values.len() > MANY => {
            let copied = PyArray1::from_vec(py, detached(py, || values.to_vec())?);
            Ok(copied.reshape_with_order(shape, NPY_ORDER::NPY_CORDER)?.unbind())
        }
        Ok(view) => Ok(PyArrayDyn::from_array(py, &view).unbind()),
        Err(mismatch) => Err(errors::internal(py, &mismatch.to_string())),
    }
}

/// The result of `Index.search`: a sequence of `Neighbour`, nearest first, for a 1-D query; of
/// one `Matches` per query for a 2-D one.
///
/// For a 1-D query, `ids` and `distances` have the shape `(k,)` and `counts` has `()`; for a 2-D
/// query of shape `(n, dim)`, they have `(n, k)` and `(n,)`. `k` is at most the number of vectors
/// in the index. If a filter allows fewer than `k` results, the rest of a row is padding: 2**64 - 1
/// in `ids`, infinity in `distances`. The sequence has no padding. Results with equal hits are
/// equal; quality does not count.
#[pyclass(frozen, module = "tiercel")]
pub(crate) struct Matches {
    /// Shared by copies, which have separate arrays.
    found: Arc<core::Matches>,
    single: bool,
    quality: &'static str,
    ids: Lazy<u64>,
    distances: Lazy<f32>,
    counts: Lazy<u64>,
}

impl Matches {
    /// Make an answer; `single` if it is for one query that was not in an array.
    pub(crate) fn new(found: core::Matches, single: bool) -> Self {
        let quality = if found.exact { "exact" } else { "approximate" };
        Self::copy_of(Arc::new(found), single, quality)
    }

    const fn copy_of(found: Arc<core::Matches>, single: bool, quality: &'static str) -> Self {
        Self { found, single, quality, ids: Lazy::new(), distances: Lazy::new(), counts: Lazy::new() }
    }

    /// The shape of arrays with one row per query; its first part is that of one number per
    /// query.
    fn shape(&self) -> [usize; 2] {
        [self.found.counts.len(), self.found.k]
    }

    /// Where the part of [`Self::shape`] that the caller sees begins.
    fn visible(&self) -> usize {
        usize::from(self.single)
    }

    /// Return the results of a query, without padding.
    fn row(&self, query: usize) -> (&[u64], &[f32]) {
        let begin = query * self.found.k;
        let row = begin..begin + self.found.counts[query] as usize;
        (&self.found.ids[row.clone()], &self.found.distances[row])
    }

    /// Return the element at a valid place.
    fn at<'py>(&self, py: Python<'py>, place: usize) -> PyResult<Bound<'py, PyAny>> {
        if self.single {
            let (ids, distances) = self.row(0);
            return python(py, "Neighbour")?.call1((ids[place], distances[place]));
        }
        let (k, all) = (self.found.k, &*self.found);
        let row = place * k..(place + 1) * k;
        let found = core::Matches {
            k,
            ids: all.ids[row.clone()].to_vec(),
            distances: all.distances[row].to_vec(),
            counts: vec![all.counts[place]],
            exact: all.exact,
        };
        Ok(Bound::new(py, Self::copy_of(Arc::new(found), true, self.quality))?.into_any())
    }
}

/// Return the attribute of `tiercel.neighbours` with this name.
fn python<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("tiercel.neighbours").map(Bound::unbind))?;
    module.bind(py).getattr(name)
}

/// Return the class of all Python sequences.
fn sequence(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("collections.abc")?.getattr("Sequence")
}

/// Ids, distances, counts and quality.
type Pickled = (Py<PyArrayDyn<u64>>, Py<PyArrayDyn<f32>>, Py<PyArrayDyn<u64>>, String);

/// The iterator over the elements of an answer.
#[pyclass(frozen, module = "tiercel._core")]
pub(crate) struct Elements {
    answer: Py<Matches>,
    next: AtomicUsize,
}

#[pymethods]
impl Elements {
    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (answer, place) = (self.answer.get(), self.next.load(Ordering::Relaxed));
        if place >= answer.__len__() {
            return Ok(None);
        }
        self.next.store(place + 1, Ordering::Relaxed);
        answer.at(py, place).map(Some)
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
    /// 1 - cos for `cosine`, the negated inner product for `dot`, the squared Euclidean distance
    /// for `l2`; computed from the stored vectors in full precision, or from codes if the index was
    /// made with `rerank="none"` or `raw="none"`; with `rerank="f16"`, from vectors in half
    /// precision.
    #[getter]
    fn distances(&self, py: Python<'_>) -> PyResult<Py<PyArrayDyn<f32>>> {
        self.distances.get(py, &self.found.distances, &self.shape()[self.visible()..])
    }

    /// Number of results in each row, without padding; dtype uint64, shape `()` or `(n,)`.
    #[getter]
    fn counts(&self, py: Python<'_>) -> PyResult<Py<PyArrayDyn<u64>>> {
        self.counts.get(py, &self.found.counts, &self.shape()[self.visible()..1])
    }

    /// `"exact"` if an exact search found this, `"certified"` if a `SemanticCache` proved that
    /// it would, else `"approximate"`.
    #[getter]
    const fn quality(&self) -> &'static str {
        self.quality
    }

    /// Copy the result with another quality.
    fn _with_quality(&self, py: Python<'_>, quality: &str) -> PyResult<Self> {
        let known = QUALITIES.into_iter().find(|known| *known == quality);
        let quality = known.ok_or_else(|| errors::internal(py, &format!("the quality {quality}")))?;
        Ok(Self::copy_of(Arc::clone(&self.found), self.single, quality))
    }

    /// Return a copy with separate arrays.
    fn __copy__(&self) -> Self {
        Self::copy_of(Arc::clone(&self.found), self.single, self.quality)
    }

    /// Return a copy with separate arrays.
    #[expect(unused_variables, reason = "the signature of Python")]
    fn __deepcopy__(&self, memo: &Bound<'_, PyAny>) -> Self {
        self.__copy__()
    }

    /// Pickle support.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Pickled)> {
        let (py, this) = (slf.py(), slf.get());
        let (found, shape, visible) = (&this.found, this.shape(), this.visible());
        let ids = array(py, &found.ids, &shape[visible..])?;
        let distances = array(py, &found.distances, &shape[visible..])?;
        let counts = array(py, &found.counts, &shape[visible..1])?;
        Ok((slf.get_type().getattr("_restored")?, (ids, distances, counts, this.quality.into())))
    }

    /// Restore a pickled result. A 0-D array of counts means one 1-D query.
    #[classmethod]
    fn _restored(
        cls: &Bound<'_, PyType>,
        ids: &Bound<'_, PyArrayDyn<u64>>,
        distances: &Bound<'_, PyArrayDyn<f32>>,
        counts: &Bound<'_, PyArrayDyn<u64>>,
        quality: &str,
    ) -> PyResult<Self> {
        let single = counts.ndim() == 0;
        let known = QUALITIES.into_iter().find(|known| *known == quality);
        let (k, rows) = match (single, ids.shape()) {
            (true, [k]) => (*k, Some(1)),
            (false, [rows, k]) => (*k, Some(*rows)),
            _ => (0, None),
        };
        let (numbers, queries) = (ids.to_vec()?, counts.to_vec()?);
        let fits = ids.shape() == distances.shape() && rows == Some(queries.len());
        let (Some(quality), true, true) = (known, fits, queries.iter().all(|count| *count <= k as u64)) else {
            return Err(errors::invalid(cls.py(), "Matches: expected arrays that belong together".into()));
        };
        let exact = quality == "exact";
        let found = core::Matches { k, ids: numbers, distances: distances.to_vec()?, counts: queries, exact };
        Ok(Self::copy_of(Arc::new(found), single, quality))
    }

    /// Return the number of results of a 1-D query, or the number of queries in a 2-D one.
    pub(crate) fn __len__(&self) -> usize {
        if self.single { self.row(0).0.len() } else { self.found.counts.len() }
    }

    /// Return a `Neighbour` of a 1-D query, or the `Matches` of one query of a 2-D one; a list
    /// of these for a slice.
    fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let length = self.__len__();
        if let Ok(slice) = index.cast::<PySlice>() {
            let places = slice.indices(length.cast_signed())?;
            let (list, mut turns, mut place) = (PyList::empty(py), Turns::new(), places.start);
            for _ in 0..places.slicelength {
                list.append(self.at(py, place.cast_unsigned())?)?;
                turns.step(py)?;
                place += places.step;
            }
            return Ok(list.into_any());
        }
        let out_of_range = || PyIndexError::new_err("Matches: index out of range");
        let place: isize = index.extract().map_err(|error: PyErr| {
            if error.is_instance_of::<PyOverflowError>(py) {
                return out_of_range();
            }
            let kind = index.get_type().name().map_or_else(|_| "another type".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!("Matches: expected an int or a slice as the index, got {kind}"))
        })?;
        let place = if place < 0 { place + length.cast_signed() } else { place };
        if !(0..length.cast_signed()).contains(&place) {
            return Err(out_of_range());
        }
        self.at(py, place.cast_unsigned())
    }

    /// Iterate over the elements.
    const fn __iter__(slf: Py<Self>) -> Elements {
        Elements { answer: slf, next: AtomicUsize::new(0) }
    }

    /// Iterate over the elements from the last to the first.
    fn __reversed__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        sequence(slf.py())?.call_method1("__reversed__", (slf,))
    }

    /// Whether both answers have equal results.
    fn __eq__(&self, other: &Self) -> bool {
        let queries = self.found.counts.len();
        self.single == other.single
            && queries == other.found.counts.len()
            && (0..queries).all(|query| self.row(query) == other.row(query))
    }

    /// Return the first index of an element from `start` until `stop`, or raise `ValueError`.
    #[pyo3(signature = (value, start=0, stop=None))]
    fn index<'py>(
        slf: &Bound<'py, Self>,
        value: &Bound<'py, PyAny>,
        start: isize,
        stop: Option<isize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        sequence(slf.py())?.call_method1("index", (slf, value, start, stop))
    }

    /// Count the elements equal to a value.
    fn count<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        sequence(slf.py())?.call_method1("count", (slf, value))
    }

    /// Convert to what `json.dumps` accepts: a list of dicts with `id` and `distance`; for a 2-D
    /// query, a list per query. An infinite distance becomes None.
    fn to_list<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        python(slf.py(), "as_list")?.call1((slf,))
    }

    /// Convert to a dict with the quality, and `to_list()` under "matches".
    fn to_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        python(slf.py(), "as_dict")?.call1((slf,))
    }

    /// Make a table for Jupyter.
    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        python(slf.py(), "as_html")?.call1((slf,))
    }

    fn __repr__(&self) -> String {
        format!("Matches(queries={}, k={}, quality='{}')", self.found.counts.len(), self.found.k, self.quality)
    }
}
