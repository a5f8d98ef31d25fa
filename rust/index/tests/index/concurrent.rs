//! While one thread adds and another removes, searches return correct results, each once, and miss
//! none.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tiercel_index::{Filter, Index, Matches, Metric, Options, SearchSettings};

use crate::common::data::{Random, clustered};
use crate::common::model::distance;
use crate::common::{FLAT, add, built, exact, optimize, options, quietly, search};

const DIM: usize = 12;
const K: usize = 10;

/// Vectors present all the time.
const STAY: usize = FLAT + 200;

/// Vectors present at first and removed one by one.
const LEAVE: usize = 400;

const BATCHES: usize = 4;
const BATCH: usize = 400;

const SEARCHERS: usize = 4;

/// All vectors that are ever added; ids are row numbers. Those to be removed come first.
struct Scene {
    options: Options,
    vectors: Vec<f32>,
    index: Index,
    /// Ids below it are already removed.
    removed: AtomicUsize,
    writers: AtomicUsize,
}

impl Scene {
    fn row(&self, id: u64) -> &[f32] {
        &self.vectors[id as usize * DIM..][..DIM]
    }

    fn add(&self) {
        for batch in 0..BATCHES {
            let ids: Vec<u64> = (0..BATCH as u64).map(|at| (LEAVE + STAY + batch * BATCH) as u64 + at).collect();
            add(&self.index, &self.vectors[ids[0] as usize * DIM..][..BATCH * DIM], Some(&ids));
        }
        quietly(|work| self.index.optimize(work)).expect("nobody stops it");
        self.writers.fetch_sub(1, Ordering::Release);
    }

    fn remove(&self) {
        for id in 0..LEAVE {
            assert_eq!(self.index.delete(&[id as u64]), 1);
            self.removed.store(id + 1, Ordering::Release);
            thread::yield_now();
        }
        self.writers.fetch_sub(1, Ordering::Release);
    }

    /// Search until everything is written, and a few more times.
    fn search(&self, seed: u64) {
        let mut random = Random(seed);
        let mut more = 3;
        while more > 0 {
            if self.writers.load(Ordering::Acquire) == 0 {
                more -= 1;
            }
            let removed = self.removed.load(Ordering::Acquire) as u64;
            let ids: Vec<u64> = (0..3).map(|_| (LEAVE + random.below(STAY)) as u64).collect();
            let queries: Vec<f32> = ids.iter().flat_map(|id| self.row(*id)).copied().collect();
            let truth = exact(&self.index, &queries, K, None);
            self.assert_right(&queries, &truth, removed);
            assert_there(&ids, &truth);
            let settings = SearchSettings { k: K, ef_search: Some(50), ..SearchSettings::default() };
            self.assert_right(&queries, &search(&self.index, &queries, &settings), removed);
            let few: Vec<u64> = (0..500).map(|_| random.below(LEAVE + STAY + BATCHES * BATCH) as u64).collect();
            let filter = Some(Filter::Ids(&few));
            let found = search(&self.index, &queries, &SearchSettings { filter, ..settings });
            self.assert_right(&queries, &found, removed);
            assert!(found.ids.iter().all(|id| few.contains(id)), "only what the filter allows");
            let own = Some(Filter::Ids(&ids));
            assert_there(&ids, &search(&self.index, &queries, &SearchSettings { k: 3, filter: own, ..settings }));
        }
    }

    /// Check for full rows of distinct ids that were not removed before, nearest first, with their
    /// distances.
    fn assert_right(&self, queries: &[f32], found: &Matches, removed: u64) {
        assert_eq!(found.k, K);
        assert!(found.counts.iter().all(|count| *count == K as u64), "{:?}", found.counts);
        for (query, row) in queries.chunks_exact(DIM).zip(0..) {
            let ids = &found.ids[row * K..][..K];
            let distances = &found.distances[row * K..][..K];
            assert!(distances.is_sorted(), "{distances:?}");
            assert!(ids.iter().all(|id| *id >= removed), "one of {ids:?} was removed");
            assert!((1..K).all(|at| !ids[..at].contains(&ids[at])), "one of {ids:?} occurs twice");
            for (id, got) in ids.iter().zip(distances) {
                distance(self.options.metric, query, self.row(*id)).assert_near(*got);
            }
        }
    }
}

