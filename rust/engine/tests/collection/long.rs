//! The long forms of tests: how long, from the environment, and how far they are, on stdout.

use std::io::{self, Write};

/// A number from the environment; where there is none, the test is to be short.
pub(crate) fn size(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Where long forms begin to draw their cases: another seed, other cases.
pub(crate) fn seed() -> u64 {
    size("TIERCEL_SEED").unwrap_or(0)
}

/// Counts what a test looks at; a long form tells each hundred of them on a line `progress WHAT DONE TOTAL`.
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
            // One write, so that tests beside this one do not get in between.
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
