//! Keep the GIL only for moments: loops over many Python objects take turns with other threads,
//! and large data is copied and freed without the GIL.

use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// The longest that a loop keeps other threads waiting.
const TURN: Duration = Duration::from_millis(1);
/// How long a turn releases the GIL. A thread that takes it back at once gets it before the
/// waiting threads have woken up.
const PAUSE: Duration = Duration::from_micros(20);
/// Steps between looks at the clock.
const STEPS: u32 = 16;
/// From this many bytes, copying and freeing takes a good part of a turn.
pub(crate) const LARGE: usize = 1 << 20;

/// The turns of a loop that holds the GIL.
pub(crate) struct Turns {
    steps: u32,
    since: Instant,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { steps: 0, since: Instant::now() }
    }

    /// Call after each step. When the turn is over, let other threads run, and run signal
    /// handlers.
    pub(crate) fn step(&mut self, py: Python<'_>) -> PyResult<()> {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS) { self.look(py) } else { Ok(()) }
    }

    /// Do the same after a step that takes long itself.
    pub(crate) fn look(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.since.elapsed() < TURN {
            return Ok(());
        }
        py.detach(|| thread::sleep(PAUSE));
        self.since = Instant::now();
        py.check_signals()
    }
}

/// Return the list of what `each` makes of all items.
pub(crate) fn list<'py, T, O: IntoPyObject<'py>>(
    py: Python<'py>,
    turns: &mut Turns,
    all: impl IntoIterator<Item = T>,
    mut each: impl FnMut(T) -> PyResult<O>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for one in all {
        list.append(each(one)?)?;
        turns.step(py)?;
    }
    Ok(list)
}

/// Many Python values, each read as a `T`.
pub(crate) struct Many<T>(pub(crate) Vec<T>);

impl<'py, T> FromPyObject<'_, 'py> for Many<T>
where
    T: for<'b> FromPyObject<'b, 'py>,
{
    type Error = PyErr;

    fn extract(values: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let (py, mut turns) = (values.py(), Turns::new());
        let mut all = Vec::with_capacity(values.len().unwrap_or(0));
        for value in values.try_iter()? {
            all.push(value?.extract::<T>().map_err(Into::into)?);
            turns.step(py)?;
        }
        Ok(Self(all))
    }
}

/// Run a job without the GIL, which this thread holds unless Python has ended.
pub(crate) fn apart<T: Send>(job: impl FnOnce() -> T + Send) -> Option<T> {
    let mut job = Some(job);
    let done = Python::try_attach(|py| job.take().map(|job| py.detach(job))).flatten();
    done.or_else(|| job.map(|job| job()))
}

/// A value that may take long to free, and is freed without the GIL.
pub(crate) struct Apart<T: Send>(Option<T>);

impl<T: Send> Apart<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect("there until it is dropped")
    }
}

impl<T: Send> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl<T: Send> DerefMut for Apart<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("there until it is dropped")
    }
}

impl<T: Send> Drop for Apart<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            apart(move || drop(value));
        }
    }
}

/// Copy bytes for Python. Raises `MemoryError` if a large copy does not fit.
pub(crate) fn bytes<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    if content.len() < LARGE {
        return Ok(PyBytes::new(py, content));
    }
    let mut turns = Turns::new();
    let parts = PyList::empty(py);
    for part in content.chunks(LARGE) {
        parts.append(PyBytes::new_with(py, part.len(), |bytes| {
            bytes.copy_from_slice(part);
            Ok(())
        })?)?;
        turns.look(py)?;
    }
    joined(parts.into_any())
}

/// Do the same with bytes that nobody else needs.
pub(crate) fn own_bytes(py: Python<'_>, content: Vec<u8>) -> PyResult<Bound<'_, PyBytes>> {
    bytes(py, &Apart::new(content))
}

/// Join parts. Python copies them without the GIL, into memory that was not zeroed first.
fn joined(parts: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyBytes>> {
    Ok(PyBytes::new(parts.py(), b"").call_method1("join", (parts,))?.cast_into()?)
}
