//! Exact search returns the true nearest: those of a model in double precision.

use std::sync::atomic::AtomicBool;

use tiercel_index::{Dtype, Filter, Metric, Options, SearchSettings, Work};
use tiercel_simd::Level;

use crate::common::data::{Random, clustered};
use crate::common::model::Model;
use crate::common::{METRICS, built, exact, new, options, search};

/// One row at a time, partly filled panels, and more than one block of queries on two threads.
const QUERIES: [usize; 4] = [1, 7, 131, 530];

/// Not a multiple of any block, and enough rows for codes, which must not matter.
const ROWS: usize = 1317;

fn check(options: &Options, rows: usize, k: usize) {
    let dim = options.dim;
    let vectors = clustered(rows, dim, 20, 1);
    let (index, model) = (built(options.clone(), &vectors), Model::of(options, &vectors));
    for queries in QUERIES {
        let queries = clustered(queries, dim, 20, 2);
        model.assert_nearest(&queries, k, |_| true, &exact(&index, &queries, k, None));
    }
}

#[test]
fn equals_the_model_in_every_dimension() {
    for metric in METRICS {
        for (dtype, dims) in [(Dtype::F32, &[1, 3, 64, 200][..]), (Dtype::F16, &[3, 200])] {
            for &dim in dims {
                check(&Options { dtype, ..options(dim, metric) }, ROWS, 10);
            }
        }
    }
}

#[test]
fn more_than_there_are_gives_all() {
    for metric in METRICS {
        for (rows, k) in [(1, 1), (1, 5), (40, 41), (40, usize::MAX), (400, 400), (400, usize::MAX)] {
            check(&options(5, metric), rows, k);
        }
    }
}

#[test]
fn an_empty_index_gives_nothing() {
    for metric in METRICS {
        let index = new(options(3, metric));
        let found = exact(&index, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 10, None);
        assert_eq!((found.k, found.ids, found.distances, found.counts), (0, vec![], vec![], vec![0, 0]));
    }
}

#[test]
fn no_queries_and_no_results_asked_for_give_nothing() {
    let index = built(options(3, METRICS[0]), &clustered(40, 3, 2, 1));
    let found = exact(&index, &[], 10, None);
    assert_eq!((found.k, found.ids, found.counts), (10, vec![], vec![]));
    let found = exact(&index, &[1.0, 2.0, 3.0], 0, None);
    assert_eq!((found.k, found.ids, found.counts), (0, vec![], vec![0]));
}

#[test]
fn a_vector_is_its_own_nearest() {
    for dtype in [Dtype::F32, Dtype::F16] {
        for metric in [METRICS[0], METRICS[2]] {
            let options = Options { dtype, ..options(17, metric) };
            let vectors = Random(3).normals(17 * 300);
            let index = built(options, &vectors);
            let queries = crate::common::quietly(|_| index.get(&index.ids()).expect("ids of the index"));
            let found = exact(&index, &queries, 1, None);
            assert_eq!(found.ids, index.ids());
            assert!(found.distances.iter().all(|distance| *distance < 1e-6), "{metric:?} {dtype:?}");
        }
    }
}

#[test]
fn no_threads_are_one() {
    let index = built(options(2, METRICS[2]), &clustered(50, 2, 5, 1));
    let (queries, stop) = (clustered(7, 2, 5, 2), AtomicBool::new(false));
    let settings = SearchSettings { k: 3, recall: Some(1.0), ..SearchSettings::default() };
    let [none, one] = [0, 1].map(|threads| {
        let work = Work::quiet(threads, &stop);
        let within = index.range_search(&queries, 1.0, None, &work).expect("queries that can be searched");
        (index.search(&queries, &settings, &work).expect("queries that can be searched"), within)
    });
    assert_eq!(none, one);
}

/// Tiles of several queries sum in another order than single rows, so each may rank rows first that
/// differ by a rounding error.
#[test]
fn a_batch_finds_what_each_query_finds() {
    let (dim, near, ties) = (384, 5, 12);
    let mut random = Random(3);
    let base = random.normals(dim);
    let scaled = |factor: f32| base.iter().map(move |value| factor * value);
    let mut vectors: Vec<f32> = (0..near).flat_map(|row| scaled(2.0 + row as f32)).collect();
    for _ in 0..ties {
        vectors.extend(base.iter().map(|value| f32::from_bits(value.to_bits() ^ random.below(2) as u32)));
    }
    vectors.extend((0..200).flat_map(|_| scaled(-1.0)));
    let index = built(options(dim, Metric::Dot), &vectors);
    let queries: Vec<f32> = (0..60).flat_map(|_| &base).map(|value| value + 0.5 * random.normal()).collect();
    let batch = exact(&index, &queries, near + ties / 2, None);
    let alone: Vec<u64> = queries.chunks_exact(dim).flat_map(|query| exact(&index, query, batch.k, None).ids).collect();
    assert_eq!(batch.ids, alone);
}

/// Many queries that are asked for a recall are compared in tiles of bytes, if the machine has these and
/// that costs less; a filter, few queries or a number of candidates change that.
#[test]
fn a_large_batch_is_answered_exactly_where_that_costs_less() {
    let dim = 48;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (vectors, queries) = (clustered(4000, dim, 40, 1), clustered(150 * cores, dim, 40, 2));
    let options = options(dim, METRICS[0]);
    let (index, model) = (built(options.clone(), &vectors), Model::of(&options, &vectors));
    let has_tiles = Level::active() == Ok(Level::Avx512);
    let (most, half, tenth) =
        ((0..3500).collect::<Vec<u64>>(), (0..2000).collect::<Vec<u64>>(), (0..400).collect::<Vec<u64>>());
    let recall = SearchSettings { k: 10, recall: Some(0.99), ..SearchSettings::default() };
    let is_exact = |queries: &[f32], settings: &SearchSettings<'_>| search(&index, queries, settings).exact;
    assert_eq!(is_exact(&queries, &recall), has_tiles);
    assert!(!is_exact(&queries[..20 * dim], &recall), "few queries");
    let alone = |work: &Work<'_>| index.search(&queries, &recall, work).unwrap().exact;
    let stop = AtomicBool::new(false);
    assert!([1, 3, 50].iter().all(|threads| alone(&Work::quiet(*threads, &stop)) == has_tiles), "any threads");
    assert!(!is_exact(&queries, &SearchSettings { recall: None, ef_search: Some(300), ..recall }), "candidates");
    assert!(!is_exact(&queries, &SearchSettings { k: 17, ..recall }), "many results");
    let filtered = |ids| SearchSettings { filter: Some(Filter::Ids(ids)), ..recall };
    assert!(!is_exact(&queries, &filtered(&half)), "fewer codes than full vectors");
    let found = search(&index, &queries, &filtered(&most));
    assert_eq!(found.exact, has_tiles);
    if has_tiles {
        model.assert_nearest(&queries, 10, |id| id < 3500, &found);
    }
    // Among few vectors, every search is exact.
    assert!(is_exact(&queries, &filtered(&tenth)));
}
