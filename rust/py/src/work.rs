//! Run core calls that Ctrl-C can stop and that report progress.
//!
//! All calls run without the GIL. A short one runs on the calling thread. A long one runs on a
//! new thread, while the calling thread wakes up often enough to see signals and to report
//! progress.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use tiercel_index::Work;
use tiercel_simd::NoMemory;

use crate::errors;

/// How often signals are checked: Ctrl-C must stop a call within 100 ms.
const SIGNALS: Duration = Duration::from_millis(25);
/// How often progress is reported.
const PROGRESS: Duration = Duration::from_millis(250);

/// How to run a call.
pub(crate) struct CallOptions<'a, 'py> {
    /// Threads the core works on.
    pub(crate) threads: usize,
    /// Whether it may take longer than a few milliseconds.
    pub(crate) long: bool,
    /// Called as `progress(done, total)`.
    pub(crate) progress: Option<&'a Bound<'py, PyAny>>,
    /// The total for the last report if the core never reported one.
    pub(crate) total: usize,
}

/// Run a core call that is short or that nothing can stop half-way.
pub(crate) fn detached<T: Send>(py: Python<'_>, job: impl FnOnce() -> T + Send) -> PyResult<T> {
    // The core's locks do not poison, so what a panic leaves behind is still usable.
    py.detach(|| catch_unwind(AssertUnwindSafe(job))).map_err(|panic| panicked(py, &*panic))
}

/// Run a core call. An exception from a signal or from `progress` stops it and is raised. If the
/// call had already succeeded, what it changed stays: others may have seen it, and changed it.
pub(crate) fn run<T: Send, E: Send>(
    py: Python<'_>,
    options: &CallOptions<'_, '_>,
    job: impl FnOnce(&Work<'_>) -> Result<T, E> + Send,
    explain: impl FnOnce(Python<'_>, &E) -> PyErr,
) -> PyResult<T> {
    let reported = Reported { done: AtomicUsize::new(0), total: AtomicUsize::new(options.total) };
    let (answer, mut raised) = if options.long {
        on_a_thread(py, options, &reported, job)?
    } else {
        let (threads, stop) = (options.threads, AtomicBool::new(false));
        (detached(py, || job(&Work::quiet(threads, &stop)))?, Ok(()))
    };
    if let (Ok(_), Ok(()), Some(progress)) = (&answer, &raised, options.progress) {
        raised = reported.tell_end(progress);
    }
    match (answer, raised) {
        (Ok(value), Ok(())) => Ok(value),
        (_, Err(exception)) => Err(exception),
        (Err(error), Ok(())) => Err(explain(py, &error)),
    }
}

/// Run the job on a new thread. Return its answer, and the exception that was raised
/// meanwhile.
fn on_a_thread<T: Send>(
    py: Python<'_>,
    options: &CallOptions<'_, '_>,
    reported: &Reported,
    job: impl FnOnce(&Work<'_>) -> T + Send,
) -> PyResult<(T, PyResult<()>)> {
    let (threads, stop) = (options.threads, AtomicBool::new(false));
    let progress = |done, total| reported.note(done, total);
    let work = Work { threads, stop: &stop, progress: &progress };
    // The worker drops its end of the channel when it is done, which wakes the calling thread.
    let (end, mut ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("tiercel".into()).spawn_scoped(scope, || {
            let _end = end;
            job(&work)
        })?;
        let mut raised = Ok(());
        let mut told = Instant::now();
        while py.detach(|| goes_on(&mut ended)) {
            if raised.is_ok() {
                raised = look_around(py, options, reported, &mut told);
                stop.store(raised.is_err(), Relaxed);
            }
        }
        match py.detach(|| worker.join()) {
            Ok(answer) => Ok((answer, raised)),
            Err(panic) => Err(panicked(py, &*panic)),
        }
    })
}

/// Wait for the worker, at most until signals are due; return whether it goes on.
fn goes_on(ended: &mut Receiver<()>) -> bool {
    ended.recv_timeout(SIGNALS) == Err(RecvTimeoutError::Timeout)
}

/// Run pending signal handlers, and report progress when it is due.
fn look_around(py: Python<'_>, options: &CallOptions<'_, '_>, reported: &Reported, told: &mut Instant) -> PyResult<()> {
    py.check_signals()?;
    match options.progress {
        Some(progress) if told.elapsed() >= PROGRESS => {
            *told = Instant::now();
            reported.tell(progress)
        }
        _ => Ok(()),
    }
}

/// The latest report of the core.
struct Reported {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Reported {
    fn note(&self, done: usize, total: usize) {
        // Threads may report out of order; keep the number growing for the user.
        self.done.fetch_max(done, Relaxed);
        self.total.store(total, Relaxed);
    }

    fn tell(&self, progress: &Bound<'_, PyAny>) -> PyResult<()> {
        let total = self.total.load(Relaxed);
        progress.call1((self.done.load(Relaxed).min(total), total)).map(drop)
    }

    fn tell_end(&self, progress: &Bound<'_, PyAny>) -> PyResult<()> {
        let total = self.total.load(Relaxed);
        progress.call1((total, total)).map(drop)
    }
}

fn panicked(py: Python<'_>, panic: &(dyn Any + Send)) -> PyErr {
    if let Some(missing) = panic.downcast_ref::<NoMemory>() {
        return PyMemoryError::new_err(missing.to_string());
    }
    let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "no message",
    };
    errors::internal(py, message)
}
