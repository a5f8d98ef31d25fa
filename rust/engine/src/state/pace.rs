//! Keeping writers from getting far ahead of the graph.
//!
//! ```text
//! vectors outside the graph   0      half of the most      the most               one and a half
//! an upsert waits             not    longer and longer     as long as linking     longer and
//!                                                          its vectors takes      longer again
//! ```
//!
//! Searches compare these vectors one by one, and closing leaves them to the next opening. So the most
//! is [`MOST`], or as many as a search can read in [`READ`] bytes: two or three milliseconds.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::state::vectors::Vectors;

/// The most vectors outside the graph that writers may let gather without paying for it.
const MOST: usize = 30_000;

/// Bytes of them that a search may read.
const READ: usize = 24 << 20;

/// How many times as long it waits at most: far beyond the most, as when a compaction keeps the background
/// from the graph, writes slow down more and more.
const LONGEST: f64 = 10.0;

/// Nanoseconds that linking a vector takes, until a move has told.
const GUESSED: u64 = 50_000;

/// The last move counts as one in this many.
const PAST: u64 = 4;

/// How fast vectors get into the graph, and who waits for that.
#[derive(Default)]
pub(crate) struct Pace {
    /// Nanoseconds in which the background links a vector, mostly by its last moves; 0 before the first.
    each: AtomicU64,
    /// Upserts that wait.
    waiting: AtomicUsize,
    moves: Mutex<()>,
    moved: Condvar,
}

impl Pace {
    /// Note that vectors were moved into the graph.
    pub(crate) fn moved(&self, vectors: usize, took: Duration) {
        if vectors > 0 {
            let (each, before) = (took.as_nanos() as u64 / vectors as u64, self.each.load(Ordering::Relaxed));
            // A move that surveys the graph takes far longer than others.
            let each = if before == 0 { each } else { before - before / PAST + each / PAST };
            self.each.store(each, Ordering::Relaxed);
        }
        let _moves = self.moves.lock();
        self.moved.notify_all();
    }

    /// Return how long it takes to link this many vectors.
    pub(crate) fn linking(&self, vectors: usize) -> Duration {
        let each = self.each.load(Ordering::Relaxed);
        Duration::from_nanos(if each == 0 { GUESSED } else { each } * vectors as u64)
    }

    /// Return how long an upsert of `new` vectors should wait.
    pub(crate) fn pause(&self, new: usize, vectors: &Vectors) -> Duration {
        self.pause_at(new, vectors.fresh(), most(vectors))
    }

    /// The same if `behind` are outside the graph, of at most `most`.
    fn pause_at(&self, new: usize, behind: usize, most: usize) -> Duration {
        let half = most / 2;
        if behind <= half {
            return Duration::ZERO;
        }
        let share = (behind - half) as f64 / (most - half).max(1) as f64;
        // The graph may be behind for a moment only, as during a checkpoint.
        let share = share.min((share / 2.0).max(1.0)).min(LONGEST);
        let linking = self.linking(new).as_nanos() as f64;
        // Several writers share the pace.
        let writers = self.waiting.load(Ordering::Relaxed) + 1;
        Duration::from_nanos((linking * share * writers as f64) as u64)
    }

    /// Wait until `vectors` returns some that are not behind, at most this long. Return whether they
    /// still are.
    pub(crate) fn wait(&self, at_most: Duration, vectors: impl Fn() -> Option<Vectors>) -> bool {
        let is_behind = || vectors().is_some_and(|vectors| vectors.fresh() > most(&vectors) / 2);
        let mut moves = self.moves.lock();
        if !is_behind() {
            return false;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.moved.wait_for(&mut moves, at_most);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        is_behind()
    }
}

/// Return the most vectors outside the graph.
fn most(vectors: &Vectors) -> usize {
    MOST.min(READ / vectors.scanned_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_from_half_of_the_most_on() {
        let pace = Pace::default();
        let pause = |behind| pace.pause_at(1000, behind, 40_000);
        assert_eq!(pause(40_000), Duration::from_millis(50), "before anything was linked");
        pace.moved(10_000, Duration::from_secs(1));
        assert_eq!(pause(20_000), Duration::ZERO);
        assert_eq!(pause(30_000), Duration::from_millis(50));
        assert_eq!(pause(40_000), Duration::from_millis(100));
        assert_eq!(pause(60_000), Duration::from_millis(100));
        assert_eq!(pause(80_000), Duration::from_millis(150));
        assert_eq!(pause(100_000), Duration::from_millis(200));
        assert_eq!(pause(1_000_000), Duration::from_secs(1));
        pace.moved(0, Duration::from_secs(1));
        pace.moved(10_000, Duration::from_secs(5));
        assert_eq!(pause(40_000), Duration::from_millis(200), "one slow move of four");
        pace.moved(10_000, Duration::ZERO);
        assert_eq!(pause(40_000), Duration::from_millis(150));
        pace.waiting.store(1, Ordering::Relaxed);
        assert_eq!(pause(40_000), Duration::from_millis(300), "shared by two");
    }
}
