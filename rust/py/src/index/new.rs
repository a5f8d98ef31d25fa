//! Vectors to add to an index.

use pyo3::prelude::*;

use super::class::Index;
use super::ids::Ids;
use crate::arguments;
use crate::convert::Rows;
use crate::errors;
use crate::work::{CallOptions, run};

/// New vectors, copied from the caller's array, and how to add them.
pub(super) struct New<'a, 'py> {
    rows: Rows,
    ids: Option<Ids>,
    call: CallOptions<'a, 'py>,
}

impl<'a, 'py> New<'a, 'py> {
    pub(super) fn extract(
        index: &Index,
        vectors: &Bound<'py, PyAny>,
        ids: Option<Ids>,
        threads: Option<&Bound<'py, PyAny>>,
        progress: Option<&'a Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let py = vectors.py();
        let threads = arguments::threads(py, threads)?;
        let progress = arguments::progress(progress)?;
        let rows = Rows::extract(vectors, "vectors", index.core.options().dim)?;
        ids.as_ref().map_or(Ok(()), |ids| ids.check_count(py, rows.count))?;
        let call = CallOptions { threads, long: index.links_long(py, rows.count)?, progress, total: rows.count };
        Ok(Self { rows, ids, call })
    }

    /// Add the vectors, and return their ids.
    pub(super) fn add_to(self, index: &Index, py: Python<'_>) -> PyResult<Vec<u64>> {
        let Self { rows, ids, call } = self;
        let ids = ids.as_ref().map(|ids| ids.values.as_slice());
        run(py, &call, |work| index.core.add(rows.values, ids, work), errors::add)
    }

    /// Add the vectors or replace those that their ids have, and return the number of distinct
    /// ids.
    pub(super) fn upsert_to(self, index: &Index, py: Python<'_>) -> PyResult<usize> {
        let Self { rows, ids, call } = self;
        let ids = ids.as_ref().map_or(&[][..], |ids| &ids.values);
        run(py, &call, |work| index.core.upsert(rows.values, ids, work), errors::add)
    }
}
