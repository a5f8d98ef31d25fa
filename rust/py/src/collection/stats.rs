//! The statistics of a collection, as Python gets them.

use std::time::UNIX_EPOCH;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tiercel_engine::{Stats, Trouble};

/// Return the dict of `Collection.stats`.
pub(super) fn stats<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("records", stats.records)?;
    out.set_item("rows", stats.rows)?;
    out.set_item("sequence", stats.sequence)?;
    out.set_item("fresh_vectors", stats.fresh_vectors)?;
    out.set_item("graphs", stats.graphs)?;
    out.set_item("checkpoint_rows", stats.checkpoint_rows)?;
    out.set_item("text_segments", stats.text_segments)?;
    let memory = PyDict::new(py);
    memory.set_item("text", stats.text_bytes)?;
    memory.set_item("fields", stats.field_bytes)?;
    for (part, bytes) in stats.index.iter().flat_map(|index| &index.bytes).filter(|(part, _)| *part != "total") {
        memory.set_item(*part, bytes)?;
    }
    out.set_item("memory", memory)?;
    let disk = PyDict::new(py);
    disk.set_item("records", stats.disk_records)?;
    disk.set_item("segments", stats.disk_segments)?;
    out.set_item("disk", disk)?;
    out.set_item("storage", stats.index.as_ref().map(|index| &*index.storage))?;
    out.set_item("bytes_per_vector", stats.index.as_ref().map(|index| index.bytes_per_vector))?;
    out.set_item("damaged", stats.damaged)?;
    out.set_item("trouble", stats.trouble.as_ref().map(|trouble| told(py, trouble)).transpose()?)?;
    Ok(out)
}

/// Convert a failure for `stats`.
fn told<'py>(py: Python<'py>, trouble: &Trouble) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("message", &trouble.what)?;
    out.set_item("time", trouble.at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))?;
    out.set_item("lasts", trouble.lasts)?;
    Ok(out)
}
