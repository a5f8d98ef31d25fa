//! `tiercel._core.ScanCore`: what `tiercel.Scan` calls.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;
use tiercel_engine::Scan;

use super::found::{Row, row};
use super::handle::Handle;
use crate::errors;
use crate::work::detached;

/// The core of `tiercel.Scan`. Use that class.
#[pyclass(frozen, module = "tiercel._core")]
pub(crate) struct ScanCore {
    handle: Arc<Handle>,
    /// `None` once it is released. Locked without the GIL only, for who has it locked may wait for the GIL.
    scan: Mutex<Option<Scan>>,
}

impl ScanCore {
    pub(super) fn new(handle: Arc<Handle>, scan: Scan) -> Self {
        Self { handle, scan: Mutex::new(Some(scan)) }
    }
}

#[pymethods]
impl ScanCore {
    fn chunk<'py>(&self, py: Python<'py>) -> PyResult<Vec<Row<'py>>> {
        let next = || self.scan.lock().as_mut().map_or_else(|| Ok(Vec::new()), Scan::next_chunk);
        let records = self.handle.call(py, |_| next())?;
        let records = records.map_err(|error| errors::query(py, &error, self.handle.path()))?;
        records.into_iter().map(|got| row(py, got)).collect()
    }

    fn position(&self, py: Python<'_>, at: usize) -> PyResult<Option<String>> {
        detached(py, || self.scan.lock().as_ref().and_then(|scan| scan.position(at)))
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || drop(self.scan.lock().take()))
    }
}

impl Drop for ScanCore {
    fn drop(&mut self) {
        // It may be the last to hold what a checkpoint has replaced, and freeing that takes time.
        let scan = self.scan.get_mut().take();
        Python::try_attach(|py| py.detach(|| drop(scan)));
    }
}
