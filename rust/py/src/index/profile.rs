//! Options of an index for common cases.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::arguments::{Given, choice};

/// Names and values of arguments.
type Arguments = &'static [(&'static str, &'static str)];

/// The profiles; `docs/guide/choosing.md` says when each is right.
const PROFILES: &[(&str, Arguments)] = &[
    ("small", &[("kind", "flat")]),
    ("medium", &[]),
    ("large", &[("raw", "disk")]),
    ("memory-constrained", &[("raw", "disk"), ("storage", "rabitq1")]),
    ("write-heavy", &[("build", "fast")]),
];

/// Create an index with the arguments of a profile; `options` take precedence.
pub(super) fn profile<'py>(
    class: &Bound<'py, PyType>,
    name: &Given<'py>,
    dim: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = PyDict::new(class.py());
    for (argument, value) in choice(name, "name", PROFILES)? {
        arguments.set_item(argument, value)?;
    }
    if let Some(options) = options {
        if options.contains("memory")? && arguments.contains("storage")? {
            // A budget of memory chooses it.
            arguments.del_item("storage")?;
        }
        arguments.update(options.as_mapping())?;
    }
    class.call((dim,), Some(&arguments))
}
