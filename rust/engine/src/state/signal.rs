//! Waking the background work of a collection.

use std::time::Duration;

use crate::pool::{Pool, TaskId};

/// How often the background looks for work while there may be some. With `Durability::Interval`, a
/// crash can lose the writes of this span and of the syncs before and after it, which may take long on
/// a busy disk.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The tasks of a collection.
pub(crate) struct Signal {
    pub(crate) upkeep: TaskId,
    pub(crate) sync: TaskId,
    /// That of the process that opened the collection.
    pub(crate) pool: &'static Pool,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self { upkeep: Pool::new_id(), sync: Pool::new_id(), pool: Pool::of_process() }
    }

    /// Signal that something was written.
    pub(crate) fn wake(&self) {
        self.pool.wake(self.upkeep, Duration::ZERO);
        self.pool.wake(self.sync, PAUSE);
    }
}
