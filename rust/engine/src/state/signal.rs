//! Waking the background thread when there is work, and stopping it.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How often the thread looks for work. With `Durability::Interval`, a crash can lose the writes of
/// this span and of the syncs before and after it, which may take long on a busy disk.
const PAUSE: Duration = Duration::from_millis(100);

/// Wakes and stops the thread.
#[derive(Default)]
pub(crate) struct Signal {
    wanted: Mutex<Request>,
    changed: Condvar,
}

#[derive(Default)]
struct Request {
    work: bool,
    stop: bool,
}

impl Signal {
    /// Signal that something was written.
    pub(crate) fn wake(&self) {
        self.wanted.lock().work = true;
        self.changed.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.wanted.lock().stop = true;
        self.changed.notify_one();
    }

    /// Wait for work, at most for `PAUSE`, and return whether to stop.
    pub(crate) fn wait(&self) -> bool {
        let mut wanted = self.wanted.lock();
        if !wanted.work && !wanted.stop {
            self.changed.wait_for(&mut wanted, PAUSE);
        }
        wanted.work = false;
        wanted.stop
    }
}
