//! The threads that fit a codec.

use std::sync::{Mutex, PoisonError};

/// Threads to fit a codec on, lent by the caller.
pub trait Crew: Sync {
    /// Call `run` once for each of `0..items`, on any threads and in any order. Once the caller
    /// wants to stop, the rest may be left out.
    fn each(&self, items: usize, run: &(dyn Fn(usize) + Sync));
}

/// This thread alone.
pub struct Alone;

impl Crew for Alone {
    fn each(&self, items: usize, run: &(dyn Fn(usize) + Sync)) {
        (0..items).for_each(run);
    }
}

impl dyn Crew + '_ {
    /// Call `make` for each of `0..items`, and return what it made in this order; what was left out
    /// is the default.
    pub(crate) fn map<T: Default + Send>(&self, items: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let made: Vec<Mutex<T>> = (0..items).map(|_| Mutex::default()).collect();
        // A lock is taken once, so that a panic elsewhere never leaves half a value behind it.
        self.each(items, &|item| *made[item].lock().unwrap_or_else(PoisonError::into_inner) = make(item));
        made.into_iter().map(|value| value.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves out all but the first.
    struct Lazy;

    impl Crew for Lazy {
        fn each(&self, items: usize, run: &(dyn Fn(usize) + Sync)) {
            (0..items.min(1)).for_each(run);
        }
    }

    #[test]
    fn what_was_made_is_in_order() {
        let crew: &dyn Crew = &Alone;
        assert_eq!(crew.map(4, |item| item * item), [0, 1, 4, 9]);
        let crew: &dyn Crew = &Lazy;
        assert_eq!(crew.map(3, |item| item + 7), [7, 0, 0]);
    }
}
