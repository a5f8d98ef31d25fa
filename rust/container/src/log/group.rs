//! Group commit: threads that arrive during a commit wait, then one of them commits for all.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use super::sync::{Condvar, Mutex};

/// Work of any number of threads: one thread at a time does it for all that wait.
pub struct Group<W, R> {
    state: Mutex<State<W, R>>,
    changed: Condvar,
}

struct State<W, R> {
    waiting: Vec<(W, Slot<R>)>,
    /// Whether a thread is leading.
    led: bool,
}

/// Where a thread finds the result of its work.
type Slot<R> = Arc<Mutex<Option<R>>>;

impl<W, R: Clone> Group<W, R> {
    /// Make a group that no thread waits for.
    pub fn new() -> Self {
        Self { state: Mutex::new(State { waiting: Vec::new(), led: false }), changed: Condvar::new() }
    }

    /// Have `work` done, by this thread or by another one. `lead` takes the work of all waiting
    /// threads in the order of arrival and returns the results in that order. If it panics, all of
    /// them get `lost`.
    pub fn submit(&self, work: W, lost: &R, lead: impl FnOnce(Vec<W>) -> Vec<R>) -> R {
        let slot = Slot::default();
        let mut state = self.state.lock();
        state.waiting.push((work, Arc::clone(&slot)));
        loop {
            if let Some(result) = slot.lock().take() {
                return result;
            }
            if !state.led {
                break;
            }
            self.changed.wait(&mut state);
        }
        state.led = true;
        let (work, slots): (Vec<_>, Vec<_>) = std::mem::take(&mut state.waiting).into_iter().unzip();
        drop(state);
        let results = panic::catch_unwind(AssertUnwindSafe(|| lead(work)));
        let mut results = results.unwrap_or_default().into_iter();
        for slot in slots {
            *slot.lock() = Some(results.next().unwrap_or_else(|| lost.clone()));
        }
        self.state.lock().led = false;
        self.changed.notify_all();
        slot.lock().take().unwrap_or_else(|| lost.clone())
    }
}

impl<W, R: Clone> Default for Group<W, R> {
    fn default() -> Self {
        Self::new()
    }
}