/// Check that a search for the vectors of ids finds them.
fn assert_there(ids: &[u64], found: &Matches) {
    for (id, row) in ids.iter().zip(found.ids.chunks(found.k)) {
        assert!(row.contains(id), "{id} is missing from {row:?}");
    }
}

#[test]
fn searches_beside_additions_and_removals() {
    for metric in [Metric::Cosine, Metric::L2] {
        let options = Options { m: 8, ef_construction: 60, ..options(DIM, metric) };
        let vectors = clustered(LEAVE + STAY + BATCHES * BATCH, DIM, 50, 1);
        let index = built(options.clone(), &vectors[..(LEAVE + STAY) * DIM]);
        let scene = Scene { options, vectors, index, removed: AtomicUsize::new(0), writers: AtomicUsize::new(2) };
        thread::scope(|scope| {
            scope.spawn(|| scene.add());
            scope.spawn(|| scene.remove());
            for seed in 0..SEARCHERS as u64 {
                let scene = &scene;
                scope.spawn(move || scene.search(seed));
            }
        });
        let index = &scene.index;
        assert_eq!(index.len(), STAY + BATCHES * BATCH);
        let rows = (LEAVE as u64..(LEAVE + STAY + BATCHES * BATCH) as u64).step_by(50);
        let queries: Vec<f32> = rows.clone().flat_map(|id| scene.row(id)).copied().collect();
        assert_eq!(exact(index, &queries, 1, None).ids, rows.collect::<Vec<_>>());
    }
}

#[test]
fn writers_wait_for_each_other() {
    let index = crate::common::new(options(2, Metric::L2));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..8u64 {
            let (index, stop) = (&index, &stop);
            scope.spawn(move || {
                for round in 0..40 {
                    let vectors = vec![writer as f32, round as f32, 0.0, 0.0];
                    let work = tiercel_index::Work::quiet(1, stop);
                    let ids = index.add(vectors.clone(), None, &work).expect("vectors that can be added");
                    assert_eq!(index.get(&ids), Ok(vectors));
                    assert_eq!(index.delete(&ids[1..]), 1);
                }
            });
        }
    });
    assert_eq!((index.len(), index.slots()), (320, 640));
    assert!(index.ids().is_sorted(), "each id is counted once, in order");
}

/// A search for more vectors than the index holds returns all of them, even if nearer vectors are
/// added meanwhile.
#[test]
fn a_search_for_more_than_there_is_gives_all_that_was_there() {
    const FAR: u64 = 20;
    let index = crate::common::new(options(2, Metric::L2));
    add(&index, &vec![1.0; 2 * FAR as usize], Some(&(0..FAR).collect::<Vec<_>>()));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for id in FAR..6000 {
                add(&index, &[0.0, 0.0], Some(&[id]));
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let found = exact(&index, &[0.0, 0.0], 10_000, None);
                assert!((0..FAR).all(|id| found.ids.contains(&id)), "of {} found", found.ids.len());
            }
        });
    });
}

/// Changes an index at every write.
struct Meddler<'a> {
    index: &'a Index,
    written: Vec<u8>,
}

impl Write for Meddler<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written.is_empty() {
            let ids = add(self.index, &[1.0; DIM], None);
            self.index.delete(&[0]);
            self.index.delete(&ids);
            optimize(self.index);
        }
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn writers_wait_for_no_reader_and_a_reader_keeps_its_state() {
    let index = built(options(DIM, Metric::L2), &clustered(FLAT + 300, DIM, 9, 1));
    optimize(&index);
    let (before, bytes) = (index.len(), index.to_bytes().unwrap());
    let mut meddler = Meddler { index: &index, written: Vec::new() };
    index.write_to(&mut meddler).expect("memory takes all that is written");
    assert!(meddler.written == bytes, "the file is of one state");
    assert_eq!((index.len(), index.contains(0)), (before - 1, false));
}
