//! The shared state of searches: the newest snapshot, and how the next one replaces it.

use std::convert::Infallible;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::events::Events;
use crate::filter::FieldIndexes;
use crate::state::current::Current;
use crate::state::known::Filters;
use crate::state::snapshot::Snapshot;
use crate::trouble::Troubles;

/// The shared state of searches.
pub(crate) struct Core {
    current: Current<Snapshot>,
    /// Older snapshots that searches still hold. Locked while a new snapshot is made from the
    /// current one.
    changing: Mutex<Vec<Weak<Snapshot>>>,
    pub(crate) filters: Filters,
    pub(crate) troubles: Arc<Troubles>,
    pub(crate) events: Arc<Events>,
}

impl Core {
    pub(crate) fn new(first: Snapshot) -> Self {
        let troubles = Arc::default();
        first.damage.report_to(&troubles);
        Self {
            current: Current::new(first),
            changing: Mutex::default(),
            filters: Filters::default(),
            troubles,
            events: Arc::default(),
        }
    }

    /// Return the newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.get()
    }

    /// Apply `change` to a copy of the newest snapshot, and publish the copy. If `change` fails,
    /// publish nothing.
    pub(crate) fn change<E>(&self, change: impl FnOnce(&mut Snapshot) -> Result<(), E>) -> Result<(), E> {
        let mut older = self.changing.lock();
        let mut next = Snapshot::clone(&self.snapshot());
        change(&mut next)?;
        next.damage.report_to(&self.troubles);
        // Freeing the old snapshot may take time, so keep it out of the lock that searches take.
        let old = self.current.replace(next);
        older.retain(|snapshot| snapshot.strong_count() > 0);
        older.push(Arc::downgrade(&old));
        Ok(())
    }

    /// Let new indexes over metadata take the place of these, unless others already have.
    pub(crate) fn renew_fields(&self, replaced: &Arc<FieldIndexes>) {
        // Nothing here can fail.
        let _ = self.change(|snapshot| {
            if Arc::ptr_eq(&snapshot.fields, replaced) {
                snapshot.renew_fields();
            }
            Ok::<_, Infallible>(())
        });
    }

    /// The last batch that all snapshots have, those that searches still hold among them.
    pub(crate) fn seen_by_all(&self) -> u64 {
        let older = self.changing.lock();
        let newest = self.snapshot().sequence;
        older.iter().filter_map(Weak::upgrade).map(|snapshot| snapshot.sequence).fold(newest, u64::min)
    }
}
