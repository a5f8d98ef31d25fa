//! Collections that are open for reading, while another process may write them.

use std::fmt::Display;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tiercel_store::{OpenError as StoreError, Options, ReadOnlyVfs, Vfs, View, is_outdated};

use crate::collection::{Access, Collection, Core};
use crate::config::Wanted;
use crate::errors::{OpenError, QueryError};
use crate::follow::Reading;
use crate::snapshot::Snapshot;
use crate::trouble::Part;

/// So often at most something is read that a writer goes on replacing meanwhile. What is damaged looks the same twice and ends it
/// long before, so this is only there that it ends at all: beside a writer that never rests, ten were too few.
const ATTEMPTS: usize = 1000;

/// Takes newer states from the disk.
pub(crate) struct Viewer {
    reading: Arc<Reading>,
    following: Option<Following>,
}

impl Collection {
    /// Open the collection in a directory for reading: nothing in the directory is changed, no lock is taken, and a writer in another
    /// process goes on. It shows everything that was acknowledged before the call, and stays there until it is refreshed.
    pub fn view(path: &Path, wanted: &Wanted) -> Result<Self, OpenError> {
        Self::view_on(Arc::new(ReadOnlyVfs), path, wanted)
    }

    /// Open a collection on any file system for reading.
    pub fn view_on(vfs: Arc<dyn Vfs>, path: &Path, wanted: &Wanted) -> Result<Self, OpenError> {
        let (reading, snapshot) = Reading::begin(View::new(vfs, path, Options::default().cache_bytes))?;
        wanted.check(&snapshot.config)?;
        let core = Arc::new(Core::new(snapshot));
        core.events.info(format!("opened to read with {} records", core.snapshot().live));
        Ok(Self { core, access: Access::Read(Viewer { reading: Arc::new(reading), following: None }) })
    }

    /// Refresh what is open for reading at an interval, until it is closed. What goes wrong is kept, see `trouble` of [`Self::stats`],
    /// and tried again.
    pub fn follow(&mut self, every: Duration) -> Result<(), OpenError> {
        if let Access::Read(viewer) = &mut self.access {
            let (core, reading) = (Arc::clone(&self.core), Arc::clone(&viewer.reading));
            viewer.following = Some(Following::start(core, reading, every).map_err(OpenError::Thread)?);
        }
        Ok(())
    }

    /// Whether it is open for reading alone.
    pub const fn is_read_only(&self) -> bool {
        matches!(self.access, Access::Read(_))
    }

    /// Go on to everything that was acknowledged before the call; tells whether anything has changed. Searches go on meanwhile. What is
    /// open for writing has the newest state anyway.
    pub fn refresh(&self) -> Result<bool, OpenError> {
        let Access::Read(viewer) = &self.access else { return Ok(false) };
        viewer.reading.go_on(&self.core)
    }

    /// Read. If a writer has gone on so far that the state which is open for reading is no longer on the disk, read the newest one.
    pub fn read<T>(&self, read: impl Fn(&Self) -> Result<T, QueryError>) -> Result<T, QueryError> {
        let Access::Read(viewer) = &self.access else { return read(self) };
        let mut last: Option<Arc<Snapshot>> = None;
        steady(QueryError::is_damage, || {
            // Another thread may have gone on already.
            if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &self.core.snapshot())) {
                viewer.reading.go_on(&self.core)?;
            }
            last = Some(self.core.snapshot());
            read(self)
        })
    }
}

impl Viewer {
    pub(crate) fn view(&self) -> &View {
        &self.reading.view
    }
}

/// A thread that refreshes.
struct Following {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// A forked process has no such thread.
    process: u32,
}

#[derive(Default)]
struct Shared {
    stop: Mutex<bool>,
    changed: Condvar,
}

impl Following {
    fn start(core: Arc<Core>, reading: Arc<Reading>, every: Duration) -> Result<Self, String> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let run = move || {
            while !seen.waits(every) {
                core.troubles.attempt(Part::Following, || reading.go_on(&core).map(drop));
            }
        };
        let thread = thread::Builder::new().name("tiercel".into()).spawn(run).map_err(|error| error.to_string())?;
        Ok(Self { shared, thread: Some(thread), process: process::id() })
    }
}

impl Shared {
    /// Wait; tells whether to stop.
    fn waits(&self, every: Duration) -> bool {
        let mut stop = self.stop.lock();
        if !*stop {
            self.changed.wait_for(&mut stop, every);
        }
        *stop
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if self.process != process::id() {
            return;
        }
        *self.shared.stop.lock() = true;
        self.shared.changed.notify_one();
        // It catches its panics.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Read what a writer may replace meanwhile. That looks damaged, and differs from one attempt to the next; what is damaged
/// stays as it is.
pub(crate) fn steady<T, E: Display>(
    is_damage: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut result = attempt();
    for _ in 1..ATTEMPTS {
        let Some(damage) = result.as_ref().err().filter(|error| is_damage(error)).map(ToString::to_string) else {
            break;
        };
        result = attempt();
        if result.as_ref().is_err_and(|error| error.to_string() == damage) {
            break;
        }
    }
    result
}

impl OpenError {
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Store(StoreError::Io(error)) => is_outdated(error),
            error => matches!(error, Self::Store(StoreError::Corrupt(_)) | Self::Damaged { .. }),
        }
    }
}

impl QueryError {
    /// Whether a writer has written over what was to be read.
    pub(crate) fn is_outdated(&self) -> bool {
        matches!(self, Self::Io(error) if is_outdated(error))
    }

    fn is_damage(&self) -> bool {
        self.is_outdated() || matches!(self, Self::Corrupt(_))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::steady;

    /// Attempts until the end, and how that is, where the damage of attempt `n` is called `damage(n)` and attempt 101 goes well.
    fn attempts(damage: impl Fn(usize) -> String) -> (usize, Result<(), String>) {
        let made = Cell::new(0);
        let result = steady(
            |_: &String| true,
            || {
                made.set(made.get() + 1);
                if made.get() > 100 { Ok(()) } else { Err(damage(made.get())) }
            },
        );
        (made.get(), result)
    }

    #[test]
    fn what_a_writer_replaces_again_and_again_is_read_in_the_end() {
        assert_eq!(attempts(|attempt| format!("no file {attempt}")), (101, Ok(())));
    }

    #[test]
    fn what_stays_damaged_is_told_at_once() {
        assert_eq!(attempts(|_| "no file".to_owned()), (2, Err("no file".to_owned())));
    }
}
