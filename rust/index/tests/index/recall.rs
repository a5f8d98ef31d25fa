//! A search with 200 candidates finds at least 95 of 100 true neighbours for any data.

use tiercel_index::{CodecKind, Index, Kind, Metric, Options, SearchSettings, Storage};

use crate::common::data::{Random, clustered, far_apart, of_many_lengths, repeated, shuffled};
use crate::common::{FLAT, METRICS, built, exact, optimize, options, quietly, recall, search, walked};

const DIM: usize = 24;

/// Enough that a walk with this many candidates costs less than a scan, and a few to query that are
/// not in the index.
const ROWS: usize = FLAT + 3000;
const ASKED: usize = 100;

/// Check an index of all vectors except some, with queries for these and for as many that it
/// contains.
fn holds(options: &Options, vectors: &[f32]) -> Index {
    let every = vectors.len() / options.dim / ASKED;
    let (mut there, mut asked) = (Vec::new(), Vec::new());
    for (at, row) in vectors.chunks_exact(options.dim).enumerate() {
        if at % every == 0 { &mut asked } else { &mut there }.extend_from_slice(row);
        if at % every == 1 {
            asked.extend_from_slice(row);
        }
    }
    let index = built(options.clone(), &there);
    let truth = exact(&index, &asked, 10, None);
    for when in ["added", "optimized"] {
        assert_eq!(index.stats().linked, index.len(), "all vectors are in the graph");
        let reached = recall(&walked(&index, &asked, 10, 200), &truth);
        assert!(reached >= 0.95, "recall {reached} once {when}: {options:?}");
        optimize(&index);
    }
    index
}

/// Options for a graph that takes half the time to build; the default makes a better one.
fn of_less_effort(dim: usize, metric: Metric) -> Options {
    Options { ef_construction: 80, ..options(dim, metric) }
}

fn holds_for_every_metric(dim: usize, vectors: &[f32]) -> [Index; 3] {
    METRICS.map(|metric| holds(&of_less_effort(dim, metric), vectors))
}

/// Check that walks find this, without a scan in their place. A scan is allowed under the inner
/// product, where the nearest of a vector need not be like it.
fn by_walking(indexes: &[Index]) {
    for index in indexes.iter().filter(|index| index.options().metric != Metric::Dot) {
        let reached = index.stats().graph_recall.expect("a graph");
        assert!(reached >= 0.95, "recall of walks {reached}: {:?}", index.options());
    }
}

#[test]
fn of_clusters() {
    by_walking(&holds_for_every_metric(DIM, &clustered(ROWS, DIM, 100, 1)));
}

fn holds_with(storage: Storage) {
    for metric in METRICS {
        holds(&Options { storage, ..of_less_effort(48, metric) }, &clustered(ROWS, 48, 100, 1));
    }
}

#[test]
fn of_clusters_with_codes_of_4_bits() {
    holds_with(Storage::Codes(CodecKind::Sq4));
}

#[test]
fn of_clusters_with_codes_of_8_bits() {
    holds_with(Storage::Codes(CodecKind::Sq8));
}

#[test]
fn of_clusters_without_codes() {
    holds_with(Storage::Raw);
}

#[test]
fn of_clusters_with_few_neighbours() {
    for metric in METRICS {
        holds(&Options { m: 4, ..of_less_effort(DIM, metric) }, &clustered(ROWS, DIM, 100, 1));
    }
}

#[test]
fn of_no_clusters() {
    by_walking(&holds_for_every_metric(DIM, &Random(1).normals(ROWS * DIM)));
}

#[test]
fn of_each_vector_fifty_times_in_a_row() {
    by_walking(&holds_for_every_metric(DIM, &repeated(&clustered(ROWS / 50, DIM, 30, 1), DIM, 50)));
}

#[test]
fn of_each_vector_fifty_times_in_no_order() {
    by_walking(&holds_for_every_metric(DIM, &shuffled(&repeated(&clustered(ROWS / 50, DIM, 30, 1), DIM, 50), DIM, 2)));
}

#[test]
fn of_equal_vectors() {
    by_walking(&holds_for_every_metric(DIM, &Random(1).normals(DIM).repeat(ROWS)));
}

#[test]
fn of_one_dimension() {
    holds_for_every_metric(1, &Random(1).normals(ROWS));
}

#[test]
fn of_a_line() {
    let mut random = Random(1);
    let direction = random.normals(DIM);
    let scales = random.normals(ROWS);
    let line: Vec<f32> = scales.iter().flat_map(|scale| direction.iter().map(move |value| scale * value)).collect();
    holds_for_every_metric(DIM, &line);
}

#[test]
fn of_two_clusters_far_apart() {
    holds_for_every_metric(DIM, &far_apart(ROWS, DIM, 1));
}

#[test]
fn of_two_clusters_far_apart_in_no_order() {
    holds_for_every_metric(DIM, &shuffled(&far_apart(ROWS, DIM, 1), DIM, 2));
}

#[test]
fn of_lengths_a_thousand_times_apart() {
    by_walking(&holds_for_every_metric(DIM, &of_many_lengths(ROWS, DIM, 1)));
}

/// Replaced vectors stay in the graph as dead nodes with the ids of their successors.
#[test]
fn of_vectors_that_were_replaced_by_themselves() {
    let (count, dim) = (FLAT / 4, 16);
    let vectors = Random(5).normals(count * dim);
    let ids: Vec<u64> = (0..count as u64).collect();
    let index = Index::new(of_less_effort(dim, Metric::L2)).unwrap();
    for _ in 0..6 {
        quietly(|work| index.upsert(vectors.clone(), &ids, work)).unwrap();
    }
    let stats = index.stats();
    assert!(stats.tombstones > FLAT && stats.linked > FLAT, "a graph, most of it dead");
    let reached = stats.graph_recall.expect("a graph");
    assert!((0.9..=1.0).contains(&reached), "recall of walks {reached}");
    let loaded = Index::from_bytes(&index.to_bytes().unwrap()).unwrap();
    assert_eq!(loaded.stats().graph_recall, Some(reached));
}

/// Vectors with a common direction, and queries that point the other way: distances by code are off by
/// more than among the vectors themselves.
#[test]
fn of_scans_for_queries_unlike_all_vectors() {
    let dim = 64;
    let shifted = |rows: usize, shift: f32, seed: u64| -> Vec<f32> {
        let mut random = Random(seed);
        (0..rows * dim).map(|at| random.normal() + if at % dim == 5 { shift } else { 0.0 }).collect()
    };
    let (vectors, queries) = (shifted(4000, 8.0, 1), shifted(ASKED, -8.0, 2));
    for metric in METRICS {
        for codec in [CodecKind::Sq4, CodecKind::Sq8] {
            let index =
                built(Options { kind: Kind::Flat, storage: Storage::Codes(codec), ..options(dim, metric) }, &vectors);
            let truth = exact(&index, &queries, 10, None);
            let settings = SearchSettings { k: 10, ef_search: Some(400), ..SearchSettings::default() };
            let reached = recall(&search(&index, &queries, &settings), &truth);
            assert!(reached >= 0.998, "recall {reached}: {metric:?} {codec:?}");
        }
    }
}
