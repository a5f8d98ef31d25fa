//! `RaBitQ` keeps the direction of a vector as well as its bits allow, and estimates distances
//! without bias.

use tiercel_quant::{CodecKind, Geometry, Rotation, Training, factors};
use tiercel_simd::{Level, packed, packed1, packed2};

use crate::every_codec::Compared;
use crate::{DIMS, GEOMETRIES, normals, same_everywhere::hash, sum};

const KINDS: [(CodecKind, u32); 4] =
    [(CodecKind::Rabitq1, 1), (CodecKind::Rabitq2, 2), (CodecKind::Rabitq3, 3), (CodecKind::Rabitq4, 4)];

/// Return the rows of vectors, and their distances from the first vector and from the first row.
fn compared(
    kind: CodecKind,
    geometry: Geometry,
    seed: u64,
    sample: &[f32],
    vectors: &[f32],
    dim: usize,
) -> (Vec<Vec<u8>>, [Vec<f32>; 2]) {
    kind.train(Training::alone(geometry, Rotation::new(dim, seed), sample))
        .accept(Compared { level: Level::Scalar, vectors })
}

/// Return the levels of a row: odd numbers around 0.
fn levels(bits: u32, row: &[u8], dim: usize) -> Vec<f64> {
    let (codes, _) = factors::split::<2>(row);
    let mut values = vec![0; dim];
    match bits {
        1 => packed1::unpack(codes, &mut values),
        2 => packed2::unpack(codes, &mut values),
        3 => {
            let (high, low) = codes.split_at(packed2::bytes(dim));
            let mut lowest = vec![0; dim];
            packed2::unpack(high, &mut values);
            packed1::unpack(low, &mut lowest);
            for (value, lowest) in values.iter_mut().zip(lowest) {
                *value = 2 * *value + lowest;
            }
        }
        _ => packed::unpack(codes, &mut values),
    }
    let top = f64::from((1 << bits) - 1);
    values.into_iter().map(|code| 2.0 * f64::from(code) - top).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| sum(a.iter().zip(b).map(|(x, y)| x * y));
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// Return the largest cosine that levels can have with a vector: as the step shrinks, one level
/// after the other grows by 2, and the best are met on the way.
fn largest_cosine(bits: u32, vector: &[f64]) -> f64 {
    let sizes: Vec<f64> = vector.iter().map(|value| value.abs()).collect();
    let top = (1 << bits) - 1;
    let mut grows: Vec<(f64, usize)> = Vec::new();
    for (at, size) in sizes.iter().enumerate().filter(|(_, size)| **size > 0.0) {
        grows.extend((2..top).step_by(2).map(|level| (f64::from(level) / size, at)));
    }
    grows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut level = vec![1.0; sizes.len()];
    let (mut product, mut square) = (sizes.iter().sum::<f64>(), sizes.len() as f64);
    let mut best = product / square.sqrt();
    for (_, at) in grows {
        product += 2.0 * sizes[at];
        square += 4.0 * (level[at] + 1.0);
        level[at] += 2.0;
        best = best.max(product / square.sqrt());
    }
    best / sum(sizes.iter().map(|size| size * size)).sqrt()
}

#[test]
fn codes_have_nearly_the_nearest_direction() {
    for dim in DIMS {
        for (kind, bits) in KINDS {
            let vectors = normals(20 * dim, 1.0, &mut (dim as u64));
            // Without a sample, the mean is 0.
            let (rows, _) = compared(kind, GEOMETRIES[0], 7, &[], &vectors, dim);
            let mut lost = 0.0;
            for (vector, row) in vectors.chunks_exact(dim).zip(&rows) {
                let mut rotated = vector.to_vec();
                Rotation::new(dim, 7).apply(&mut rotated);
                let rotated: Vec<f64> = rotated.into_iter().map(f64::from).collect();
                let (got, best) = (cosine(&levels(bits, row, dim), &rotated), largest_cosine(bits, &rotated));
                assert!(got <= best + 1e-6, "dim {dim} {kind:?}: {got} above {best}");
                lost += (best - got) / 20.0;
            }
            // Steps between those tried matter for few values only.
            let allowed = if dim < 64 { 0.02 } else { 0.0005 };
            assert!(lost < allowed, "dim {dim} {kind:?}: {lost} below the largest cosine");
        }
    }
}

#[test]
fn estimates_are_right_on_average() {
    const ROTATIONS: u64 = 60;
    let dim = 100;
    let centre = normals(dim, 2.0, &mut 5);
    let row = |seed: u64| -> Vec<f32> {
        normals(dim, 1.0, &mut { seed }).iter().zip(&centre).map(|(value, centre)| value + centre).collect()
    };
    let sample: Vec<f32> = (0..50).flat_map(|at| row(100 + at)).collect();
    let vectors: Vec<f32> = (0..12).flat_map(|at| row(at + 1)).collect();
    let pairs = |a: usize, b: usize| vectors[a * dim..][..dim].iter().zip(&vectors[b * dim..][..dim]);
    for geometry in GEOMETRIES {
        let mut before = f64::INFINITY;
        for (kind, _) in KINDS {
            let mut errors = Vec::new();
            for seed in 0..ROTATIONS {
                let (_, [by_query, _]) = compared(kind, geometry, seed, &sample, &vectors, dim);
                for (at, distance) in by_query.into_iter().enumerate().skip(1) {
                    let terms = pairs(0, at).map(|(q, x)| (f64::from(*q), f64::from(*x)));
                    let truth = match geometry {
                        Geometry::Product { base } => f64::from(base) - sum(terms.map(|(q, x)| q * x)),
                        Geometry::Square => sum(terms.map(|(q, x)| (q - x).powi(2))),
                    };
                    errors.push(f64::from(distance) - truth);
                }
            }
            let count = errors.len() as f64;
            let mean = errors.iter().sum::<f64>() / count;
            let error = (errors.iter().map(|error| error * error).sum::<f64>() / count).sqrt();
            // Four standard errors of the mean.
            assert!(mean.abs() < 4.0 * error / count.sqrt(), "{kind:?} {geometry:?}: {mean} with errors of {error}");
            assert!(error < before / 1.6, "{kind:?} {geometry:?}: errors of {error} after {before}");
            before = error;
        }
    }
}

#[test]
fn the_error_of_a_product_shrinks_with_the_query() {
    let dim = 100;
    let vectors: Vec<f32> = normals(200 * dim, 1.0, &mut 3).iter().map(|value| value + 1.0).collect();
    for (kind, _) in KINDS {
        let keys = |by: f32| {
            let query = normals(dim, by, &mut 4);
            let (_, [by_query, _]) = compared(kind, GEOMETRIES[0], 7, &vectors, &[&query, &vectors[..]].concat(), dim);
            by_query[1..].iter().map(|key| key / by).collect::<Vec<f32>>()
        };
        let whole = keys(1.0);
        for by in [1e-20, 1e-3, 1e3, 1e20] {
            for (one, other) in keys(by).iter().zip(&whole) {
                assert!((one - other).abs() <= 1e-3 * other.abs().max(1.0), "{kind:?} times {by}: {one}, {other}");
            }
        }
    }
}

#[test]
fn rows_compared_with_rows_estimate_the_same() {
    let dim = 385;
    let vectors = normals(60 * dim, 1.0, &mut 3);
    for geometry in GEOMETRIES {
        let (_, [by_query, by_row]) = compared(CodecKind::Rabitq4, geometry, 7, &vectors, &vectors, dim);
        let mean = by_query[1..].iter().sum::<f32>() / 59.0;
        let spread = by_query[1..].iter().map(|distance| (distance - mean).powi(2)).sum::<f32>();
        let apart = by_query[1..].iter().zip(&by_row[1..]).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        assert!(apart < 0.05 * spread, "{geometry:?}: {apart} of {spread}");
    }
}

#[test]
fn a_row_takes_its_bits_and_two_floats() {
    for (kind, bits) in KINDS {
        let bytes = |dim: usize| kind.train(Training::alone(GEOMETRIES[2], Rotation::new(dim, 7), &[])).row_bytes();
        assert_eq!(bytes(384), 48 * bits as usize + 8, "{kind:?}");
        assert_eq!(bytes(1), if bits == 3 { 10 } else { 9 }, "{kind:?}");
    }
}

#[test]
fn equal_rows_are_at_their_distances() {
    for dim in DIMS {
        let row = normals(dim, 3.0, &mut 1);
        let query = normals(dim, 1.0, &mut 2);
        let (sample, vectors) = (row.repeat(50), [query.clone(), row.clone(), row.clone()].concat());
        for geometry in GEOMETRIES {
            let terms = query.iter().zip(&row).map(|(q, x)| (f64::from(*q), f64::from(*x)));
            let truth = match geometry {
                Geometry::Product { base } => f64::from(base) - sum(terms.map(|(q, x)| q * x)),
                Geometry::Square => sum(terms.map(|(q, x)| (q - x).powi(2))),
            };
            for (kind, _) in KINDS {
                let (_, [by_query, _]) = compared(kind, geometry, 7, &sample, &vectors, dim);
                let error = (f64::from(by_query[1]) - truth).abs();
                let size = sum(query.iter().chain(&row).map(|value| f64::from(*value).powi(2)));
                assert!(error <= 1e-4 * (1.0 + size), "dim {dim} {kind:?} {geometry:?}: off by {error}");
                assert!(by_query[1].to_bits() == by_query[2].to_bits(), "equal rows");
            }
        }
    }
}

/// A saved index holds codes and is read on other machines, so no change to them may go unnoticed.
#[test]
fn codes_and_distances_are_the_same_on_every_machine() {
    let hashes = KINDS.map(|(kind, _)| {
        [GEOMETRIES[1], GEOMETRIES[2]].map(|geometry| {
            let bytes = DIMS.iter().flat_map(|dim| {
                let vectors = normals(30 * dim, 1.0, &mut (*dim as u64));
                let (rows, distances) = compared(kind, geometry, 7, &vectors, &vectors, *dim);
                let distances = distances.concat().into_iter().flat_map(f32::to_le_bytes);
                rows.concat().into_iter().chain(distances).collect::<Vec<u8>>()
            });
            hash(bytes)
        })
    });
    let expected = [
        [0x5107_eb91_3693_2bee, 0xfad5_30e8_cdb9_d39c],
        [0xfcfb_d18c_2978_9b89, 0xca3c_0288_23b3_3168],
        [0x2227_2092_d967_cfa6, 0x9902_b6e8_78de_8427],
        [0xfd98_5012_6377_6f8c, 0x3191_c0c6_b07a_022d],
    ];
    assert_eq!(hashes, expected, "{hashes:#x?}");
}
