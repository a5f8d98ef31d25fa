//! Collections open for reading, while another process may write to them.

use std::process;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tiercel_store::View;

use crate::follow::reading::Reading;
use crate::state::core::Core;
use crate::trouble::Part;

/// Reads newer states from disk.
pub(crate) struct Viewer {
    pub(crate) reading: Arc<Reading>,
    pub(crate) following: Option<Following>,
}

impl Viewer {
    pub(crate) fn view(&self) -> &View {
        &self.reading.view
    }
}

/// A thread that refreshes at an interval.
pub(crate) struct Following {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// A forked process does not have the thread.
    process: u32,
}

#[derive(Default)]
struct Shared {
    stop: Mutex<bool>,
    changed: Condvar,
}

impl Following {
    pub(crate) fn start(core: Arc<Core>, reading: Arc<Reading>, every: Duration) -> Result<Self, String> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let run = move || {
            while !seen.waits(every) {
                core.troubles.attempt(Part::Following, || reading.go_on(&core).map(drop));
            }
        };
        let thread = thread::Builder::new().name("tiercel".into()).spawn(run).map_err(|error| error.to_string())?;
        Ok(Self { shared, thread: Some(thread), process: process::id() })
    }
}

impl Shared {
    /// Wait, and return whether to stop.
    fn waits(&self, every: Duration) -> bool {
        let mut stop = self.stop.lock();
        if !*stop {
            self.changed.wait_for(&mut stop, every);
        }
        *stop
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if self.process != process::id() {
            return;
        }
        *self.shared.stop.lock() = true;
        self.shared.changed.notify_one();
        // It catches its panics.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
