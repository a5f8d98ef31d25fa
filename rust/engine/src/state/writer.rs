//! The additional state of a collection open for writing.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tiercel_index::{Storage, Work};
use tiercel_store::{Applied, Store};

use crate::faults::Faults;
use crate::state::apply::Fresh;
use crate::state::checkpoint::Maintenance;
use crate::state::core::Core;
use crate::state::pace::Pace;
use crate::state::signal::Signal;
use crate::state::snapshot::Snapshot;
use crate::state::unindexed::Unindexed;
use crate::trouble::Part;

/// The state that writers and the background thread share.
pub(crate) struct Writer {
    pub(crate) core: Arc<Core>,
    pub(crate) store: Store,
    /// Batches of the transaction being published, until the last one has arrived.
    pub(crate) unpublished: Mutex<Vec<(Applied, Fresh)>>,
    /// Metadata of published batches that no index of a field has yet.
    pub(crate) unindexed: Unindexed,
    /// Held by the thread that merges small segments of texts after its commit.
    pub(crate) merging: Mutex<()>,
    /// Rows that died and are still in an index, each with the batch that removed it.
    pub(crate) buried: Mutex<Vec<(u64, u64)>>,
    /// Why writes are refused.
    pub(crate) failure: Mutex<Option<String>>,
    pub(crate) signal: Signal,
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) faults: Faults,
    pub(crate) pace: Pace,
    /// Threads for background work, also when a caller does it.
    threads: usize,
    /// Vectors at which a graph is full.
    pub(crate) most: usize,
    /// Set to stop that work: closing does not wait for the graph.
    pub(crate) stopping: AtomicBool,
}

impl Writer {
    pub(crate) fn new(core: Arc<Core>, store: Store, maintenance: Maintenance, threads: usize, most: usize) -> Self {
        Self {
            core,
            store,
            unpublished: Mutex::default(),
            unindexed: Unindexed::default(),
            merging: Mutex::default(),
            buried: Mutex::new(Vec::new()),
            failure: Mutex::new(None),
            signal: Signal::new(),
            maintenance: Mutex::new(maintenance),
            faults: Faults::default(),
            pace: Pace::default(),
            threads,
            most,
            stopping: AtomicBool::new(false),
        }
    }

    /// Return the settings for work on indexes.
    pub(crate) const fn work(&self) -> Work<'_> {
        Work::quiet(self.threads, &self.stopping)
    }

    /// Return the newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.core.snapshot()
    }

    /// Return the storage of the graphs. It changes only under the lock of `maintenance`.
    pub(crate) fn storage(&self) -> Storage {
        self.snapshot().config.storage
    }

    /// See [`Core::change`].
    pub(crate) fn change<E>(&self, change: impl FnOnce(&mut Snapshot) -> Result<(), E>) -> Result<(), E> {
        self.core.change(change)
    }

    /// Use a new reader of the store: the old one would hold memory and pages that the store has
    /// freed. Call this in the order of commits.
    pub(crate) fn renew_reader(&self) {
        let reader = self.store.reader();
        // Nothing here can fail.
        let _ = self.change(|snapshot| {
            // If a batch could not be made searchable, the store is ahead, and a snapshot must not
            // show half of it.
            if reader.sequence() == snapshot.sequence {
                snapshot.reader = reader;
            }
            Ok::<_, Infallible>(())
        });
    }

    /// Refuse writes from now on, because a written batch could not be made visible.
    pub(crate) fn fail(&self, why: String) {
        self.failure.lock().get_or_insert(why.clone());
        self.core.troubles.note(Part::Publication, why);
    }

    /// See [`Core::seen_by_all`].
    pub(crate) fn seen_by_all(&self) -> u64 {
        self.core.seen_by_all()
    }
}
