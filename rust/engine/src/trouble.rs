//! Failures that no caller waits for, kept until somebody takes them.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tiercel_index::NoMemory;
use tiercel_store::message_of;

/// The most failures to keep; when more wait, the first ones and the last are kept.
const WAITING: usize = 16;

/// A source of failures. Each of its failures is reported once until it changes or the part works
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Moving vectors, merging, writing checkpoints.
    Upkeep,
    /// Syncing at an interval.
    Sync,
    /// Making writes visible.
    Publication,
    /// Finishing pending work when the collection is dropped.
    End,
    /// Reading records.
    Records,
    /// Refreshing a reader at an interval.
    Following,
}

/// A failure that no call reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// The failure and its cause.
    pub what: String,
    /// When it last happened.
    pub at: SystemTime,
    /// Whether its part still fails.
    pub lasts: bool,
}

#[derive(Debug)]
struct Last {
    part: Part,
    what: String,
    at: SystemTime,
}

/// The failures of a collection that no call reported.
#[derive(Debug, Default)]
pub struct Troubles {
    waits: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Last>,
    /// The parts that still fail, each with its last failure.
    failing: Vec<(Part, String)>,
    untold: Vec<String>,
}

impl Troubles {
    /// Return the last failure, even if its part works again.
    pub fn last(&self) -> Option<Trouble> {
        let state = self.state.lock();
        let Last { part, what, at } = state.last.as_ref()?;
        let lasts = state.failing.iter().any(|(failing, _)| failing == part);
        Some(Trouble { what: what.clone(), at: *at, lasts })
    }

    /// Whether there are failures that [`Self::take_untold`] has not returned yet.
    pub fn is_untold(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Return the failures that were not returned before, oldest first.
    pub fn take_untold(&self) -> Vec<String> {
        // In a forked process, a thread that does not exist there may hold the lock.
        let Some(mut state) = self.state.try_lock() else { return Vec::new() };
        self.waits.store(false, Ordering::Release);
        std::mem::take(&mut state.untold)
    }

    /// Run a job that no caller waits for. Keep an error or a panic, and return false after either.
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

    /// Keep a failure, and report it if it is new.
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

/// Run a job and return a panic as an error. The locks here do not poison: every change under a
/// lock either takes effect as a whole, by its last statement, or can be repeated.
pub(crate) fn caught<T, E: ToString>(job: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    let result = panic::catch_unwind(AssertUnwindSafe(job));
    result.map_err(|panic| panicked(&*panic)).and_then(|result| result.map_err(|error| error.to_string()))
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    if let Some(missing) = panic.downcast_ref::<NoMemory>() {
        return missing.to_string();
    }
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
