//! After `optimize`, every vector is linked, reachable and found.

use tiercel_index::{CodecKind, Index, Metric, Options, Storage};

use crate::common::container::Container;
use crate::common::data::{Random, clustered, far_apart, repeated, shuffled};
use crate::common::{FLAT, METRICS, add, built, optimize, options, walked};

const ROWS: usize = FLAT + 800;
const DIM: usize = 16;

/// Nearly the number of candidates from which a scan of all codes is cheaper than a walk.
const WIDE: usize = 150;

/// Count the nodes of level 0 that are reachable from the entry point in the saved index.
fn reachable(index: &Index) -> usize {
    let file = Container::of(&index.to_bytes().unwrap());
    let (meta, links, upper) = (file.numbers(*b"META"), file.numbers(*b"LNK0"), file.numbers(*b"LNKU"));
    let (m, linked) = (meta[2] as usize, meta[8] as usize);
    let (stride, upper_stride) = ((2 * m).next_multiple_of(16), m.next_multiple_of(16));
    let levels: Vec<usize> = file.numbers(*b"LEVL").chunks(2).map(|nodes| nodes[0] as usize).collect();
    let mut roots = vec![meta[11]];
    let mut end = upper.len();
    for nodes in levels.into_iter().rev() {
        let start = end - nodes * (2 + upper_stride);
        let (below, links) = upper[start + nodes..end].split_at(nodes);
        roots = spread(links, upper_stride, &roots).iter().map(|node| below[*node as usize]).collect();
        end = start;
    }
    let reached = spread(&links, stride, &roots).len();
    assert!(reached <= linked);
    reached
}

/// Return all nodes of a level that are reachable from `roots`.
fn spread(links: &[u32], stride: usize, roots: &[u32]) -> Vec<u32> {
    let mut seen = vec![false; links.len() / stride];
    let mut open = roots.to_vec();
    let mut reached = Vec::new();
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut seen[node as usize], true) {
            reached.push(node);
            open.extend(links[node as usize * stride..][..stride].iter().take_while(|next| **next != u32::MAX));
        }
    }
    reached
}

fn assert_all_reachable(m: usize, metric: Metric, vectors: &[f32]) {
    let index = built(Options { m, ef_construction: 60, ..options(DIM, metric) }, vectors);
    optimize(&index);
    let rows = vectors.len() / DIM;
    assert_eq!((index.stats().linked, reachable(&index)), (rows, rows), "m {m}, {metric:?}");
}

#[test]
fn every_node_of_clusters() {
    for metric in METRICS {
        for m in [2, 16] {
            assert_all_reachable(m, metric, &clustered(ROWS, DIM, 100, 1));
        }
    }
}

#[test]
fn every_node_of_duplicates() {
    let vectors = repeated(&clustered(ROWS / 50, DIM, 20, 1), DIM, 50);
    for metric in METRICS {
        for m in [2, 16] {
            assert_all_reachable(m, metric, &vectors);
        }
        assert_all_reachable(5, metric, &shuffled(&vectors, DIM, 2));
    }
}

#[test]
fn every_node_of_equal_vectors() {
    for metric in METRICS {
        for m in [2, 16] {
            assert_all_reachable(m, metric, &Random(1).normals(DIM).repeat(ROWS));
        }
    }
}

#[test]
fn every_node_of_clusters_far_apart() {
    for metric in METRICS {
        for m in [2, 16] {
            assert_all_reachable(m, metric, &far_apart(ROWS, DIM, 1));
        }
    }
}

#[test]
fn every_vector_finds_itself() {
    for metric in [Metric::Cosine, Metric::L2] {
        for storage in [Storage::Auto, Storage::Raw] {
            let vectors = clustered(ROWS, DIM, 100, 1);
            let index = built(Options { storage, ef_construction: 60, ..options(DIM, metric) }, &vectors);
            optimize(&index);
            let found = walked(&index, &vectors, 1, WIDE);
            assert_eq!(found.ids, index.ids(), "{metric:?} {storage:?}");
        }
    }
}

#[test]
fn every_vector_finds_its_duplicates() {
    let vectors = repeated(&clustered(ROWS / 5, DIM, 20, 1), DIM, 5);
    for metric in [Metric::Cosine, Metric::L2] {
        // Eight bits distinguish vectors that four would not.
        let index = built(Options { storage: Storage::Codes(CodecKind::Sq8), ..options(DIM, metric) }, &vectors);
        optimize(&index);
        let found = walked(&index, &vectors, 5, WIDE);
        for (row, ids) in found.ids.chunks(5).enumerate() {
            let first = (row - row % 5) as u64;
            assert!((first..first + 5).all(|id| ids.contains(&id)), "{metric:?}, row {row}: {ids:?}");
        }
    }
}

#[test]
fn vectors_not_yet_in_the_graph_are_found() {
    let vectors = clustered(ROWS + 200, DIM, 100, 1);
    let (linked, waiting) = vectors.split_at(ROWS * DIM);
    for metric in [Metric::Cosine, Metric::L2] {
        let index = built(options(DIM, metric), linked);
        let ids = add(&index, waiting, None);
        assert_eq!(index.stats().linked, ROWS);
        assert_eq!(walked(&index, waiting, 1, 100).ids, ids, "{metric:?}");
    }
}
