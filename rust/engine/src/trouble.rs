//! What goes wrong where nobody waits for it: kept until somebody asks, or is told.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tiercel_store::message_of;

/// Failures that wait to be told at most; of more, the first and the last.
const WAITING: usize = 16;

/// A part of the background. Its failures are told one by one, unless they are the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Moves, merges, writes checkpoints.
    Upkeep,
    /// Syncs at an interval.
    Sync,
    /// Makes visible what was written.
    Publication,
    /// Finishes what is under way when the collection is dropped.
    End,
    /// Reads records.
    Records,
    /// Refreshes a reader at an interval.
    Following,
}

/// A failure that no call returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What it was.
    pub what: String,
    /// When it was met last.
    pub at: SystemTime,
    /// Whether what failed has not succeeded since.
    pub lasts: bool,
}

#[derive(Debug)]
struct Last {
    part: Part,
    what: String,
    at: SystemTime,
}

/// The failures of a collection that no call returned.
#[derive(Debug, Default)]
pub struct Troubles {
    waits: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Last>,
    /// What each part that fails has failed with.
    failing: Vec<(Part, String)>,
    untold: Vec<String>,
}

impl Troubles {
    /// The last failure, whatever has become of it since.
    pub fn last(&self) -> Option<Trouble> {
        let state = self.state.lock();
        let Last { part, what, at } = state.last.as_ref()?;
        let lasts = state.failing.iter().any(|(failing, _)| failing == part);
        Some(Trouble { what: what.clone(), at: *at, lasts })
    }

    /// Whether there are failures that [`Self::take_untold`] has not given yet.
    pub fn is_untold(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Failures that were not given before, oldest first.
    pub fn take_untold(&self) -> Vec<String> {
        // A forked process may find the lock held by a thread that it does not have.
        let Some(mut state) = self.state.try_lock() else { return Vec::new() };
        self.waits.store(false, Ordering::Release);
        std::mem::take(&mut state.untold)
    }

    /// Run something that nobody waits for. An error and a panic are kept; false after either.
    pub(crate) fn attempt<E: ToString>(&self, part: Part, job: impl FnOnce() -> Result<(), E>) -> bool {
        match caught(job) {
            Ok(()) => self.state.lock().failing.retain(|(failing, _)| *failing != part),
            Err(why) => {
                self.note(part, why);
                return false;
            }
        }
        true
    }

    /// Keep a failure.
    pub(crate) fn note(&self, part: Part, why: String) {
        let mut state = self.state.lock();
        state.last = Some(Last { part, what: why.clone(), at: SystemTime::now() });
        if state.failing.iter().any(|(failing, known)| *failing == part && *known == why) {
            return;
        }
        state.failing.retain(|(failing, _)| *failing != part);
        state.failing.push((part, why.clone()));
        state.untold.truncate(WAITING - 1);
        state.untold.push(why);
        self.waits.store(true, Ordering::Release);
    }
}

/// Run something, with a panic as an error. The locks here do not poison: what is changed under one is changed as a whole, by the last
/// statement, or can be changed again.
pub(crate) fn caught<T, E: ToString>(job: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    let result = panic::catch_unwind(AssertUnwindSafe(job));
    result.map_err(|panic| panicked(&*panic)).and_then(|result| result.map_err(|error| error.to_string()))
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    format!("a panic: {}", message_of(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_until_the_part_works_again() {
        let troubles = Troubles::default();
        let fail = |why: &'static str| troubles.attempt(Part::Sync, || Err(why));
        assert!(!troubles.is_untold());
        assert!(!fail("a") && !fail("a") && !fail("b"));
        assert!(!troubles.attempt(Part::Upkeep, || -> Result<(), String> { panic!("c {}", 1) }));
        assert!(!fail("b"));
        assert!(troubles.is_untold());
        assert_eq!(troubles.take_untold(), ["a", "b", "a panic: c 1"]);
        assert!(!troubles.is_untold());
        assert!(troubles.attempt(Part::Sync, || Ok::<_, String>(())));
        assert!(!fail("b"));
        assert_eq!(troubles.take_untold(), ["b"]);
        let last = troubles.last().unwrap();
        assert_eq!((last.what.as_str(), last.lasts), ("b", true));
        assert!(troubles.attempt(Part::Sync, || Ok::<_, String>(())));
        assert!(!troubles.last().unwrap().lasts);
    }

    #[test]
    fn of_many_the_first_and_the_last_are_kept() {
        let troubles = Troubles::default();
        for number in 0..100 {
            troubles.note(Part::Upkeep, number.to_string());
        }
        let untold = troubles.take_untold();
        assert_eq!((untold.len(), untold[0].as_str(), untold[WAITING - 1].as_str()), (WAITING, "0", "99"));
    }
}
