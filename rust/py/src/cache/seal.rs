//! `seal` and `unseal`: checksummed values for tiers that are written in Python.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tiercel_cache as cache;

use super::tier::{asked, no_memory, room};
use crate::arguments;
use crate::gil::{bytes, own_bytes};
use crate::work::detached;

/// Smaller values are faster to seal than the GIL is to release.
const SHORT: usize = 16 << 10;

/// Add a checksum of key and value, and compress the value with zstd if that makes it smaller.
///
/// Raises `InvalidInputError` if the key or the value has the wrong type, or the level is neither
/// None nor from 1 to 22.
#[pyfunction]
#[pyo3(signature = (key, value, level=None))]
pub(crate) fn seal<'py>(
    key: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
    level: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (given, value, level) = (asked(key)?, arguments::data(value, "value")?, arguments::level(level)?);
    let value = value.as_bytes();
    let frame = work(key.py(), value.len(), || cache::seal(given, value, level))?;
    own_bytes(key.py(), frame.ok_or_else(no_memory)?)
}

/// Return the value in a sealed frame; None if the frame is damaged or of another key, or the
/// value exceeds `most` bytes.
///
/// Raises `InvalidInputError` if an argument has the wrong type or `most` is out of range.
#[pyfunction]
pub(crate) fn unseal<'py>(
    key: &Bound<'py, PyAny>,
    frame: &Bound<'py, PyAny>,
    most: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let (given, frame, most) = (asked(key)?, arguments::data(frame, "frame")?, room(most, "most")?);
    let frame = frame.as_bytes();
    let value = work(key.py(), frame.len(), || cache::unseal(given, frame, most))?;
    let Some(value) = value else { return Ok(None) };
    match value {
        // A value that was not compressed is a part of its frame.
        Cow::Borrowed(value) => bytes(key.py(), value),
        Cow::Owned(value) => own_bytes(key.py(), value),
    }
    .map(Some)
}

fn work<T: Send>(py: Python<'_>, bytes: usize, job: impl FnOnce() -> T + Send) -> PyResult<T> {
    if bytes < SHORT { Ok(job()) } else { detached(py, job) }
}
