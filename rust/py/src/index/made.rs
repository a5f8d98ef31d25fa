//! How an index is made, and what it was made with.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use tiercel_index as core;

use super::class::Index;
use super::options::Options;
use super::profile::profile;
use crate::arguments::{self, Given, name};
use crate::errors;
use crate::work::detached;

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
    #[expect(clippy::needless_pass_by_value, reason = "as Python hands them over")]
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
    pub(super) fn dim(&self) -> usize {
        self.core.options().dim
    }

    /// The metric passed to the constructor.
    #[getter]
    pub(super) fn metric(&self) -> &'static str {
        name(arguments::METRICS, self.core.options().metric)
    }

    /// How vectors are stored.
    #[getter]
    pub(super) fn dtype(&self) -> &'static str {
        name(arguments::DTYPES, self.core.options().dtype)
    }

    /// The storage passed to the constructor; `stats()["storage"]` is the one in use.
    #[getter]
    pub(super) fn storage(&self) -> String {
        self.core.options().storage.name().into()
    }

    /// Neighbours of each vector on the upper levels.
    #[getter]
    fn m(&self) -> usize {
        self.core.options().m
    }

    /// Candidates kept while linking a vector.
    #[getter]
    pub(super) fn ef_construction(&self) -> usize {
        self.core.options().ef_construction
    }

    /// Where the full vectors are.
    #[getter]
    fn raw(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(name(arguments::RAWS, detached(py, || self.core.raw())?))
    }

    /// What searches compare the best candidates with once more.
    #[getter]
    fn rerank(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(name(arguments::RERANKS, detached(py, || self.core.rerank())?))
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
}
