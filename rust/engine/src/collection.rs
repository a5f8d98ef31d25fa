//! The collection: records found by vector, text and metadata, safe to use from many threads.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::background::Background;
use crate::config::Config;
use crate::current::Current;
use crate::errors::WriteError;
use crate::events::Events;
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
    current: Current<Snapshot>,
    /// Held while a new snapshot is made of the current one: older ones that searches still hold.
    changing: Mutex<Vec<Weak<Snapshot>>>,
    pub(crate) filters: Filters,
    pub(crate) troubles: Arc<Troubles>,
    pub(crate) events: Arc<Events>,
}

/// What a collection is open for.
pub(crate) enum Access {
    Write(Arc<Writer>, Background),
    Read(Viewer),
}

impl Core {
    pub(crate) fn new(first: Snapshot) -> Self {
        let troubles = Arc::default();
        first.damage.tell(&troubles);
        Self {
            current: Current::new(first),
            changing: Mutex::default(),
            filters: Filters::default(),
            troubles,
            events: Arc::default(),
        }
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.get()
    }

    /// Publish what `change` makes of the newest snapshot. If it fails, nothing changes.
    pub(crate) fn change<E>(&self, change: impl FnOnce(&mut Snapshot) -> Result<(), E>) -> Result<(), E> {
        let mut older = self.changing.lock();
        let mut next = Snapshot::clone(&self.snapshot());
        change(&mut next)?;
        next.damage.tell(&self.troubles);
        // The old snapshot may free much memory: not under the lock of searches.
        let old = self.current.replace(next);
        older.retain(|snapshot| snapshot.strong_count() > 0);
        older.push(Arc::downgrade(&old));
        Ok(())
    }

    /// The last batch that all snapshots have, those that searches still hold among them.
    pub(crate) fn seen_by_all(&self) -> u64 {
        let older = self.changing.lock();
        let newest = self.snapshot().sequence;
        older.iter().filter_map(Weak::upgrade).map(|snapshot| snapshot.sequence).fold(newest, u64::min)
    }
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
