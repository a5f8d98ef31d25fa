//! The statistics of an index, as Python gets them.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tiercel_index::Stats;

/// Return the dict of `Index.stats`.
pub(super) fn stats(py: Python<'_>, stats: Stats) -> PyResult<Bound<'_, PyDict>> {
    let bytes = PyDict::new(py);
    for (part, size) in stats.bytes {
        bytes.set_item(part, size)?;
    }
    let all = PyDict::new(py);
    all.set_item("len", stats.len)?;
    all.set_item("tombstones", stats.tombstones)?;
    all.set_item("linked", stats.linked)?;
    all.set_item("lists", stats.lists)?;
    all.set_item("storage", &*stats.storage)?;
    all.set_item("codec_recall", stats.codec_recall)?;
    all.set_item("graph_recall", stats.graph_recall)?;
    all.set_item("bytes", bytes)?;
    all.set_item("disk_bytes", stats.disk_bytes)?;
    all.set_item("why", stats.why)?;
    all.set_item("bytes_per_vector", stats.bytes_per_vector)?;
    all.set_item("levels", stats.levels)?;
    all.set_item("mean_degree", stats.mean_degree)?;
    all.set_item("simd", stats.simd)?;
    all.set_item("build_seconds", stats.build_seconds)?;
    Ok(all)
}
