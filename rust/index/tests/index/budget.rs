//! A search keeps to its budget and reports its work.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tiercel_index::{Budget, Ended, Index, Matches, Metric, SearchSettings, Trace, Work};

use crate::common::data::clustered;
use crate::common::{FLAT, built, optimize, options, search};

const DIM: usize = 16;
const ROWS: usize = FLAT + 3000;
const EF: usize = 40;

fn index() -> Index {
    let index = built(options(DIM, Metric::L2), &clustered(ROWS, DIM, 50, 1));
    optimize(&index);
    index
}

fn within(index: &Index, queries: usize, settings: &SearchSettings<'_>, budget: Budget) -> (Matches, Trace) {
    let stop = AtomicBool::new(false);
    let queries = clustered(queries, DIM, 50, 2);
    index.search_within(&queries, settings, budget, &Work::quiet(1, &stop)).expect("queries that can be searched")
}

const fn walk(k: usize) -> SearchSettings<'static> {
    SearchSettings { k, ef_search: Some(EF), recall: None, filter: None }
}

const fn exact(k: usize) -> SearchSettings<'static> {
    SearchSettings { k, ef_search: None, recall: Some(1.0), filter: None }
}

#[test]
fn a_walk_says_what_it_did() {
    let index = index();
    let (found, trace) = within(&index, 1, &walk(10), Budget::default());
    assert!(!found.exact);
    assert!((EF as u64..200).contains(&trace.nodes), "{trace:?}");
    assert!(trace.distances > trace.nodes && trace.distances < ROWS as u64 / 2, "{trace:?}");
    assert!((10..=EF as u64).contains(&trace.rescored), "{trace:?}");
    // 32 neighbours of 4 bytes per node; one cache line per code; 4 bytes per value.
    let bytes = 128 * trace.nodes + 64 * trace.distances + 4 * DIM as u64 * trace.rescored;
    assert_eq!((trace.bytes, trace.ended), (bytes, Ended::Done));
    assert!(trace.gap > 0.0 && trace.gap.is_finite(), "{trace:?}");
    assert_eq!(trace.seconds, tiercel_index::Seconds::default(), "nobody asked for times");
    let (again, many) = within(&index, 7, &walk(10), Budget { timed: true, ..Budget::default() });
    assert_eq!(again.distances[..10], found.distances);
    assert!(many.nodes >= 7 * EF as u64 && many.gap <= trace.gap);
    assert!(many.seconds.prepare > 0.0 && many.seconds.candidates > 0.0 && many.seconds.rescore > 0.0);
}

#[test]
fn an_exact_search_compares_every_vector() {
    let index = index();
    for queries in [1, 7] {
        let (found, trace) = within(&index, queries, &exact(10), Budget::default());
        assert!(found.exact);
        assert_eq!((trace.nodes, trace.distances), (0, (queries * ROWS) as u64));
        assert!(trace.gap.is_infinite(), "nothing is missed");
    }
}

#[test]
fn distances_are_kept_to_and_what_was_found_comes_back() {
    let index = index();
    let full = search(&index, &clustered(3, DIM, 50, 2), &walk(10));
    for most in [0, 1, 300] {
        let budget = Budget { distances: Some(most), ..Budget::default() };
        let (found, trace) = within(&index, 3, &walk(10), budget);
        assert_eq!(trace.ended, Ended::Distances);
        assert!(trace.distances <= 3 * (most + 32), "{trace:?}");
        assert!(found.distances[0] >= full.distances[0]);
    }
    let budget = Budget { distances: Some(1 << 30), ..Budget::default() };
    let (found, trace) = within(&index, 3, &walk(10), budget);
    assert_eq!((found, trace.ended), (full, Ended::Done));
    for queries in [1, 3] {
        let budget = Budget { distances: Some(5000), ..Budget::default() };
        let (found, trace) = within(&index, queries, &exact(10), budget);
        assert_eq!((found.exact, trace.ended), (false, Ended::Distances));
        assert!(trace.distances < (queries * ROWS) as u64);
    }
}

#[test]
fn a_deadline_that_has_passed_ends_a_scan() {
    let index = index();
    let budget = Budget { deadline: Some(Instant::now()), ..Budget::default() };
    let (found, trace) = within(&index, 1, &exact(10), budget);
    assert_eq!((found.exact, trace.ended), (false, Ended::Deadline));
    assert_eq!(found.counts, [10], "the results so far");
}
