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
}

/// What a collection is open for.
pub(crate) enum Access {
    Write(Arc<Writer>, Background),
    Read(Viewer),
}

impl Core {
    pub(crate) fn new(config: Config, first: Snapshot) -> Self {
        Self { config, current: Current::new(first), filters: Filters::default() }
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.get()
    }

    /// Put another snapshot in the place of the newest, which is returned.
    pub(crate) fn replace(&self, next: Snapshot) -> Arc<Snapshot> {
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

    /// The failures that no call returns: of the work in the background, and of the end of a collection that is dropped. They outlive the
    /// collection.
    pub fn troubles(&self) -> Arc<Troubles> {
        match &self.access {
            Access::Write(writer, _) => Arc::clone(&writer.troubles),
            Access::Read(_) => Arc::default(),
        }
    }

    pub(crate) fn writer(&self) -> Result<&Arc<Writer>, WriteError> {
        match &self.access {
            Access::Write(writer, _) => Ok(writer),
            Access::Read(_) => Err(WriteError::ReadOnly),
        }
    }
}
