//! Collections that are open for reading, while another process may write them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tiercel_container::{ReadOnlyVfs, Vfs};
use tiercel_store::{Options, View};

use crate::collection::{Access, Collection};
use crate::config::OpenOptions;
use crate::errors::{OpenError, QueryError};
use crate::follow::reading::Reading;
use crate::follow::steady::steady;
use crate::follow::viewer::{Following, Viewer};
use crate::state::core::Core;
use crate::state::snapshot::Snapshot;

impl Collection {
    /// Open the collection in a directory for reading: nothing in the directory is changed, no lock is taken, and a writer in another
    /// process goes on. It shows everything that was acknowledged before the call, and stays there until it is refreshed.
    pub fn view(path: &Path, wanted: &OpenOptions) -> Result<Self, OpenError> {
        Self::view_on(Arc::new(ReadOnlyVfs), path, wanted)
    }

    /// Open a collection on any file system for reading.
    pub fn view_on(vfs: Arc<dyn Vfs>, path: &Path, wanted: &OpenOptions) -> Result<Self, OpenError> {
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
