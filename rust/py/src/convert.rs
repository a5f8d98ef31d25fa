//! Copy vectors and queries, in any form that numpy can read, into rows of f32.

use numpy::{PyArray2, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods, dtype};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PySlice};

use crate::arguments::kind;
use crate::errors::{dimension, invalid};
use crate::gil::Turns;

/// Values converted at a time, so that memory never holds a large array three times and Ctrl-C
/// need not wait for all of it.
const BLOCK: usize = 1 << 18;

/// Rows of equal length. They are a copy: the caller may change its array while the core works.
pub(crate) struct Rows {
    /// All values, row after row.
    pub(crate) values: Vec<f32>,
    /// How many rows.
    pub(crate) count: usize,
    /// Whether the caller passed one vector, not an array of them.
    pub(crate) single: bool,
}

impl Rows {
    /// Read vectors of any common length.
    pub(crate) fn of_any_length(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<Self> {
        let array = as_array(value, argument)?;
        if matches!(array.shape(), [1]) {
            // Most likely one number per id, rather than a single vector of one number.
            return Err(invalid(value.py(), format!("{argument}: expected a list of vectors, got a list of numbers")));
        }
        if matches!(array.shape(), [_, 0]) {
            let message = format!("{argument}: expected vectors of at least one number, got empty ones");
            return Err(invalid(value.py(), message));
        }
        Self::extract(value, argument, array.shape().last().map_or(1, |length| (*length).max(1)))
    }

    /// Read vectors of length `dim`. The core looks for NaN and infinity.
    pub(crate) fn extract(value: &Bound<'_, PyAny>, argument: &str, dim: usize) -> PyResult<Self> {
        // Exact, since a subclass may have a mask.
        if value.cast_exact::<PyUntypedArray>().is_ok()
            && let Ok(array) = value.cast::<PyArrayDyn<f32>>()
            && array.is_c_contiguous()
            && array.len() <= BLOCK
        {
            let (count, single) = layout(array.as_untyped(), argument, dim)?;
            // An array that is not aligned takes the slow path.
            if let Ok(values) = array.to_vec() {
                return Ok(Self { values, count, single });
            }
        }
        let array = as_array(value, argument)?;
        if !matches!(array.dtype().kind(), b'f' | b'i' | b'u') {
            let got = no_number(&array)?.unwrap_or_else(|| described(value, &array));
            return Err(invalid(value.py(), format!("{argument}: expected a numeric array, got {got}")));
        }
        let (count, single) = layout(&array, argument, dim)?;
        let values = convert(&array, argument, count, dim)?;
        Ok(Self { values, count, single })
    }
}

/// Describe the first value in an array of objects that is not a number, and its place.
fn no_number(array: &Bound<'_, PyUntypedArray>) -> PyResult<Option<String>> {
    let find = array.py().import("tiercel.arrays")?.getattr("no_number")?;
    find.call1((array,))?.extract()
}

/// Return how many rows an array has, and whether it is a single vector.
fn layout(array: &Bound<'_, PyUntypedArray>, argument: &str, dim: usize) -> PyResult<(usize, bool)> {
    let py = array.py();
    match *array.shape() {
        [0] => Ok((0, false)),
        [length] if length == dim => Ok((1, true)),
        [count, length] if length == dim => Ok((count, false)),
        [length] | [_, length] => Err(dimension(py, argument, dim, length)),
        _ => Err(invalid(py, format!("{argument}: expected a 1-D or 2-D array, got {}-D", array.ndim()))),
    }
}

/// Have numpy convert an array to f32, a block of rows at a time.
fn convert(array: &Bound<'_, PyUntypedArray>, argument: &str, count: usize, dim: usize) -> PyResult<Vec<f32>> {
    let py = array.py();
    let table = array.call_method1("reshape", ((count, dim),))?;
    let step = (BLOCK / dim).max(1);
    let wider = array.dtype().kind() == b'f' && array.dtype().itemsize() > size_of::<f32>();
    let mut values = Vec::new();
    // A broadcast array may be larger than memory.
    values.try_reserve_exact(count * dim).map_err(|error| PyMemoryError::new_err(format!("{argument}: {error}")))?;
    let mut turns = Turns::new();
    for start in (0..count).step_by(step) {
        turns.look(py)?;
        // `PySlice::new` would leak its numbers.
        let rows = py.get_type::<PySlice>().call1((start, start + step))?;
        let block = table.get_item(rows)?;
        let part = as_f32(&block)?.to_vec()?;
        if let Some(place) = part.iter().position(|value| wider && value.is_infinite()) {
            check_overflow(&block, argument, start, (place / dim, place % dim))?;
        }
        values.extend_from_slice(&part);
    }
    Ok(values)
}

/// Return the rows as contiguous f32: the block itself, or a copy that numpy makes.
fn as_f32<'py>(block: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let py = block.py();
    if let Ok(same) = block.cast::<PyArray2<f32>>()
        && same.is_c_contiguous()
        && same.is_aligned()
    {
        return Ok(same.clone());
    }
    let options = PyDict::new(py);
    options.set_item("order", "C")?;
    // Numpy must neither warn nor raise: overflow is checked afterwards, and underflow to zero
    // is right.
    let settings = PyDict::new(py);
    settings.set_item("all", "ignore")?;
    let silence = numpy(py)?.call_method("errstate", (), Some(&settings))?;
    silence.call_method0("__enter__")?;
    let converted = block.call_method("astype", (dtype::<f32>(py),), Some(&options));
    silence.call_method1("__exit__", (py.None(), py.None(), py.None()))?;
    Ok(converted?.cast_into()?)
}

/// Refuse a finite value that became infinite. `place` is that of the first infinity in a block
/// that begins at row `start`.
fn check_overflow(block: &Bound<'_, PyAny>, argument: &str, start: usize, place: (usize, usize)) -> PyResult<()> {
    let py = block.py();
    let value = block.get_item(place)?;
    if numpy(py)?.call_method1("isinf", (&value,))?.is_truthy()? {
        return Ok(());
    }
    let (row, column) = (start + place.0, place.1);
    let limit = f32::MAX;
    let message =
        format!("{argument}: expected values within float32 (±{limit:e}), got {value} at row {row}, column {column}");
    Err(invalid(py, message))
}

/// Return the array that numpy makes of a value; the value itself if it is an array of a
/// built-in dtype.
pub(crate) fn as_array<'py>(value: &Bound<'py, PyAny>, argument: &str) -> PyResult<Bound<'py, PyUntypedArray>> {
    if let Ok(array) = value.cast_exact::<PyUntypedArray>()
        && !matches!(array.dtype().kind(), b'O' | b'V')
    {
        return Ok(array.clone());
    }
    let read = value.py().import("tiercel.arrays")?.getattr("as_array")?;
    Ok(read.call1((value, argument))?.cast_into()?)
}

/// Describe a value in a message: by dtype if it is or makes an array, else by type.
pub(crate) fn described(value: &Bound<'_, PyAny>, array: &Bound<'_, PyUntypedArray>) -> String {
    if array.ndim() == 0 && !value.is_instance_of::<PyUntypedArray>() {
        kind(value)
    } else {
        format!("dtype {}", array.dtype())
    }
}

pub(crate) fn numpy(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("numpy")
}
