//! The open collection behind `CollectionCore` and `ScanCore`.
//!
//! The core is only called without the GIL. Each call first reports events and failures since
//! the last one.

use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use pyo3::prelude::*;
use tiercel_engine::{Collection, Config, Events, Level, QueryError, Troubles, WriteError};
use tiercel_index::Work;

use crate::errors;
use crate::gil::apart;
use crate::work::{CallOptions, detached, run};

/// How long a writer that keeps the pace of the graph waits before it checks for Ctrl-C, and before the
/// collection can be closed.
const WAITED: Duration = Duration::from_millis(50);

/// An open collection, shared by its callers and its scans.
pub(super) struct Handle {
    /// `None` once closed.
    collection: RwLock<Option<Collection>>,
    /// Never changes once known.
    dim: OnceLock<usize>,
    /// The latest one read, for use after the end.
    config: Mutex<Arc<Config>>,
    path: PathBuf,
    /// Outlives the collection.
    troubles: Arc<Troubles>,
    events: Arc<Events>,
    /// Logs and warns of both; looked up early, since it may be called while Python shuts
    /// down.
    teller: Py<PyAny>,
    /// Whether the only warning of troubles has been issued.
    warned: AtomicBool,
    /// In a forked process, locks may be held by threads that it lacks.
    opened_by: u32,
}

impl Handle {
    pub(super) fn new(py: Python<'_>, collection: Collection, path: PathBuf) -> PyResult<Self> {
        let config = collection.config();
        let (troubles, events) = (collection.troubles(), collection.events());
        let opened = Self {
            collection: RwLock::new(Some(collection)),
            dim: config.dim.map_or_else(OnceLock::new, OnceLock::from),
            config: Mutex::new(config),
            path,
            troubles,
            events,
            teller: py.import("tiercel.trouble")?.getattr("tell")?.unbind(),
            warned: AtomicBool::new(false),
            opened_by: process::id(),
        };
        opened.tell(py)?;
        Ok(opened)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn dim(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        if let Some(dim) = self.dim.get() {
            return Ok(Some(*dim));
        }
        let dim = self.config(py)?.dim;
        Ok(dim.map(|dim| *self.dim.get_or_init(|| dim)))
    }

    pub(super) fn call<T: Send>(&self, py: Python<'_>, job: impl FnOnce(&Collection) -> T + Send) -> PyResult<T> {
        self.tell(py)?;
        detached(py, || self.collection.read().as_ref().map(job))?.ok_or_else(|| errors::closed(py, "collection"))
    }

    /// Take the open collection; the handle is closed from then on. A forked process leaves it
    /// in place if a thread that it lacks was using it.
    fn take(&self) -> Option<Collection> {
        let taken = if self.opened_by == process::id() {
            self.collection.write().take()
        } else {
            self.collection.try_write()?.take()
        };
        if let Some(collection) = &taken {
            *self.config.lock() = collection.config();
        }
        taken
    }

    /// Log events and failures that no call returned, and warn of the first failure. Done before
    /// a call changes anything, so that a warning raised as an error leaves everything as it
    /// was.
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        if !self.troubles.is_untold() && !self.events.is_waiting() {
            return Ok(());
        }
        let failures = self.troubles.take_untold();
        let events = self.events.take().into_iter().map(|event| (event.level == Level::Warning, event.what));
        let warns = !failures.is_empty() && !self.warned.swap(true, Ordering::Relaxed);
        self.teller.bind(py).call1((&self.path, events.collect::<Vec<_>>(), failures, warns)).map(drop)
    }

    pub(super) fn query<T: Send>(
        &self,
        py: Python<'_>,
        job: impl Fn(&Collection) -> Result<T, QueryError> + Send,
    ) -> PyResult<T> {
        self.call(py, |collection| collection.read(job))?.map_err(|error| errors::query(py, &error, &self.path))
    }

