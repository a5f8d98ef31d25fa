//! `tiercel.Index`.
//!
//! The core runs without the GIL, so that waiting for its locks never stops other threads, and on
//! copies of arrays, which other threads may change.

mod class;
mod effort;
mod filter;
mod ids;
mod matches;
mod new;
mod options;
mod profile;
mod range_matches;
mod stats;

use std::path::Path;

use numpy::PyArray1;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyType};
use tiercel_index::{self as core, Among, SearchSettings};

use crate::arguments::{self, Given, Whole, at_least_one, choice, name, whole};
use crate::convert::Rows;
use crate::errors;
use crate::gil::{Turns, list, own_bytes};
use crate::work::{CallOptions, detached, run};
use effort::{Effort, is_long, search_threads};
use filter::Allowed;
use ids::Ids;
use new::New;
use options::Options;
use profile::profile;
use range_matches::range_matches;
use stats::stats;

pub(crate) use class::Index;
pub(crate) use matches::Matches;

/// The default `k` of a search.
const DEFAULT_K: usize = 10;

#[pymethods]
impl Index {
    #[new]
    #[pyo3(
        signature = (dim, metric=Given::No, dtype=Given::No, storage=Given::No, m=Given::No, ef_construction=Given::No, *, raw=Given::No, rerank=Given::No, memory=Given::No, kind=Given::No, build=Given::No, seed=Given::No),
        text_signature = "(dim, metric='cosine', dtype='f32', storage='auto', m=16, ef_construction=200, *, raw='memory', rerank='full', memory=None, kind='hnsw', build='balanced', seed=0)"
    )]
    #[expect(clippy::too_many_arguments, reason = "as Python hands them over")]
    fn new(
        py: Python<'_>,
        dim: Given<'_>,
        metric: Given<'_>,
        dtype: Given<'_>,
        storage: Given<'_>,
        m: Given<'_>,
        ef_construction: Given<'_>,
        raw: Given<'_>,
        rerank: Given<'_>,
        memory: Given<'_>,
        kind: Given<'_>,
        build: Given<'_>,
        seed: Given<'_>,
    ) -> PyResult<Self> {
        let given = Options { dim, metric, dtype, storage, m, ef_construction, raw, rerank, memory, kind, build, seed };
        let options = given.read()?;
        let made = detached(py, || core::Index::new(options))?;
        let core = made.map_err(|error| errors::new(py, &error, |option| given.shown(option)))?;
        Ok(Self::of(core))
    }

    /// Create an index for a common case.
    ///
    /// Parameters
    /// ----------
    /// name : {"small", "medium", "large", "memory-constrained", "write-heavy"}
    ///     "small": up to about 20,000 vectors, no graph to build. "medium": the defaults, up to about
    ///     a million. "large": more; full vectors on disk. "memory-constrained": also codes of 1 bit
    ///     per value. "write-heavy": a graph that is built in less time and finds a little less.
    /// dim : int
    ///     Length of every vector.
    /// **options
    ///     Other arguments of `Index`, which take precedence.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     There is no such profile, or an option is invalid.
    ///
    /// Examples
    /// --------
    /// >>> import tiercel
    /// >>> tiercel.Index.profile("large", dim=384).raw
    /// 'disk'
    #[classmethod]
    #[pyo3(signature = (name, dim, **options))]
    fn profile<'py>(
        class: &Bound<'py, PyType>,
        name: Given<'py>,
        dim: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        profile(class, &name, dim, options)
    }

    /// Length of every vector.
    #[getter]
    fn dim(&self) -> usize {
        self.core.options().dim
    }

    /// The metric passed to the constructor.
    #[getter]
    fn metric(&self) -> &'static str {
        name(arguments::METRICS, self.core.options().metric)
    }

    /// How vectors are stored.
    #[getter]
    fn dtype(&self) -> &'static str {
        name(arguments::DTYPES, self.core.options().dtype)
    }

    /// The storage passed to the constructor; `stats()["storage"]` is the one in use.
    #[getter]
    fn storage(&self) -> String {
        self.core.options().storage.name().into()
    }

    /// Neighbours of each vector on the upper levels.
    #[getter]
    fn m(&self) -> usize {
        self.core.options().m
    }

    /// Candidates kept while linking a vector.
    #[getter]
    fn ef_construction(&self) -> usize {
        self.core.options().ef_construction
    }

    /// Where the full vectors are.
    #[getter]
    fn raw(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(name(arguments::RAWS, detached(py, || self.core.raw())?))
    }

    /// What searches compare the best candidates with once more.
    #[getter]
    fn rerank(&self) -> &'static str {
        name(arguments::RERANKS, self.core.options().rerank)
    }

    /// The most bytes of memory to take, or None.
    #[getter]
    fn memory(&self) -> Option<u64> {
        self.core.options().memory
    }

    /// How the nearest vectors are found.
    #[getter]
    fn kind(&self) -> &'static str {
        name(arguments::KINDS, self.core.options().kind)
    }

    /// Seed of the levels and the rotation.
    #[getter]
    fn seed(&self) -> u64 {
        self.core.options().seed
    }

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
    ///     Target recall@k, above 0 and at most 1; 0.95 if neither is passed. 1 is exact. Below 1,
    ///     a fixed table chooses `ef_search`; measured on text embeddings, not yet on this index.
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

    /// Find every vector within a distance of each query, exactly.
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
    /// Vectors are returned as they were added; with dtype "f16", rounded to half precision.
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
    /// Call it after the last `add` of a load; searches continue meanwhile. Arguments as in `add`.
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

    /// Write the index to a file. The old content stays until the new one is safely on disk.
    ///
    /// Raises
    /// ------
    /// StorageFailedError
    ///     The file cannot be written; `DiskFullError` if the disk is full.
    fn save(&self, py: Python<'_>, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let path = arguments::path(path)?;
        detached(py, || self.core.save(&path))?.map_err(|error| errors::storage(py, &error, &path))
    }

    /// Read an index that `save` wrote.
    ///
    /// Parameters
    /// ----------
    /// path : str or PathLike
    /// raw : {"memory", "disk"}
    ///     Where the full vectors are. With "disk" they stay in this file, which is read and checked
    ///     once. It may be replaced or removed afterwards, but not changed. Vectors added later go to
    ///     a temporary file.
    /// rerank : {"full", "none"}
    ///     As in the constructor.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     `raw` is "disk" for an index whose searches compare full vectors.
    /// MissingFileError
    ///     The file does not exist.
    /// StorageFailedError
    ///     The file cannot be read.
    /// CorruptionError
    ///     The file is damaged, truncated, in a newer format or not a tiercel index.
    #[classmethod]
    #[pyo3(
        signature = (path, *, raw=Given::No, rerank=Given::No),
        text_signature = "($cls, path, *, raw='memory', rerank='full')"
    )]
    fn load(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        raw: Given<'_>,
        rerank: Given<'_>,
    ) -> PyResult<Self> {
        let path = arguments::path(path)?;
        let raw = choice(&raw, "raw", arguments::RAWS)?;
        let rerank = choice(&rerank, "rerank", arguments::RERANKS)?;
        let loaded = detached(py, || core::Index::load(&path, raw, rerank))?;
        Ok(Self::of(loaded.map_err(|error| errors::load(py, error, &path))?))
    }

    /// Return the bytes that `save` would write.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = detached(py, || self.core.to_bytes())?;
        own_bytes(py, bytes.map_err(|error| errors::storage(py, &error, Path::new("raw")))?)
    }

    /// Create an index from `to_bytes`. Raises `CorruptionError` as `load` does.
    #[classmethod]
    fn from_bytes(_class: &Bound<'_, PyType>, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let data = arguments::data(data, "data")?;
        let bytes = data.as_bytes();
        let loaded = detached(py, || core::Index::from_bytes(bytes))?;
        Ok(Self::of(loaded.map_err(|error| errors::load(py, error, Path::new("data")))?))
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

    fn __copy__(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self::of(detached(py, || core::Index::clone(&self.core))?))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.__copy__(py)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((py.get_type::<Self>().getattr("from_bytes")?, (self.to_bytes(py)?,)))
    }
}
