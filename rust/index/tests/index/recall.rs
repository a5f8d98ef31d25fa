//! A walk with 200 candidates finds at least 95 of 100 true neighbours, whatever the data looks like.

use tiercel_index::{Metric, Options, Storage};

use crate::common::data::{Random, clustered, far_apart, of_many_lengths, repeated, shuffled};
use crate::common::{FLAT, METRICS, built, exact, optimize, options, recall, walked};

const DIM: usize = 24;

/// Just enough for a graph, and a few that are asked for and not there.
const ROWS: usize = FLAT + 500;
const ASKED: usize = 100;

/// Check the index of all vectors but some, asked for those and for as many that are there.
fn holds(options: &Options, vectors: &[f32]) {
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
}

fn holds_for(metrics: &[Metric], dim: usize, vectors: &[f32]) {
    for metric in metrics {
        holds(&options(dim, *metric), vectors);
    }
}

/// Metrics under which the nearest of a vector are like it. Under the inner product they are the longest, and where those are
/// all alike, or all on one side, a walk with 200 candidates may end among the wrong ones.
const ALIKE: [Metric; 2] = [Metric::Cosine, Metric::L2];

#[test]
fn of_clusters() {
    holds_for(&METRICS, DIM, &clustered(ROWS, DIM, 100, 1));
}

#[test]
fn of_clusters_with_any_storage() {
    for storage in [Storage::Sq4, Storage::Sq8, Storage::Raw] {
        for metric in METRICS {
            holds(&Options { storage, ef_construction: 80, ..options(96, metric) }, &clustered(ROWS, 96, 100, 1));
        }
    }
}

#[test]
fn of_clusters_with_few_neighbours() {
    for metric in METRICS {
        holds(&Options { m: 4, ..options(DIM, metric) }, &clustered(ROWS, DIM, 100, 1));
    }
}

#[test]
fn of_no_clusters() {
    holds_for(&METRICS, DIM, &Random(1).normals(ROWS * DIM));
}

#[test]
fn of_each_vector_fifty_times_in_a_row() {
    holds_for(&ALIKE, DIM, &repeated(&clustered(ROWS / 50, DIM, 30, 1), DIM, 50));
}

#[test]
fn of_each_vector_fifty_times_in_no_order() {
    holds_for(&ALIKE, DIM, &shuffled(&repeated(&clustered(ROWS / 50, DIM, 30, 1), DIM, 50), DIM, 2));
}

#[test]
fn of_equal_vectors() {
    holds_for(&METRICS, DIM, &Random(1).normals(DIM).repeat(ROWS));
}

#[test]
fn of_one_dimension() {
    holds_for(&METRICS, 1, &Random(1).normals(ROWS));
}

#[test]
fn of_a_line() {
    let mut random = Random(1);
    let direction = random.normals(DIM);
    let scales = random.normals(ROWS);
    let line: Vec<f32> = scales.iter().flat_map(|scale| direction.iter().map(move |value| scale * value)).collect();
    holds_for(&METRICS, DIM, &line);
}

#[test]
fn of_two_clusters_far_apart() {
    holds_for(&ALIKE, DIM, &far_apart(ROWS, DIM, 1));
    holds_for(&ALIKE, DIM, &shuffled(&far_apart(ROWS, DIM, 1), DIM, 2));
}

#[test]
fn of_lengths_a_thousand_times_apart() {
    holds_for(&METRICS, DIM, &of_many_lengths(ROWS, DIM, 1));
}
