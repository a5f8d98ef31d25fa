//! The counters of a tier.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Counts;
use crate::log::Lost;

/// Counters of a tier that several threads add to at once.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) puts: Counter,
    pub(crate) evictions: Counter,
    pub(crate) refused: Counter,
    pub(crate) damaged: Counter,
    pub(crate) failures: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Add one.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Tally {
    /// Count a request for a key.
    pub(crate) fn asked(&self, found: bool) {
        if found { &self.hits } else { &self.misses }.one();
    }

    /// Count a value that could not be read.
    pub(crate) fn lost(&self, why: &Lost) {
        match why {
            Lost::Damaged => &self.damaged,
            Lost::Refused => &self.failures,
        }
        .one();
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            hits: self.hits.get(),
            misses: self.misses.get(),
            puts: self.puts.get(),
            evictions: self.evictions.get(),
            refused: self.refused.get(),
            damaged: self.damaged.get(),
            failures: self.failures.get(),
        }
    }
}
