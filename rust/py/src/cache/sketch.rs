//! `tiercel._core.Sketch`.

use pyo3::prelude::*;
use tiercel_cache as cache;

use super::tier::asked;
use crate::arguments::{Whole, shown, whole};
use crate::errors::invalid;

/// The widest: it takes 512 MiB.
const WIDEST: u64 = 1 << 28;

/// How often keys were seen lately, by estimate: never too low for what was added since the last halving, up to 15.
///
/// Parameters
/// ----------
/// width : int
///     Keys to tell apart, 1 to 2**28; each takes two bytes. After ten times as many additions all counts are halved, and again whenever
///     half as many more have come.
///
/// Raises
/// ------
/// InvalidInputError
///     `width` is not such an int.
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

    /// Count a key, and give the estimate with this time.
    fn add(&self, key: &Bound<'_, PyAny>) -> PyResult<u8> {
        Ok(self.core.add(asked(key)?))
    }

    /// The estimate of how often a key was added.
    fn count(&self, key: &Bound<'_, PyAny>) -> PyResult<u8> {
        Ok(self.core.count(asked(key)?))
    }
}
