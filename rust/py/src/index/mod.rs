//! `tiercel.Index`.
//!
//! The core runs without the GIL, so that waiting for its locks never stops other threads, and on
//! copies of arrays, which other threads may change.

mod class;
mod effort;
mod filter;
mod ids;
mod made;
mod matches;
mod new;
mod options;
mod profile;
mod range_matches;
mod saved;
mod stats;

use numpy::PyArray1;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator};
use tiercel_index::{self as core, Among, SearchSettings};

use crate::arguments::{self, Given, Whole, at_least_one, whole};
use crate::convert::Rows;
use crate::errors;
use crate::gil::{Turns, list};
use crate::work::{CallOptions, detached, run};
use effort::{Effort, is_long, search_threads};
use filter::Allowed;
use ids::Ids;
use new::New;
use range_matches::range_matches;
use stats::stats;

pub(crate) use class::Index;
pub(crate) use matches::Matches;

/// The default `k` of a search.
const DEFAULT_K: usize = 10;

#[pymethods]
impl Index {
    /// A number that grows with every change to the vectors in the index.
    #[getter]
    fn version(&self) -> u64 {
        self.core.version()
    }

    /// A copy of all ids, in the order they were added; dtype uint64, shape `(len(index),)`.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        Ok(PyArray1::from_vec(py, detached(py, || self.core.ids())?))
    }

    /// Add vectors: all of them or none. If the last call of `progress` raises, they have been added.
    ///
    /// Parameters
    /// ----------
    /// vectors : array of shape (n, dim) or (dim,)
    ///     Any real dtype, even bfloat16, layout and byte order, read as float32; no masked values.
    /// ids : array of n integers, optional
    ///     Ids, 0 to 2**64 - 2, not yet in the index. By default, the index counts on from its
    ///     largest id so far. It never counts an id twice, even after `clear` or an interruption.
    /// threads : int, optional
    ///     Threads to work on; by default all cores that this process may use.
    /// progress : callable, optional
    ///     Called as `progress(linked, total)` on this thread, a few times a second and at the end.
    ///
    /// Returns
    /// -------
    /// array of uint64, shape (n,)
    ///     The ids of the new vectors.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     NaN, infinity or overflow of the `dtype`, a zero vector under cosine, a non-numeric
    ///     array, one that is not 1-D or 2-D, an id out of range or repeated, or invalid `threads`.
    /// ConflictError
    ///     An id is already in the index; `upsert` replaces its vector.
    /// DimensionMismatchError
    ///     Vectors whose length is not `dim`.
    #[pyo3(signature = (vectors, ids=None, *, threads=None, progress=None))]
    fn add<'py>(
        &self,
        py: Python<'py>,
        vectors: &Bound<'py, PyAny>,
        ids: Option<&Bound<'py, PyAny>>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let ids = ids.map(|ids| Ids::extract(ids, "ids", "an array of integers")).transpose()?;
        let new = New::extract(self, vectors, ids, threads, progress)?;
        Ok(PyArray1::from_vec(py, new.add_to(self, py)?))
    }

    /// Add vectors, or replace those of known ids: all or none, even if interrupted.
    ///
    /// A search finds either the old vector of an id or the new one. A replaced vector leaves a
    /// tombstone, and its id moves to the end of `ids`.
    ///
    /// Parameters
    /// ----------
    /// ids : int, or array of n integers
    ///     Ids, 0 to 2**64 - 2. If an id occurs twice, the last one wins.
    /// vectors : array of shape (n, dim) or (dim,)
    ///     As in `add`.
    /// threads, progress
    ///     As in `add`. If the last call of `progress` raises, the vectors have been written.
    ///
    /// Returns
    /// -------
    /// int
    ///     The number of vectors written, one for each distinct id.
    ///
    /// Raises
    /// ------
    /// InvalidInputError, DimensionMismatchError
    ///     As in `add`.
    #[pyo3(signature = (ids, vectors, *, threads=None, progress=None))]
    fn upsert<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        vectors: &Bound<'py, PyAny>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<usize> {
        let ids = Ids::extract(ids, "ids", "an int or an array of integers")?;
        New::extract(self, vectors, Some(ids), threads, progress)?.upsert_to(self, py)
    }

    /// Find the k nearest vectors of each query.
    ///
    /// Parameters
    /// ----------
    /// queries : array of shape (n, dim) or (dim,)
    ///     As `vectors` in `add`.
    /// k : int
    ///     Results per query, at least 1; limited to the number of vectors in the index.
    /// ef_search : int, optional
    ///     Candidates kept, at least 1; raised to k if smaller. Pass this or `recall`, not both.
    /// recall : float, optional
    ///     Target recall@k, above 0 and at most 1; 0.95 if neither is passed. 1 is exact, unless
    ///     `raw` is "none". Below 1, a table measured on text embeddings chooses `ef_search`, and
    ///     more where a survey found that the vectors of this index need it; queries unlike them may
    ///     find less. With kind "ivf", the index has measured how many of its lists that takes. Many
    ///     queries are compared with all vectors where that costs less; `quality` is "exact" then.
    /// filter : array of bool or of integers, optional
    ///     Mask of shape `(len(index),)`, aligned with `ids`, or allowed ids; ignores unknown ones.
    /// threads : int, optional
    ///     As in `add`. One query always uses one thread.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     NaN or infinity in a query, a zero query under cosine, k below 1, a mask of the wrong
    ///     length, or another argument that has the wrong type or is out of range.
    /// DimensionMismatchError
    ///     Queries whose length is not `dim`.
    ///
    /// Examples
    /// --------
    /// >>> import numpy as np, tiercel
    /// >>> index = tiercel.Index(dim=2, metric="l2")
    /// >>> _ = index.add([[0, 0], [3, 4], [6, 8]], ids=[7, 8, 9])
    /// >>> matches = index.search([0, 0], k=2, filter=[8, 9])
    /// >>> matches.ids.tolist(), matches.distances.tolist(), matches.quality
    /// ([8, 9], [25.0, 100.0], 'exact')
    #[pyo3(
        signature = (queries, k=Given::No, *, ef_search=None, recall=None, filter=None, threads=None),
        text_signature = "($self, queries, k=10, *, ef_search=None, recall=None, filter=None, threads=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the Python method")]
    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        k: Given<'py>,
        ef_search: Option<&Bound<'py, PyAny>>,
        recall: Option<&Bound<'py, PyAny>>,
        filter: Option<&Bound<'py, PyAny>>,
        threads: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Matches> {
        let k = match k {
            Given::No => DEFAULT_K,
            Given::Yes(k) => at_least_one(&k, "k")?,
        };
        let effort = Effort::of(py, ef_search, recall)?;
        let filter = filter.map(Allowed::extract).transpose()?;
        let rows = Rows::extract(queries, "queries", self.dim())?;
        let long = (rows.count > 1 || effort.is_exact())
            && is_long(rows.count, self.slots(py)?, effort.candidates(k), self.dim());
        let options = CallOptions { threads: search_threads(py, threads, rows.count)?, long, progress: None, total: 0 };
        let settings = SearchSettings {
            k,
            ef_search: effort.ef_search,
            recall: effort.recall,
            filter: filter.as_ref().map(Allowed::as_core),
        };
        let (single, values) = (rows.single, rows.values);
        // The copy is freed where it was used: without the GIL.
        let search = move |work: &core::Work<'_>| self.core.search(&{ values }, &settings, work);
        Ok(Matches::new(run(py, &options, search, errors::search)?, single))
    }

    /// For `SemanticCache`: search `candidates` and all vectors added since a version, exactly.
    /// Return the k nearest and the version searched; None if more than `limit` may be new.
    #[pyo3(signature = (query, k, candidates, since, limit, filter=None))]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the Python method")]
    fn _search_among<'py>(
        &self,
        py: Python<'py>,
        query: &Bound<'py, PyAny>,
        k: usize,
        candidates: &Bound<'py, PyAny>,
        since: u64,
        limit: usize,
        filter: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<(Matches, u64)>> {
        let filter = filter.map(Allowed::extract).transpose()?;
        let rows = Rows::extract(query, "query", self.dim())?;
        let candidates = Ids::extract(candidates, "candidates", "an array of integers")?.values;
        let long = is_long(1, candidates.len().saturating_add(limit), usize::MAX, self.dim());
        let options = CallOptions { threads: 1, long, progress: None, total: 0 };
        let filter = filter.as_ref().map(Allowed::as_core);
        let among = Among { k, candidates: &candidates, since, limit, filter };
        let found = run(py, &options, |work| self.core.search_among(&rows.values, &among, work), errors::search)?;
        Ok(found.map(|(found, version)| (Matches::new(found, true), version)))
    }

    /// For `SemanticCache`: return the smallest and largest norm; infinity and 0 under l2.
    fn _norms(&self, py: Python<'_>) -> PyResult<(f64, f64)> {
        detached(py, || self.core.norms())
    }

    /// Find every vector within a distance of each query; exactly, unless `raw` is "none".
    ///
    /// Parameters
    /// ----------
    /// queries : array of shape (n, dim) or (dim,)
    ///     As `vectors` in `add`.
    /// radius : float
    ///     Largest distance, inclusive, in the unit of `Matches.distances` (squared for `l2`).
    /// filter, threads
    ///     As in `search`.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     As in `search`, or `radius` is NaN.
    /// DimensionMismatchError
    ///     Queries whose length is not `dim`.
    #[pyo3(signature = (queries, radius, *, filter=None, threads=None))]
    fn range_search<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        radius: &Bound<'py, PyAny>,
        filter: Option<&Bound<'py, PyAny>>,
        threads: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let radius = arguments::radius(radius)?;
        let filter = filter.map(Allowed::extract).transpose()?;
        let rows = Rows::extract(queries, "queries", self.dim())?;
        let long = is_long(rows.count, self.slots(py)?, usize::MAX, self.dim());
        let options = CallOptions { threads: search_threads(py, threads, rows.count)?, long, progress: None, total: 0 };
        let filter = filter.as_ref().map(Allowed::as_core);
        let (single, values) = (rows.single, rows.values);
        let search = move |work: &core::Work<'_>| self.core.range_search(&{ values }, radius, filter.as_ref(), work);
        range_matches(py, run(py, &options, search, errors::search)?, single)
    }

    /// Delete vectors by id; return how many were in the index. Unknown ids are ignored.
    ///
    /// Parameters
    /// ----------
    /// ids : int, or array or set of integers
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     `ids` are not integers from 0 to 2**64 - 2 (or 2**64 - 1, which no vector has).
    fn delete(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<usize> {
        let ids = Ids::unordered(ids, "ids", "an int or an array of integers")?;
        detached(py, || self.core.delete(&ids.values))
    }

    /// Delete all vectors and free their memory; return how many there were.
    fn clear(&self, py: Python<'_>) -> PyResult<usize> {
        detached(py, || self.core.clear())
    }

    /// Get the vector of an id, or a list of vectors for many ids; None for each unknown id.
    ///
    /// Vectors are returned as they were added; with dtype "f16", rounded to half precision; with
    /// raw "none", as what their codes stand for.
    ///
    /// Parameters
    /// ----------
    /// ids : int, or array of n integers
    ///
    /// Returns
    /// -------
    /// array of float32, shape (dim,), or None; for an array of ids, a list of n in their order
    ///     `numpy.array(index.get(ids))` has the shape (n, dim) if every id is in the index.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     `ids` are not integers from 0 to 2**64 - 2 (or 2**64 - 1, which no vector has).
    fn get<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let ids = Ids::extract(ids, "ids", "an int or an array of integers")?;
        let vectors = detached(py, || self.core.vectors(&ids.values))?;
        let mut vectors = vectors.map_err(|error| errors::raw(py, &error))?;
        let array = |vector: Option<Vec<f32>>| Ok(vector.map(|vector| PyArray1::from_vec(py, vector)));
        if ids.single {
            return array(vectors.swap_remove(0))?.into_bound_py_any(py);
        }
        Ok(list(py, &mut Turns::new(), vectors, array)?.into_any())
    }

    /// Count the vectors that a filter allows, or all.
    ///
    /// Parameters
    /// ----------
    /// filter : array of bool or of integers, optional
    ///     As in `search`.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     A mask of the wrong length, or a filter of the wrong type.
    #[pyo3(signature = (*, filter=None))]
    fn count(&self, py: Python<'_>, filter: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let filter = filter.map(Allowed::extract).transpose()?;
        let filter = filter.as_ref().map(Allowed::as_core);
        detached(py, || self.core.count(filter.as_ref()))?.map_err(|error| errors::search(py, &error))
    }

    /// Link every vector, make each reachable and drop spare memory, so that searches are fast.
    ///
    /// Call it after the last `add` of a load; searches continue meanwhile. With kind "ivf", it fits
    /// the lists to all vectors. Arguments as in `add`.
    #[pyo3(signature = (*, threads=None, progress=None))]
    fn optimize<'py>(
        &self,
        py: Python<'py>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let threads = arguments::threads(py, threads)?;
        let progress = arguments::progress(progress)?;
        let options = CallOptions { threads, long: self.links_long(py, 0)?, progress, total: 0 };
        run(py, &options, |work| self.core.optimize(work), errors::optimize)
    }

    /// Return sizes, degrees, levels, the instruction set and the build time.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats(py, detached(py, || self.core.stats())?)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        detached(py, || self.core.len())
    }

    fn __contains__(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        match whole(id)? {
            Some(Whole::Fits(id)) => detached(py, || self.core.contains(id)),
            _ => Ok(false),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        list(py, &mut Turns::new(), detached(py, || self.core.ids())?, Ok)?.try_iter()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (count, dim, metric, dtype, storage) =
            (self.__len__(py)?, self.dim(), self.metric(), self.dtype(), self.storage());
        Ok(format!(
            "<tiercel.Index: {count} vectors, dim={dim}, metric='{metric}', dtype='{dtype}', storage='{storage}'>"
        ))
    }
}
