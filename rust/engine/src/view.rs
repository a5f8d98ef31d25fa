//! Collections open for reading, while another process may write to them.

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
use crate::state::checkpoint::last_checkpoint;
use crate::state::core::Core;
use crate::state::placement::Placement;
use crate::state::snapshot::Snapshot;

impl Collection {
    /// Open the collection in a directory for reading. Change nothing in the directory and take no
    /// lock, so a writer in another process goes on. The collection shows everything that was
    /// acknowledged before this call, and nothing newer until it is refreshed.
    pub fn view(path: &Path, wanted: &OpenOptions) -> Result<Self, OpenError> {
        Self::view_on(Arc::new(ReadOnlyVfs), path, wanted)
    }

    /// Open a collection for reading on any file system.
    pub fn view_on(vfs: Arc<dyn Vfs>, path: &Path, wanted: &OpenOptions) -> Result<Self, OpenError> {
        let view = View::new(vfs, path, Options::default().cache_bytes);
        let (reading, snapshot) = Reading::begin(view, Arc::new(Placement::new(wanted.raw, wanted.rerank, path)))?;
        wanted.check(&snapshot.config)?;
        let core = Arc::new(Core::new(snapshot));
        core.events.info(format!("opened to read with {} records", core.snapshot().live));
        Ok(Self { core, access: Access::Read(Viewer { reading: Arc::new(reading), following: None }) })
    }

    /// Return the bytes of the files of the graphs of the collection in a directory, which are about as large
    /// in memory.
    pub fn graph_bytes(path: &Path) -> Result<u64, OpenError> {
        let view = View::new(Arc::new(ReadOnlyVfs), path, Options::default().cache_bytes);
        steady(|| {
            let last = last_checkpoint(view.follow()?.reader())?;
            last.graphs.iter().map(|name| Ok(view.open_segment(name)?.file_len())).sum()
        })
    }

    /// Refresh a collection open for reading at an interval, until it is closed. A failure is kept
    /// in `trouble` of [`Self::stats`], and the next refresh tries again.
    pub fn follow(&mut self, every: Duration) -> Result<(), OpenError> {
        if let Access::Read(viewer) = &mut self.access {
            let (core, reading) = (Arc::clone(&self.core), Arc::clone(&viewer.reading));
            viewer.following = Some(Following::start(core, reading, every).map_err(OpenError::Thread)?);
        }
        Ok(())
    }

    /// Whether the collection is open for reading only.
    pub const fn is_read_only(&self) -> bool {
        matches!(self.access, Access::Read(_))
    }

    /// Advance to everything that was acknowledged before this call, and return whether anything
    /// has changed. Searches go on meanwhile. A collection open for writing always has the newest
    /// state.
    pub fn refresh(&self) -> Result<bool, OpenError> {
        let Access::Read(viewer) = &self.access else { return Ok(false) };
        viewer.reading.go_on(&self.core)
    }

    /// Run `read`. If a writer has overwritten the state that is shown, advance to the newest one
    /// and try again.
    pub fn read<T>(&self, read: impl Fn(&Self) -> Result<T, QueryError>) -> Result<T, QueryError> {
        let Access::Read(viewer) = &self.access else { return read(self) };
        let mut last: Option<Arc<Snapshot>> = None;
        steady(|| {
            // Another thread may have advanced already.
            if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &self.core.snapshot())) {
                viewer.reading.go_on(&self.core)?;
            }
            last = Some(self.core.snapshot());
            read(self)
        })
    }
}
