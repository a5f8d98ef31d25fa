//! `tiercel._core.Finally`.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

/// Interruptions of one clean-up that it outlasts. Each is a signal, so more than a few in the same microseconds means that the function itself fails.
const TRIES: u32 = 16;

/// A context manager that calls a function when its block ends, whatever signals arrive.
///
/// Python runs signal handlers between the steps of a program. So a Ctrl-C can interrupt a
/// `finally` before its first statement, or inside the functions that it calls. This object is
/// compiled: no handler runs between the block and the call. An interrupted call is repeated until
/// it completes, at most 16 times in all; then the interruption is raised. So the function must be
/// safe to repeat wherever it was interrupted, and must raise nothing itself.
#[pyclass(frozen, module = "tiercel._core")]
pub(crate) struct Finally {
    work: Py<PyAny>,
    arguments: Py<PyTuple>,
}

#[pymethods]
impl Finally {
    #[new]
    #[pyo3(signature = (work, /, *arguments))]
    fn new(work: Py<PyAny>, arguments: Py<PyTuple>) -> Self {
        Self { work, arguments }
    }

    #[expect(clippy::unused_self, reason = "as Python calls it")]
    fn __enter__(&self) {}

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: Option<&Bound<'_, PyType>>,
        _error: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let mut interruption = Ok(());
        for _ in 0..TRIES {
            match self.work.call1(py, self.arguments.clone_ref(py)) {
                Ok(_) => break,
                Err(raised) => interruption = Err(raised),
            }
        }
        interruption
    }

    /// A coroutine that is left with this in it can be collected.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.work)?;
        visit.call(&self.arguments)
    }
}
