//! The collection: records found by vector, text and metadata, safe to use from many threads.

use std::sync::Arc;

use crate::background::Background;
use crate::config::Config;
use crate::current::Current;
use crate::errors::WriteError;
use crate::plan::Filters;
use crate::snapshot::Snapshot;
use crate::trouble::Troubles;
use crate::view::Viewer;
use crate::writer::Writer;

/// Records on disk, each with a string id and any of a vector, a text and metadata.
///
/// Searches see the snapshot that was current when they began and take no lock that a writer holds. Writers are ordered by the store;
/// a thread in the background moves new vectors into the graph, merges text segments and writes checkpoints. A collection that is open
/// for reading has neither, and refuses writes.
pub struct Collection {
    pub(crate) core: Arc<Core>,
    pub(crate) access: Access,
}

/// What searches need.
pub(crate) struct Core {
    pub(crate) config: Config,
    current: Current<Snapshot>,
    pub(crate) filters: Filters,
    pub(crate) troubles: Arc<Troubles>,
}

/// What a collection is open for.
pub(crate) enum Access {
    Write(Arc<Writer>, Background),
    Read(Viewer),
}

impl Core {
    pub(crate) fn new(config: Config, first: Snapshot) -> Self {
        let troubles = Arc::default();
        first.damage.tell(&troubles);
        Self { config, current: Current::new(first), filters: Filters::default(), troubles }
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.get()
    }

    /// Put another snapshot in the place of the newest, which is returned.
    pub(crate) fn replace(&self, next: Snapshot) -> Arc<Snapshot> {
        next.damage.tell(&self.troubles);
        self.current.replace(next)
    }
}

impl Collection {
    /// What it was made with.
    pub fn config(&self) -> &Config {
        &self.core.config
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

    pub(crate) fn writer(&self) -> Result<&Arc<Writer>, WriteError> {
        match &self.access {
            Access::Write(writer, _) => Ok(writer),
            Access::Read(_) => Err(WriteError::ReadOnly),
        }
    }
}
