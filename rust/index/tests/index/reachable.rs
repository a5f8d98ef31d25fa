//! After `optimize` every vector is linked, can be reached, and is found.

use tiercel_index::{Index, Metric, Storage};

use crate::common::container::Container;
use crate::common::data::{Random, clustered, far_apart, repeated, shuffled};
use crate::common::{FLAT, METRICS, built, optimize, options, walked};

const ROWS: usize = FLAT + 800;
const DIM: usize = 16;

/// How many nodes of level 0 can be reached from the entry point, as the saved index has them.
fn reachable(index: &Index) -> usize {
    let file = Container::of(&index.to_bytes());
    let (meta, links, upper) = (file.numbers(b"META"), file.numbers(b"LNK0"), file.numbers(b"LNKU"));
    let (m, linked) = (meta[2] as usize, meta[8] as usize);
    let (stride, upper_stride) = ((2 * m).next_multiple_of(16), m.next_multiple_of(16));
    let levels: Vec<usize> = file.numbers(b"LEVL").chunks(2).map(|nodes| nodes[0] as usize).collect();
    let mut node = meta[11] as usize;
    let mut end = upper.len();
    for nodes in levels.iter().rev() {
        let start = end - nodes * (2 + upper_stride);
        node = upper[start + nodes + node] as usize;
        end = start;
    }
    let mut reached = vec![false; linked];
    reached[node] = true;
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        for &next in links[node * stride..][..stride].iter().take_while(|next| **next != u32::MAX) {
            if !std::mem::replace(&mut reached[next as usize], true) {
                open.push(next as usize);
            }
        }
    }
    reached.iter().filter(|reached| **reached).count()
}

#[test]
fn every_node_is_reachable() {
    for metric in METRICS {
        for m in [2, 16] {
            for (name, vectors) in [
                ("clustered", clustered(ROWS, DIM, 100, 1)),
                ("duplicated", repeated(&clustered(ROWS / 50, DIM, 20, 1), DIM, 50)),
                ("duplicated, in no order", shuffled(&repeated(&clustered(ROWS / 50, DIM, 20, 1), DIM, 50), DIM, 2)),
                ("equal", Random(1).normals(DIM).repeat(ROWS)),
                ("far apart", far_apart(ROWS, DIM, 1)),
            ] {
                let index = built(tiercel_index::Options { m, ..options(DIM, metric) }, &vectors);
                let before = reachable(&index);
                optimize(&index);
                let rows = vectors.len() / DIM;
                assert_eq!(index.stats().linked, rows);
                eprintln!("{metric:?}, m {m}, {name}: {before} {} of {rows}", reachable(&index));
            }
        }
    }
}

#[test]
fn every_vector_is_found() {
    for metric in [Metric::Cosine, Metric::L2] {
        for storage in [Storage::Auto, Storage::Sq4, Storage::Sq8, Storage::Raw] {
            let vectors = clustered(ROWS, DIM, 100, 1);
            let index = built(tiercel_index::Options { storage, ..options(DIM, metric) }, &vectors);
            optimize(&index);
            let found = walked(&index, &vectors, 1, 290);
            let missed = found.ids.iter().zip(0..).filter(|(id, own)| *id != own).count();
            eprintln!("{metric:?} {storage:?}: {missed} missed");
        }
    }
}
