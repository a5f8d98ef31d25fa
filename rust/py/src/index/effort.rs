//! The effort of a search, which calls may take long, and the threads of a search.

use pyo3::prelude::*;

use crate::arguments::{self, at_least_one};
use crate::errors;

/// Values that can be compared in a few milliseconds.
const SHORT: usize = 20_000_000;
/// Roughly the most candidates that a search keeps by default.
const DEFAULT_EF: usize = 256;

/// The effort of a search; at most one of the two is set.
pub(super) struct Effort {
    pub(super) ef_search: Option<usize>,
    pub(super) recall: Option<f32>,
}

impl Effort {
    pub(super) fn of(
        py: Python<'_>,
        ef_search: Option<&Bound<'_, PyAny>>,
        recall: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let ef_search = ef_search.map(|value| at_least_one(value, "ef_search")).transpose()?;
        let recall = recall.map(arguments::recall).transpose()?;
        if ef_search.is_some() && recall.is_some() {
            return Err(errors::invalid(py, "ef_search: expected ef_search or recall, got both".into()));
        }
        Ok(Self { ef_search, recall })
    }

    pub(super) fn is_exact(&self) -> bool {
        self.recall == Some(1.0)
    }

    /// Return roughly the most candidates that a search for `k` vectors keeps.
    pub(super) fn candidates(&self, k: usize) -> usize {
        if self.is_exact() { usize::MAX } else { self.ef_search.unwrap_or(DEFAULT_EF).max(k) }
    }
}

/// Whether a search for the neighbours of `count` vectors may take long with this many
/// `candidates`.
pub(super) fn is_long(count: usize, slots: usize, candidates: usize, dim: usize) -> bool {
    let compared = slots.min(candidates.saturating_mul(64));
    count.saturating_mul(compared).saturating_mul(dim) > SHORT
}

/// Return the threads for a search. One query gains nothing from a second thread.
pub(super) fn search_threads(py: Python<'_>, given: Option<&Bound<'_, PyAny>>, queries: usize) -> PyResult<usize> {
    match given {
        None if queries <= 1 => Ok(1),
        _ => arguments::threads(py, given),
    }
}
