//! The collection: records found by vector, text and metadata, safe to use from many threads.

use std::sync::Arc;

use tiercel_index::{Raw, Rerank};

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
/// A search sees the snapshot that was current when it began, and takes no lock that a writer
/// holds. The store orders writers; a background thread moves new vectors into the graph, merges
/// text segments and writes checkpoints. A collection open for reading has neither store nor
/// thread, and refuses writes.
pub struct Collection {
    pub(crate) core: Arc<Core>,
    pub(crate) access: Access,
}

/// How a collection is open.
pub(crate) enum Access {
    Write(Arc<Writer>, Background),
    Read(Viewer),
}

impl Collection {
    /// Return the current configuration.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.core.snapshot().config)
    }

    /// Return where full vectors are kept.
    pub fn raw(&self) -> Raw {
        self.core.snapshot().placement.raw()
    }

    /// Return what searches compare the best candidates with once more.
    pub fn rerank(&self) -> Rerank {
        self.core.snapshot().placement.rerank()
    }

    /// Return the number of records.
    pub fn len(&self) -> u64 {
        self.core.snapshot().live
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Return the number of the last batch, which grows with every change.
    pub fn sequence(&self) -> u64 {
        self.core.snapshot().sequence
    }

    /// Return the failures that no call reports: those of background work, of closing a collection
    /// by dropping it, and of records that are left out of answers. They outlive the collection.
    pub fn troubles(&self) -> Arc<Troubles> {
        Arc::clone(&self.core.troubles)
    }

    /// Return the events of this collection. They outlive it.
    pub fn events(&self) -> Arc<Events> {
        Arc::clone(&self.core.events)
    }

    /// Return the writer. Refuse a forked process here, before it waits for a lock that a thread of
    /// its parent held.
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
