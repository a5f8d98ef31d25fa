//! Every sample and every vector of finite values can be coded, however strange.

use tiercel_quant::{Geometry, Rotation, ScalarQuery};

use crate::scalar::{Bits, from_parts, train};
use crate::{BITS, GEOMETRIES, normals};

const DIMS: [usize; 6] = [1, 2, 3, 64, 129, 1000];

/// Fit, encode and compare. Return the distance of the first row from the last, by vector and by
/// code.
fn distances(dim: usize, bits: Bits, geometry: Geometry, sample: &[f32], rows: [&[f32]; 2]) -> [f32; 2] {
    let codec = train(bits, geometry, Rotation::new(dim, 7), sample);
    assert!(codec.step().is_normal() && codec.step() > 0.0);
    let codes = rows.map(|row| codec.row(row));
    let (mut query, mut coded) = (ScalarQuery::default(), ScalarQuery::default());
    codec.prepare(rows[0], &mut query);
    codec.prepare_row(&codes[0], &mut coded);
    [query, coded].map(|query| codec.distance(&query, codec.key(&query, &codes[1])))
}

fn each(mut check: impl FnMut(usize, Bits, Geometry)) {
    for dim in DIMS {
        for bits in BITS {
            for geometry in GEOMETRIES {
                check(dim, bits, geometry);
            }
        }
    }
}

#[test]
fn equal_rows() {
    each(|dim, bits, geometry| {
        let row = normals(dim, 3.0, &mut 1);
        let product: f32 = row.iter().map(|value| value * value).sum();
        for distance in distances(dim, bits, geometry, &row.repeat(50), [&row, &row]) {
            // Four bits have no code at the mean: each value is half a step off, and a step is 1
            // without spread.
            let off = if bits == Bits::Four { 0.51 * (dim as f32).sqrt() } else { 0.0 };
            let (expected, allowed) = match geometry {
                Geometry::Product { base } => {
                    (base - product, 0.02 * (1.0 + product) + off * (2.0 * product.sqrt() + off))
                }
                Geometry::Square => (0.0, off * off),
            };
            let error = (distance - expected).abs();
            assert!(error <= allowed, "dim {dim} {bits:?} {geometry:?}: {distance}, expected {expected}");
        }
    });
}

#[test]
fn nothing_but_zeros() {
    each(|dim, bits, geometry| {
        let zeros = vec![0.0; dim];
        for distance in distances(dim, bits, geometry, &zeros.repeat(9), [&zeros, &zeros]) {
            assert!(distance.is_finite(), "dim {dim} {bits:?} {geometry:?}: {distance}");
        }
    });
}

#[test]
fn no_sample_and_a_sample_of_one() {
    each(|dim, bits, geometry| {
        let row = normals(dim, 1.0, &mut 1);
        for sample in [&[][..], &row] {
            for distance in distances(dim, bits, geometry, sample, [&row, &row]) {
                assert!(distance.is_finite(), "dim {dim} {bits:?} {geometry:?}: {distance}");
            }
        }
    });
}

#[test]
fn huge_and_tiny_values() {
    each(|dim, bits, geometry| {
        let usual = normals(50 * dim, 1.0, &mut 2);
        for scale in [f32::MAX / 7.0, 1e30, 1e19, 1e-19, 1e-30, f32::MIN_POSITIVE, 1e-44] {
            let sample: Vec<f32> = normals(50 * dim, 1.0, &mut 1).iter().map(|value| value * scale).collect();
            let (first, last) = (&sample[..dim], &sample[49 * dim..]);
            distances(dim, bits, geometry, &sample, [first, last]);
            // Also use codecs fitted to other vectors.
            distances(dim, bits, geometry, &usual, [first, &usual[..dim]]);
            distances(dim, bits, geometry, &usual, [&usual[..dim], last]);
            distances(dim, bits, geometry, &sample, [&usual[..dim], &usual[49 * dim..]]);
        }
    });
}

#[test]
fn the_largest_values_there_are() {
    each(|dim, bits, geometry| {
        let mut sample = vec![f32::MAX; 4 * dim];
        sample[dim..2 * dim].fill(f32::MIN);
        sample[2 * dim..3 * dim].fill(0.0);
        for row in sample.chunks(dim) {
            for other in sample.chunks(dim) {
                distances(dim, bits, geometry, &sample, [row, other]);
            }
        }
    });
}

#[test]
fn parts_that_no_codec_gave() {
    each(|dim, bits, geometry| {
        let row = normals(dim, 1.0, &mut 1);
        for strange in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -1.0, 1e-45, f32::MAX] {
            for (mean, step) in [(0.0, strange), (strange, 1.0), (strange, strange)] {
                let codec = from_parts(bits, geometry, Rotation::new(dim, 7), vec![mean; dim], step);
                let codes = codec.row(&row);
                let mut query = ScalarQuery::default();
                codec.prepare(&row, &mut query);
                codec.prepare_row(&codes, &mut query);
            }
        }
    });
}
