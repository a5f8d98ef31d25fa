//! The long forms of tests: their length, from the environment, and their progress, on stdout.

use std::io::{self, Write};

/// Read a number from the environment; without one, the test takes its short form.
pub(crate) fn size(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Return the seed of the long forms; each seed draws different cases.
pub(crate) fn seed() -> u64 {
    size("TIERCEL_SEED").unwrap_or(0)
}

/// Counts the cases of a test. In the long form, every hundred cases it prints a line `progress
/// WHAT DONE TOTAL`.
pub(crate) struct Tally {
    what: &'static str,
    done: u64,
    total: u64,
    long: bool,
}

impl Tally {
    pub(crate) fn new(what: &'static str, total: u64, long: bool) -> Self {
        Self { what, done: 0, total, long }
    }

    pub(crate) fn add(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(100) {
            self.tell();
        }
    }

    fn tell(&self) {
        if self.long {
            // One write, so that concurrent tests do not print in between.
            let line = format!("\nprogress {} {} {}\n", self.what, self.done, self.total.max(self.done));
            let _ = io::stdout().write_all(line.as_bytes());
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.tell();
    }
}
