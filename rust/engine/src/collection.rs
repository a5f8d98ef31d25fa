//! The collection: records found by vector, text and metadata, safe to use from many threads.

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use tiercel_store::{Applied, Store};

use crate::background::{Background, Signal};
use crate::checkpoint::Maintenance;
use crate::config::Config;
use crate::snapshot::Snapshot;
use crate::write::Fresh;

/// Records on disk, each with a string id and any of a vector, a text and metadata.
///
/// Searches see the snapshot that was current when they began and take no lock that a writer holds. Writers are ordered by the store;
/// a thread in the background moves new vectors into the graph, merges text segments and writes checkpoints.
pub struct Collection {
    pub(crate) core: Arc<Core>,
    pub(crate) background: Background,
    /// Threads of the background work, and of what is done at once in its place.
    pub(crate) threads: usize,
}

/// What the collection and its background thread share.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) store: Store,
    current: RwLock<Arc<Snapshot>>,
    /// Held while a new snapshot is made of the current one: older ones that searches still hold.
    changing: Mutex<Vec<Weak<Snapshot>>>,
    /// Batches of the transaction that is being published, until the last of them has come.
    pub(crate) unpublished: Mutex<Vec<(Applied, Fresh)>>,
    /// Rows that died and are still in an index, and the batches that they died with.
    pub(crate) buried: Mutex<Vec<(u64, u64)>>,
    /// Why writes are refused.
    pub(crate) failure: Mutex<Option<String>>,
    pub(crate) signal: Signal,
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) known: Mutex<Known>,
}

/// What the background tells of itself.
#[derive(Default)]
pub(crate) struct Known {
    /// Rows below this are in the files of the last checkpoint.
    pub(crate) checkpoint_rows: u32,
    /// The last error.
    pub(crate) trouble: Option<String>,
}

impl Core {
    pub(crate) fn new(config: Config, store: Store, first: Snapshot, maintenance: Maintenance) -> Self {
        let known = Known { checkpoint_rows: maintenance.last.rows, trouble: None };
        Self {
            config,
            store,
            current: RwLock::new(Arc::new(first)),
            changing: Mutex::default(),
            unpublished: Mutex::default(),
            buried: Mutex::new(Vec::new()),
            failure: Mutex::new(None),
            signal: Signal::default(),
            maintenance: Mutex::new(maintenance),
            known: Mutex::new(known),
        }
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.read().clone()
    }

    /// Publish what `change` makes of the newest snapshot. If it fails, nothing changes.
    pub(crate) fn change<E>(&self, change: impl FnOnce(&mut Snapshot) -> Result<(), E>) -> Result<(), E> {
        let mut older = self.changing.lock();
        let mut next = Snapshot::clone(&self.snapshot());
        change(&mut next)?;
        let next = Arc::new(next);
        // The old snapshot may free much memory: not under the lock.
        let old = std::mem::replace(&mut *self.current.write(), next);
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
}
