//! `tiercel._core.Sketch`.

use pyo3::prelude::*;
use tiercel_cache as cache;

use super::tier::asked;
use crate::arguments::{Whole, shown, whole};
use crate::errors::invalid;

/// The widest: it takes 512 MiB.
const WIDEST: u64 = 1 << 28;

/// Estimates how often keys were added recently, up to 15.
///
/// An estimate is never too low for the additions since the last halving.
///
/// Parameters
/// ----------
/// width : int
///     Keys to distinguish, 1 to 2**28; each takes two bytes. All counts are halved after
///     10 * width additions, and again after every 5 * width more.
///
/// Raises
/// ------
/// InvalidInputError
///     `width` is not an int in this range.
///
/// Examples
/// --------
/// >>> from tiercel._core import Sketch
/// >>> sketch = Sketch(1000)
/// >>> sketch.add("a"), sketch.add("a"), sketch.count("a"), sketch.count("b")
/// (1, 2, 2, 0)
#[pyclass(frozen, module = "tiercel._core")]
pub(crate) struct Sketch {
    core: cache::Sketch,
}

impl Sketch {
    pub(crate) fn core(&self) -> &cache::Sketch {
        &self.core
    }
}

#[pymethods]
impl Sketch {
    #[new]
    fn new(width: &Bound<'_, PyAny>) -> PyResult<Self> {
        match whole(width)? {
            Some(Whole::Fits(number @ 1..=WIDEST)) => Ok(Self { core: cache::Sketch::new(number as usize) }),
            _ => Err(invalid(width.py(), format!("width: expected an int from 1 to 2**28, got {}", shown(width)))),
        }
    }

    /// Add a key; return its new estimate.
    fn add(&self, key: &Bound<'_, PyAny>) -> PyResult<u8> {
        Ok(self.core.add(asked(key)?))
    }

    /// Estimate how often a key was added.
    fn count(&self, key: &Bound<'_, PyAny>) -> PyResult<u8> {
        Ok(self.core.count(asked(key)?))
    }
}