    /// Finish a query in the state in which it began.
    pub(super) fn finish<T: Send>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(&Collection) -> Result<T, QueryError> + Send,
    ) -> PyResult<T> {
        self.call(py, job)?.map_err(|error| errors::query(py, &error, &self.path))
    }

    pub(super) fn write<T: Send>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(&Collection) -> Result<T, WriteError> + Send,
    ) -> PyResult<T> {
        self.call(py, job)?.map_err(|error| errors::write(py, error, &self.path))
    }

    /// After a write of new vectors, wait for the graph as long as the collection asks for; Ctrl-C ends
    /// that. The write is done, so a collection that was closed meanwhile is no error.
    pub(super) fn keep_pace(&self, py: Python<'_>, new: usize) -> PyResult<()> {
        let pause = || self.collection.read().as_ref().map_or(Duration::ZERO, |collection| collection.pause(new));
        let until = Instant::now() + detached(py, pause)?;
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(WAITED);
            let wait = || self.collection.read().as_ref().is_some_and(|collection| collection.wait_for_graph(left));
            if left.is_zero() || !detached(py, wait)? {
                return Ok(());
            }
            py.check_signals()?;
        }
    }

    /// Run a query that may take long and that Ctrl-C can stop.
    pub(super) fn long<T: Send>(
        &self,
        py: Python<'_>,
        threads: usize,
        job: impl Fn(&Collection, &Work<'_>) -> Result<T, QueryError> + Send,
    ) -> PyResult<T> {
        self.tell(py)?;
        let options = CallOptions { threads, long: true, progress: None, total: 0 };
        let open = move |work: &Work<'_>| {
            let collection = self.collection.read();
            collection.as_ref().ok_or(None)?.read(|collection| job(collection, work)).map_err(Some)
        };
        run(py, &options, open, |py, error| match error {
            Some(error) => errors::query(py, error, &self.path),
            None => errors::closed(py, "collection"),
        })
    }

    /// Return the configuration; that of the last moment once the collection is closed.
    pub(super) fn config(&self, py: Python<'_>) -> PyResult<Arc<Config>> {
        detached(py, || {
            let now = self.collection.read().as_ref().map(Collection::config);
            let mut last = self.config.lock();
            if let Some(now) = now {
                *last = now;
            }
            Arc::clone(&last)
        })
    }

    /// Have a reader take newer states from the disk at this interval.
    pub(super) fn follow(&self, py: Python<'_>, every: Duration) -> PyResult<()> {
        let followed = detached(py, || self.collection.write().as_mut().map(|collection| collection.follow(every)))?;
        followed.ok_or_else(|| errors::closed(py, "collection"))?.map_err(|error| errors::open(py, error, &self.path))
    }

    pub(super) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = detached(py, || self.take().map_or(Ok(()), Collection::close))?;
        self.tell(py)?;
        closed.map_err(|error| errors::write(py, error, &self.path))
    }

    /// Close for the garbage collector: failures are reported as troubles.
    pub(super) fn end(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || drop(self.take()))?;
        match self.tell(py) {
            // Python empties its modules before it drops their contents; nothing is left to
            // report with then.
            Err(_) if is_ending(py) => Ok(()),
            told => told,
        }
    }

    pub(super) fn is_closed(&self, py: Python<'_>) -> PyResult<bool> {
        detached(py, || self.collection.read().is_none())
    }
}

impl Drop for Handle {
    /// For a handle that Python did not close by `end`, because it was never returned to
    /// Python.
    fn drop(&mut self) {
        if let Some(collection) = self.collection.get_mut().take() {
            apart(move || drop(collection));
        }
    }
}

/// Whether Python is shutting down. A failed import says so too, since Python drops its modules
/// on the way.
fn is_ending(py: Python<'_>) -> bool {
    let says = || py.import("sys")?.call_method0("is_finalizing")?.extract();
    says().unwrap_or(true)
}
