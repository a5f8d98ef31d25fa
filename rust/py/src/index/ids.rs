//! Read ids: an int, or any array of integers.

use numpy::{PyArray1, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyInt, PyList, PySet, PyTuple};

use crate::arguments::{Whole, kind, shown, whole};
use crate::convert::{as_array, described};
use crate::errors::invalid;
use crate::gil::Turns;

/// Ids, copied from the caller's value.
pub(super) struct Ids {
    /// The ids in order.
    pub(super) values: Vec<u64>,
    /// Whether the caller passed one int, not an array.
    pub(super) single: bool,
}

impl Ids {
    /// Read ids; `expected` describes in messages what the argument takes.
    pub(super) fn extract(value: &Bound<'_, PyAny>, argument: &str, expected: &str) -> PyResult<Self> {
        if value.is_instance_of::<PyInt>() {
            return Ok(Self { values: vec![one(value, argument, None)?], single: true });
        }
        // Numpy would round ints above 2**63 in a list of mixed sizes to floats.
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            return Ok(Self { values: each(value, argument)?, single: false });
        }
        let array = as_array(value, argument)?;
        let values = match (array.ndim(), array.dtype().kind()) {
            (1, _) if array.len() == 0 => Vec::new(),
            (0 | 1, b'u') => numbers::<u64>(&array)?,
            (0 | 1, b'i') => unsigned(&numbers::<i64>(&array)?, &array, argument)?,
            (1, b'O') => each(&array, argument)?,
            (0 | 1, _) => {
                return Err(invalid(
                    value.py(),
                    format!("{argument}: expected {expected}, got {}", described(value, &array)),
                ));
            }
            (rank, _) => return Err(invalid(value.py(), format!("{argument}: expected {expected}, got {rank}-D"))),
        };
        Ok(Self { values, single: array.ndim() == 0 })
    }

    /// Read ids whose order says nothing, so that a set will do, too.
    pub(super) fn unordered(value: &Bound<'_, PyAny>, argument: &str, expected: &str) -> PyResult<Self> {
        if value.is_instance_of::<PySet>() || value.is_instance_of::<PyFrozenSet>() {
            let listed = PyList::new(value.py(), value.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
            return Self::extract(&listed, argument, expected);
        }
        Self::extract(value, argument, expected)
    }

    /// Refuse another number of ids than of vectors.
    pub(super) fn check_count(&self, py: Python<'_>, vectors: usize) -> PyResult<()> {
        if self.values.len() == vectors {
            return Ok(());
        }
        Err(invalid(py, format!("ids: expected {vectors} ids, one per vector, got {}", self.values.len())))
    }
}

/// Convert an array of integers of any width and byte order to 64 bits.
fn numbers<T: numpy::Element + Copy>(array: &Bound<'_, PyUntypedArray>) -> PyResult<Vec<T>> {
    if let Ok(same) = array.cast::<PyArray1<T>>()
        && let Ok(values) = same.to_vec()
    {
        return Ok(values);
    }
    let wide = array.call_method1("astype", (numpy::dtype::<T>(array.py()),))?.call_method0("ravel")?;
    Ok(wide.cast_into::<PyArray1<T>>()?.to_vec()?)
}

fn unsigned(numbers: &[i64], array: &Bound<'_, PyUntypedArray>, argument: &str) -> PyResult<Vec<u64>> {
    if let Some(row) = numbers.iter().position(|number| *number < 0) {
        let place = if array.ndim() == 0 { None } else { Some(row) };
        return Err(out_of_range(array.py(), argument, &numbers[row].to_string(), place));
    }
    Ok(numbers.iter().map(|number| number.cast_unsigned()).collect())
}

/// Read the ids in a sequence of ints.
fn each(values: &Bound<'_, PyAny>, argument: &str) -> PyResult<Vec<u64>> {
    let (py, mut turns) = (values.py(), Turns::new());
    let id = |(row, value): (usize, PyResult<Bound<'_, PyAny>>)| {
        turns.step(py)?;
        one(&value?, argument, Some(row))
    };
    values.try_iter()?.enumerate().map(id).collect()
}

fn one(value: &Bound<'_, PyAny>, argument: &str, row: Option<usize>) -> PyResult<u64> {
    match whole(value)? {
        Some(Whole::Fits(id)) => Ok(id),
        Some(Whole::Negative | Whole::Huge) => Err(out_of_range(value.py(), argument, &shown(value), row)),
        None => {
            let message = format!("{argument}: expected integers, got {}{}", kind(value), at(row));
            Err(invalid(value.py(), message))
        }
    }
}

fn out_of_range(py: Python<'_>, argument: &str, got: &str, row: Option<usize>) -> PyErr {
    invalid(py, format!("{argument}: expected integers from 0 to 2**64 - 2, got {got}{}", at(row)))
}

fn at(row: Option<usize>) -> String {
    row.map_or_else(String::new, |row| format!(" at row {row}"))
}
