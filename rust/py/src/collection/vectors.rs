//! Vectors of a collection's length, copied from what Python passes.

use pyo3::prelude::*;
use tiercel_engine::QueryError;

use super::handle::Handle;
use crate::convert::Rows;
use crate::errors;

/// Read the vectors of queries, one per text if there are texts.
pub(super) fn queries(handle: &Handle, value: &Bound<'_, PyAny>, texts: Option<usize>) -> PyResult<Vec<f32>> {
    let py = value.py();
    let Some(dim) = handle.dim(py)? else { return rows(handle, value, "vectors", 0) };
    let rows = Rows::extract(value, "vectors", dim)?;
    if rows.single {
        return Err(errors::invalid(py, "vectors: expected a 2-D array, got one vector; pass it to search".into()));
    }
    match texts {
        Some(texts) if texts != rows.count => {
            let message = format!("vectors: expected {texts}, one per text, got {}", rows.count);
            Err(errors::invalid(py, message))
        }
        _ => Ok(rows.values),
    }
}

/// Read vectors to store; refuse another number than expected. The first ones may have any
/// length.
pub(super) fn new_rows(handle: &Handle, value: &Bound<'_, PyAny>, expected: usize) -> PyResult<Vec<f32>> {
    match handle.dim(value.py())? {
        Some(dim) => counted(value, Rows::extract(value, "vectors", dim)?, "vectors", expected),
        None => counted(value, Rows::of_any_length(value, "vectors")?, "vectors", expected),
    }
}

/// Read vectors to search for; refuse another number than expected.
pub(super) fn rows(handle: &Handle, value: &Bound<'_, PyAny>, argument: &str, expected: usize) -> PyResult<Vec<f32>> {
    match handle.dim(value.py())? {
        Some(dim) => counted(value, Rows::extract(value, argument, dim)?, argument, expected),
        None => Err(errors::query(value.py(), &QueryError::NoVectors, handle.path())),
    }
}

/// Return the values of rows; refuse another number of rows than expected.
fn counted(value: &Bound<'_, PyAny>, rows: Rows, argument: &str, expected: usize) -> PyResult<Vec<f32>> {
    if rows.count == expected {
        return Ok(rows.values);
    }
    let expected =
        if argument == "vector" { "one vector".into() } else { format!("{expected} vectors, one for each id") };
    Err(errors::invalid(value.py(), format!("{argument}: expected {expected}, got {}", rows.count)))
}
