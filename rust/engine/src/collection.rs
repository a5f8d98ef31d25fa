//! The collection: records found by vector, text and metadata, safe to use from many threads.

use std::sync::Arc;

use crate::config::Config;
use crate::errors::WriteError;
use crate::events::Events;
use crate::follow::viewer::Viewer;
use crate::maintain::background::Background;
use crate::state::core::Core;
use crate::state::writer::Writer;
use crate::trouble::Troubles;

/// Records on disk, each with a string id and any of a vector, a text and metadata.
///
/// Searches see the snapshot that was current when they began and take no lock that a writer holds. Writers are ordered by the store;
/// a thread in the background moves new vectors into the graph, merges text segments and writes checkpoints. A collection that is open
/// for reading has neither, and refuses writes.
pub struct Collection {
    pub(crate) core: Arc<Core>,
    pub(crate) access: Access,
}

/// What a collection is open for.
pub(crate) enum Access {
    Write(Arc<Writer>, Background),
    Read(Viewer),
}

impl Collection {
    /// What it is made with, so far.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.core.snapshot().config)
    }

    /// Records that live.
    pub fn len(&self) -> u64 {
        self.core.snapshot().live
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of the last batch: it grows with every change.
    pub fn sequence(&self) -> u64 {
        self.core.snapshot().sequence
    }

    /// The failures that no call returns: of the work in the background, of the end of a collection that is dropped, and of records that
    /// are left out of answers. They outlive the collection.
    pub fn troubles(&self) -> Arc<Troubles> {
        Arc::clone(&self.core.troubles)
    }

    /// What it has done, and what refused it. They outlive the collection.
    pub fn events(&self) -> Arc<Events> {
        Arc::clone(&self.core.events)
    }

    /// What a write goes through. A forked process is refused here, before it waits for a lock that a thread of its parent held.
    pub(crate) fn writer(&self) -> Result<&Arc<Writer>, WriteError> {
        match &self.access {
            Access::Write(writer, _) => {
                writer.store.check_process()?;
                Ok(writer)
            }
            Access::Read(_) => Err(WriteError::ReadOnly),
        }
    }
}
