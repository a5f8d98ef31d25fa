//! The budget of a search, and what it has spent.
//!
//! Searches count as they go: a walk per node, a scan per row, or per block if it compares several
//! queries. Every few thousand distances, or after a block of more, they check whether to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::errors::Interrupted;

/// Distances between two checks of the clock.
const UNCHECKED: u64 = 4096;

/// The budget of a search. Once it is spent, the search returns the nearest found so far, and
/// [`Trace::ended`] says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    /// When the call must end. It may overrun by the time of a few thousand distances; an exact
    /// search of several queries by that of a block: 64 KiB of rows with up to 256 queries.
    pub deadline: Option<Instant>,
    /// Most distances to compute per query, not counting the rescoring of candidates. A walk may
    /// exceed it by the neighbours of one node, a scan by the rows of one block.
    pub distances: Option<u64>,
    /// Whether to time the stages.
    pub timed: bool,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// It completed.
    #[default]
    Done,
    /// It had computed the allowed number of distances.
    Distances,
    /// It had reached the deadline.
    Deadline,
}

/// The work of a search, summed over its queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    /// Nodes of the graph whose neighbours were visited.
    pub nodes: u64,
    /// Distances computed by code; in full precision without codes and in exact scans.
    pub distances: u64,
    /// Distances computed again in full precision.
    pub rescored: u64,
    /// Bytes of links, codes and vectors read, counting repeated reads.
    pub bytes: u64,
    /// How much farther the last kept candidate was, by code, than the `k`-th result; the least of
    /// all queries. With a smaller gap, a wider search is more likely to find something nearer.
    /// Infinity if nothing could be missed.
    pub gap: f32,
    /// Why it ended; for several queries, the greatest value of [`Ended`].
    pub ended: Ended,
    /// Time in each stage, if [`Budget::timed`].
    pub seconds: Seconds,
}

/// Seconds in each stage of a search, summed over queries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds {
    /// Preparing the query for comparisons with codes.
    pub prepare: f64,
    /// Walking or scanning.
    pub candidates: f64,
    /// Rescoring the candidates in full precision.
    pub rescore: f64,
}

impl Default for Trace {
    fn default() -> Self {
        let (ended, seconds) = (Ended::default(), Seconds::default());
        Self { nodes: 0, distances: 0, rescored: 0, bytes: 0, gap: f32::INFINITY, ended, seconds }
    }
}

impl Trace {
    /// Add the work of another search.
    pub fn add(&mut self, other: &Self) {
        self.nodes += other.nodes;
        self.distances += other.distances;
        self.rescored += other.rescored;
        self.bytes += other.bytes;
        self.gap = self.gap.min(other.gap);
        self.ended = self.ended.max(other.ended);
        self.seconds.prepare += other.seconds.prepare;
        self.seconds.candidates += other.seconds.candidates;
        self.seconds.rescore += other.seconds.rescore;
    }
}

/// Counts the work of one query, or of several that are scanned together.
pub(crate) struct Meter<'a> {
    pub(crate) trace: Trace,
    budget: Budget,
    stop: Option<&'a AtomicBool>,
    /// Number of distances at which to check whether to stop next.
    check_at: u64,
    interrupted: bool,
    /// When the current stage began, if stages are timed.
    began: Option<Instant>,
}

impl Meter<'static> {
    /// Make a meter for unlimited work, as in the walks of a build.
    pub(crate) fn unlimited() -> Self {
        let budget = Budget::default();
        Self { trace: Trace::default(), budget, stop: None, check_at: u64::MAX, interrupted: false, began: None }
    }
}

impl<'a> Meter<'a> {
    pub(crate) fn new(budget: Budget, stop: &'a AtomicBool) -> Self {
        let began = budget.timed.then(Instant::now);
        let mut meter =
            Meter { trace: Trace::default(), budget, stop: Some(stop), check_at: 0, interrupted: false, began };
        meter.check_at = meter.next_check();
        meter
    }

    /// Count a node and its compared neighbours. Return whether to stop.
    #[inline(always)]
    pub(crate) fn node(&mut self, compared: usize) -> bool {
        self.trace.nodes += 1;
        self.compared(compared)
    }

    /// Count distances. Return whether to stop.
    #[inline(always)]
    pub(crate) fn compared(&mut self, distances: usize) -> bool {
        self.trace.distances += distances as u64;
        self.trace.distances >= self.check_at && self.is_over()
    }

    #[cold]
    fn is_over(&mut self) -> bool {
        self.interrupted |= self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        if self.budget.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.trace.ended = Ended::Deadline;
        } else if self.budget.distances.is_some_and(|most| self.trace.distances >= most) {
            self.trace.ended = Ended::Distances;
        }
        self.check_at = self.next_check();
        self.has_ended()
    }

    fn next_check(&self) -> u64 {
        let next = self.trace.distances + UNCHECKED;
        self.budget.distances.map_or(next, |most| next.min(most))
    }

    /// Whether the search was told to stop, or its budget is spent.
    pub(crate) fn has_ended(&self) -> bool {
        self.interrupted || self.trace.ended != Ended::Done
    }

    /// Return an error if the search was told to stop.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.interrupted { Err(Interrupted) } else { Ok(()) }
    }

    /// End a stage, and add its time to the field that `stage` chooses.
    #[inline(always)]
    pub(crate) fn end_stage(&mut self, stage: impl FnOnce(&mut Seconds) -> &mut f64) {
        if let Some(began) = self.began {
            let now = Instant::now();
            *stage(&mut self.trace.seconds) += (now - began).as_secs_f64();
            self.began = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Count distances in steps of ten until the meter says to stop; at most a million.
    fn run(budget: Budget, stop: bool) -> (u64, Meter<'static>) {
        static STOP: AtomicBool = AtomicBool::new(true);
        static GO: AtomicBool = AtomicBool::new(false);
        let mut meter = Meter::new(budget, if stop { &STOP } else { &GO });
        while meter.trace.distances < 1_000_000 && !meter.node(10) {}
        (meter.trace.distances, meter)
    }

    #[test]
    fn without_a_budget_nothing_ends() {
        let (distances, meter) = run(Budget::default(), false);
        assert_eq!(
            (distances, meter.has_ended(), meter.check(), meter.trace.nodes),
            (1_000_000, false, Ok(()), 100_000)
        );
    }

    #[test]
    fn distances_end_at_their_number() {
        for most in [0, 5, 10, 4095, 123_456] {
            let (distances, meter) = run(Budget { distances: Some(most), ..Budget::default() }, false);
            assert_eq!((distances, meter.trace.ended), (most.max(1).next_multiple_of(10), Ended::Distances));
        }
    }

    #[test]
    fn a_deadline_ends_at_the_next_look() {
        let budget = Budget { deadline: Some(Instant::now()), ..Budget::default() };
        let (distances, meter) = run(budget, false);
        assert_eq!((distances, meter.trace.ended), (UNCHECKED.next_multiple_of(10), Ended::Deadline));
        let budget = Budget { deadline: Some(Instant::now() + Duration::from_hours(1)), ..budget };
        assert!(!run(budget, false).1.has_ended());
    }

    #[test]
    fn a_stop_is_an_error() {
        let (distances, meter) = run(Budget::default(), true);
        assert_eq!((distances, meter.check()), (UNCHECKED.next_multiple_of(10), Err(Interrupted)));
    }
}
