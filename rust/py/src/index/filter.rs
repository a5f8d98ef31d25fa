//! Read filters: a mask, or the allowed ids.

use numpy::{PyArray1, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use tiercel_index::Filter;

use super::ids::Ids;
use crate::arguments::kind;
use crate::convert::{as_array, numpy};
use crate::errors::invalid;

const EXPECTED: &str = "a 1-D array of bool or of integers";

/// A filter, copied from the caller's array.
pub(super) enum Allowed {
    /// A byte for each of `index.ids`; zero forbids.
    Mask(Vec<u8>),
    /// The allowed ids.
    Ids(Vec<u64>),
}

impl Allowed {
    pub(super) fn extract(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let array = as_array(value, "filter")?;
        if array.ndim() != 1 {
            let got = if array.ndim() == 0 { kind(value) } else { format!("{}-D", array.ndim()) };
            let message = format!("filter: expected {EXPECTED}, got {got}");
            return Err(invalid(value.py(), message));
        }
        if array.dtype().kind() == b'b' {
            return Ok(Self::Mask(bytes(&array)?));
        }
        Ok(Self::Ids(Ids::extract(value, "filter", EXPECTED)?.values))
    }

    pub(super) fn as_core(&self) -> Filter<'_> {
        match self {
            Self::Mask(mask) => Filter::Mask(mask),
            Self::Ids(ids) => Filter::Ids(ids),
        }
    }
}

/// Return the bytes of a bool array. It can hold bytes other than 0 and 1, which must not be
/// read as Rust bools.
fn bytes(mask: &Bound<'_, PyUntypedArray>) -> PyResult<Vec<u8>> {
    let together = numpy(mask.py())?.call_method1("ascontiguousarray", (mask,))?;
    let view = together.call_method1("view", (numpy::dtype::<u8>(mask.py()),))?;
    Ok(view.cast_into::<PyArray1<u8>>()?.to_vec()?)
}
