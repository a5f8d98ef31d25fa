//! Collections that are open for reading, while another process may write them.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tiercel_store::{OpenError as StoreError, Options, ReadOnlyVfs, Vfs, View, is_outdated};

use crate::collection::{Access, Collection, Core};
use crate::config::{Config, Wanted};
use crate::errors::{OpenError, QueryError};
use crate::open::{config_of, read};
use crate::snapshot::Snapshot;

/// So often at most something is read that a writer goes on replacing meanwhile. What is damaged looks the same twice and ends it
/// long before, so this is only there that it ends at all: beside a writer that never rests, ten were too few.
const ATTEMPTS: usize = 1000;

/// Takes newer states from the disk.
pub(crate) struct Viewer {
    pub(crate) view: View,
    /// Held while a newer state is read.
    reading: Mutex<()>,
}

impl Collection {
    /// Open the collection in a directory for reading: nothing in the directory is changed, no lock is taken, and a writer in another
    /// process goes on. It shows the last checkpoint, or clean close, or creation, until it is refreshed.
    pub fn view(path: &Path, wanted: &Wanted) -> Result<Self, OpenError> {
        Self::view_on(Arc::new(ReadOnlyVfs), path, wanted)
    }

    /// Open a collection on any file system for reading.
    pub fn view_on(vfs: Arc<dyn Vfs>, path: &Path, wanted: &Wanted) -> Result<Self, OpenError> {
        let view = View::new(vfs, path, Options::default().cache_bytes);
        let (config, snapshot) = steady(OpenError::is_damage, || newest(&view))?;
        wanted.check(&config)?;
        let core = Arc::new(Core::new(config, snapshot));
        Ok(Self { core, access: Access::Read(Viewer { view, reading: Mutex::new(()) }) })
    }

    /// Whether it is open for reading alone.
    pub const fn is_read_only(&self) -> bool {
        matches!(self.access, Access::Read(_))
    }

    /// Go on to the newest state that a writer has published; tells whether anything has changed. Searches go on meanwhile. What is open
    /// for writing has the newest state anyway.
    pub fn refresh(&self) -> Result<bool, OpenError> {
        let Access::Read(viewer) = &self.access else { return Ok(false) };
        let _reading = viewer.reading.lock();
        let (now, newest) = (self.core.snapshot(), viewer.view.reader()?);
        let state = |reader: &tiercel_store::Reader| (reader.sequence(), reader.next_row(), reader.len());
        if state(&now.reader) == state(&newest) {
            return Ok(false);
        }
        viewer.advance(&self.core)?;
        Ok(true)
    }

    /// Read. If a writer has gone on so far that the state which is open for reading is no longer on the disk, read the newest one.
    pub fn read<T>(&self, read: impl Fn(&Self) -> Result<T, QueryError>) -> Result<T, QueryError> {
        let Access::Read(viewer) = &self.access else { return read(self) };
        let mut last: Option<Arc<Snapshot>> = None;
        steady(QueryError::is_damage, || {
            if let Some(last) = &last {
                viewer.leave(&self.core, last)?;
            }
            last = Some(self.core.snapshot());
            read(self)
        })
    }
}

impl Viewer {
    /// Go on from a state, unless another thread has done so.
    fn leave(&self, core: &Core, state: &Arc<Snapshot>) -> Result<(), OpenError> {
        let _reading = self.reading.lock();
        if Arc::ptr_eq(state, &core.snapshot()) { self.advance(core) } else { Ok(()) }
    }

    fn advance(&self, core: &Core) -> Result<(), OpenError> {
        let (config, snapshot) = steady(OpenError::is_damage, || newest(&self.view))?;
        if config != core.config {
            return Err(OpenError::Replaced);
        }
        core.replace(snapshot);
        Ok(())
    }
}

fn newest(view: &View) -> Result<(Config, Snapshot), OpenError> {
    let reader = view.reader()?;
    let config = config_of(&reader)?;
    let (snapshot, _) = read(reader, &|name| view.open_segment(name), &config)?;
    Ok((config, snapshot))
}

/// Read what a writer may replace meanwhile. That looks damaged, and differs from one attempt to the next; what is damaged
/// stays as it is.
fn steady<T, E: Display>(is_damage: impl Fn(&E) -> bool, mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
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
    fn is_damage(&self) -> bool {
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
