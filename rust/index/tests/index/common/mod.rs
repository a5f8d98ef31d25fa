//! Shared by the tests: data from a seed, a model in double precision, and shorthands for calls of
//! an index.

pub(crate) mod container;
pub(crate) mod data;
pub(crate) mod model;

use std::sync::atomic::AtomicBool;

use tiercel_index::{Filter, Index, Matches, Metric, Options, SearchSettings, Work};

pub(crate) const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

/// An index with more vectors walks a graph.
pub(crate) const FLAT: usize = 8192;

/// The default options of tests.
pub(crate) const fn options(dim: usize, metric: Metric) -> Options {
    Options::new(dim, metric)
}

pub(crate) fn new(options: Options) -> Index {
    Index::new(options).expect("options within their ranges")
}

/// Build an index of vectors under counted ids.
pub(crate) fn built(options: Options, vectors: &[f32]) -> Index {
    let index = new(options);
    add(&index, vectors, None);
    index
}

pub(crate) fn add(index: &Index, vectors: &[f32], ids: Option<&[u64]>) -> Vec<u64> {
    quietly(|work| index.add(vectors.to_vec(), ids, work)).expect("vectors that can be added")
}

pub(crate) fn optimize(index: &Index) {
    quietly(|work| index.optimize(work)).expect("nobody stops it");
}

/// Call something on two threads that nobody stops.
pub(crate) fn quietly<R>(call: impl FnOnce(&Work<'_>) -> R) -> R {
    call(&Work::quiet(2, &AtomicBool::new(false)))
}

pub(crate) fn search(index: &Index, queries: &[f32], settings: &SearchSettings<'_>) -> Matches {
    quietly(|work| index.search(queries, settings, work)).expect("queries that can be searched")
}

/// Find the true nearest with the index.
pub(crate) fn exact(index: &Index, queries: &[f32], k: usize, filter: Option<Filter<'_>>) -> Matches {
    let matches = search(index, queries, &SearchSettings { k, recall: Some(1.0), filter, ..SearchSettings::default() });
    assert!(matches.exact, "recall 1 is exact search");
    matches
}

/// Find the nearest with a walk of `ef` candidates.
pub(crate) fn walked(index: &Index, queries: &[f32], k: usize, ef: usize) -> Matches {
    let settings = SearchSettings { k, ef_search: Some(ef), ..SearchSettings::default() };
    let matches = search(index, queries, &settings);
    assert!(!matches.exact, "a search with {ef} candidates is a walk or a scan of codes");
    matches
}

/// Return the share of results no farther than the true farthest; any of equal distances may be
/// found.
pub(crate) fn recall(found: &Matches, truth: &Matches) -> f64 {
    /// The relative rounding error of equal distances, and the absolute one of cosine distances.
    const ROUNDING: f32 = 1e-6;
    assert_eq!((found.k, &found.counts), (truth.k, &truth.counts));
    let rows = found.distances.chunks(found.k).zip(truth.distances.chunks(truth.k));
    let hits: usize = rows
        .map(|(found, truth)| {
            let farthest = truth.last().copied().unwrap_or(f32::INFINITY);
            let farthest = farthest + ROUNDING * (1.0 + farthest.abs());
            found.iter().filter(|distance| **distance <= farthest).count()
        })
        .sum();
    hits as f64 / truth.distances.len() as f64
}
