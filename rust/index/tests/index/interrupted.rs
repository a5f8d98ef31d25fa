//! A stopped operation leaves the index as it was, and can be repeated.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tiercel_index::{
    AddError, BuildError, Filter, Index, Interrupted, Metric, Options, SearchError, SearchSettings, Storage, Work,
};

use crate::common::data::clustered;
use crate::common::{FLAT, add, built, exact, new, optimize, options, search};

const DIM: usize = 8;

fn vectors(rows: usize) -> Vec<f32> {
    clustered(rows, DIM, 30, 1)
}

/// All that a user can see of an index.
#[derive(Debug, PartialEq)]
struct Seen {
    len: usize,
    ids: Vec<u64>,
    vectors: Vec<f32>,
    exact: Vec<u64>,
    distances: Vec<f32>,
    counts: Vec<u64>,
}

fn seen(index: &Index) -> Seen {
    let (ids, queries) = (index.ids(), clustered(20, DIM, 30, 2));
    let found = exact(index, &queries, 10, None);
    let approximate = search(index, &queries, &SearchSettings { k: 10, ..SearchSettings::default() });
    assert_eq!(approximate.counts, found.counts);
    Seen {
        len: index.len(),
        vectors: index.get(&ids).expect("ids of the index"),
        ids,
        exact: found.ids,
        distances: found.distances,
        counts: found.counts,
    }
}

/// Check an addition that may have been stopped: it is complete or absent, and the index still
/// works.
fn assert_all_or_nothing(index: &Index, before: &Seen, all: &[f32], result: Result<Vec<u64>, AddError>) {
    if let Ok(ids) = result {
        assert_eq!(index.len(), before.len + ids.len());
        return;
    }
    assert_eq!(result, Err(AddError::Interrupted));
    assert_eq!(seen(index), *before);
    let loaded = Index::from_bytes(&index.to_bytes().unwrap()).expect("the index can be saved and loaded");
    assert_eq!(seen(&loaded), *before);
    let (old, new) = all.split_at(before.len * DIM);
    let (rows, more) = (before.len as u64, (new.len() / DIM) as u64);
    let ids = add(index, new, None);
    let taken = ids[0] - rows;
    assert!(taken == 0 || taken == more, "{taken} ids were counted by the addition that was stopped");
    assert_eq!(ids, (rows + taken..rows + taken + more).collect::<Vec<u64>>());
    assert_eq!(add(&loaded, new, None), ids, "a file keeps what counting continues from");
    let whole = built(index.options().clone(), old);
    add(&whole, new, Some(&ids));
    for index in [index, &loaded] {
        assert_eq!(seen(index), seen(&whole));
        assert_eq!(index.stats().storage, whole.stats().storage);
    }
}

const SIZES: [(usize, usize); 5] = [(0, FLAT + 300), (600, FLAT), (1500, 3000), (5000, 5000), (FLAT + 100, 1000)];

fn small(storage: Storage) -> Options {
    Options { m: 4, ef_construction: 20, storage, ..options(DIM, Metric::L2) }
}

#[test]
fn additions_stopped_at_several_points_of_their_progress() {
    for (rows, more) in SIZES {
        let all = vectors(rows + more);
        for (storage, at) in [(Storage::Auto, 1), (Storage::Raw, more / 2)] {
            let index = built(small(storage), &all[..rows * DIM]);
            let before = seen(&index);
            let stop = AtomicBool::new(false);
            let progress = |done: usize, _: usize| {
                stop.fetch_or(done >= at, Ordering::Relaxed);
            };
            let work = Work { threads: 2, stop: &stop, progress: &progress };
            let result = index.add(all[rows * DIM..].to_vec(), None, &work);
            assert_all_or_nothing(&index, &before, &all, result);
        }
    }
}

#[test]
fn additions_stopped_at_any_time() {
    for (rows, more) in SIZES {
        let all = vectors(rows + more);
        for spins in [100, 100_000] {
            let index = built(small(Storage::Auto), &all[..rows * DIM]);
            let before = seen(&index);
            let stop = AtomicBool::new(false);
            let result = thread::scope(|scope| {
                scope.spawn(|| {
                    (0..spins).for_each(|_| std::hint::spin_loop());
                    stop.store(true, Ordering::Relaxed);
                });
                index.add(all[rows * DIM..].to_vec(), None, &Work::quiet(2, &stop))
            });
            assert_all_or_nothing(&index, &before, &all, result);
        }
    }
}

#[test]
fn an_addition_that_is_stopped_before_it_begins() {
    for (rows, more) in [(0, 2000), (600, 1000), (FLAT + 100, 1000)] {
        let all = vectors(rows + more);
        let index = built(options(DIM, Metric::Cosine), &all[..rows * DIM]);
        let before = seen(&index);
        let stop = AtomicBool::new(true);
        let result = index.add(all[rows * DIM..].to_vec(), None, &Work::quiet(2, &stop));
        assert_eq!(result, Err(AddError::Interrupted), "{rows} rows and {more} more");
        assert_eq!(seen(&index), before, "{rows} rows and {more} more");
    }
}

#[test]
fn an_addition_that_another_thread_stops() {
    let index = built(options(DIM, Metric::L2), &vectors(1500));
    let before = seen(&index);
    let (stop, begun, told) = (AtomicBool::new(false), Barrier::new(2), AtomicBool::new(false));
    let progress = |done, total| {
        if done > total / 4 && !told.swap(true, Ordering::Relaxed) {
            begun.wait();
        }
    };
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            begun.wait();
            stop.store(true, Ordering::Relaxed);
        });
        // Large enough to be far from its end when it must stop.
        index.add(vectors(4 * FLAT), None, &Work { threads: 2, stop: &stop, progress: &progress })
    });
    assert_eq!(result, Err(AddError::Interrupted));
    assert_eq!(seen(&index), before);
}

#[test]
fn an_optimization() {
    let stop = AtomicBool::new(true);
    // The last 200 are not yet in the graph.
    let index = new(options(DIM, Metric::Dot));
    add(&index, &vectors(FLAT + 500), None);
    add(&index, &vectors(200), None);
    assert_eq!(index.stats().linked, FLAT + 500);
    let before = seen(&index);
    assert_eq!(index.optimize(&Work::quiet(2, &stop)), Err(BuildError::Interrupted(Interrupted)));
    assert_eq!(seen(&index), before);
    optimize(&index);
    assert_eq!((seen(&index), index.stats().linked), (before, FLAT + 700));
}

#[test]
fn a_search() {
    let stop = AtomicBool::new(true);
    let work = Work::quiet(2, &stop);
    for rows in [40, 1500, FLAT + 300] {
        let index = built(options(DIM, Metric::Cosine), &vectors(rows));
        let before = seen(&index);
        let queries = vectors(300);
        let mask = vec![1; rows];
        for filter in [None, Some(Filter::Mask(&mask))] {
            for recall in [None, Some(1.0)] {
                let settings = SearchSettings { k: 5, recall, filter, ..SearchSettings::default() };
                assert_eq!(index.search(&queries, &settings, &work), Err(SearchError::Interrupted));
            }
            let ranged = index.range_search(&queries, 1.0, filter.as_ref(), &work);
            assert_eq!(ranged, Err(SearchError::Interrupted));
        }
        let one = SearchSettings { k: 5, recall: Some(1.0), ..SearchSettings::default() };
        assert_eq!(index.search(&queries[..DIM], &one, &work), Err(SearchError::Interrupted));
        assert_eq!(seen(&index), before);
    }
}
