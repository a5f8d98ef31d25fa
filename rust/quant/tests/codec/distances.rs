//! A distance by code is as near to the true one as the rounding of row and query allows.

use tiercel_quant::{Geometry, Rotation, ScalarQuery};

use crate::scalar::{Bits, from_parts};
use crate::{BITS, DIMS, Fitted, GEOMETRIES, ROUNDING, normals, sum};

fn true_distance(geometry: Geometry, query: &[f32], row: &[f32]) -> f64 {
    let pairs = query.iter().zip(row).map(|(q, x)| (f64::from(*q), f64::from(*x)));
    match geometry {
        Geometry::Product { base } => f64::from(base) - sum(pairs.map(|(q, x)| q * x)),
        Geometry::Square => sum(pairs.map(|(q, x)| (q - x).powi(2))),
    }
}

/// Return how far a distance by code may be from the true one.
fn bound(fitted: &Fitted, geometry: Geometry, query: &[f32], row: &[f32]) -> f64 {
    let (rotated_query, rotated, decoded) = (fitted.rotated(query), fitted.rotated(row), fitted.decoded(row));
    let norm = |values: &[f32]| sum(values.iter().map(|x| f64::from(*x).powi(2))).sqrt();
    let rounding = ROUNDING * (1.0 + norm(query) + norm(row)).powi(2);
    match geometry {
        // <q, x> - <q', x'> = <q, x - x'> + <q - q', x' - mean>, and q' is within half a step of q.
        Geometry::Product { .. } => {
            let largest = rotated_query.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let half = f64::from(largest) / 127.0 / 2.0;
            let of_row = rotated_query.iter().zip(rotated.iter().zip(&decoded));
            let of_query = decoded.iter().zip(fitted.codec.mean());
            sum(of_row.map(|(q, (x, decoded))| f64::from(q.abs()) * (f64::from(*x) - decoded).abs()))
                + half * sum(of_query.map(|(decoded, mean)| (decoded - f64::from(*mean)).abs()))
                + rounding
        }
        // ||q - x| - |q' - x'|| is at most |q - q'| + |x - x'|.
        Geometry::Square => {
            let fine = if fitted.codec.bits() == Bits::Four { 8.0 } else { 1.0 };
            let grid = f64::from(fitted.codec.step()) / fine;
            let of_query = rotated_query.iter().zip(fitted.codec.mean()).map(|(q, mean)| {
                let steps = (f64::from(*q) - f64::from(*mean)) / grid;
                ((steps - steps.round().clamp(-128.0, 127.0)).abs().max(0.5) * grid).powi(2)
            });
            let of_row = rotated.iter().zip(&decoded).map(|(x, decoded)| (f64::from(*x) - decoded).powi(2));
            let off = sum(of_query).sqrt() + sum(of_row).sqrt();
            off * (2.0 * true_distance(geometry, query, row).sqrt() + off) + rounding
        }
    }
}

#[test]
fn errors_are_within_the_bound() {
    for dim in DIMS {
        for bits in BITS {
            for geometry in GEOMETRIES {
                for centre in [0.0, 30.0] {
                    assert_within_bound(&Fitted::new(dim, bits, geometry, centre), geometry);
                }
            }
        }
    }
}

fn assert_within_bound(fitted: &Fitted, geometry: Geometry) {
    let mut prepared = ScalarQuery::default();
    let stranger = normals(fitted.rotation.dim(), 3.0, &mut 3);
    for query in [&fitted.rows[0], &fitted.rows[1], &stranger] {
        fitted.codec.prepare(query, &mut prepared);
        for row in &fitted.rows[..40] {
            let key = fitted.codec.key(&prepared, &fitted.codec.row(row));
            let error = f64::from(fitted.codec.distance(&prepared, key)) - true_distance(geometry, query, row);
            let bound = bound(fitted, geometry, query, row);
            let (dim, bits) = (row.len(), fitted.codec.bits());
            assert!(error.abs() <= bound, "dim {dim} {bits:?} {geometry:?}: off by {error}, not {bound}");
        }
    }
}

/// Return the root mean square error of distances between rows, divided by their standard
/// deviation.
fn relative_error(fitted: &Fitted, geometry: Geometry) -> f64 {
    let (mut prepared, mut errors, mut distances) = (ScalarQuery::default(), Vec::new(), Vec::new());
    for query in &fitted.rows[..20] {
        fitted.codec.prepare(query, &mut prepared);
        for row in &fitted.rows[20..80] {
            let key = fitted.codec.key(&prepared, &fitted.codec.row(row));
            let distance = true_distance(geometry, query, row);
            errors.push((f64::from(fitted.codec.distance(&prepared, key)) - distance).powi(2));
            distances.push(distance);
        }
    }
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    let spread = distances.iter().map(|distance| (distance - mean).powi(2)).sum::<f64>();
    (errors.iter().sum::<f64>() / spread).sqrt()
}

#[test]
fn errors_are_small_beside_the_differences_of_distances() {
    for dim in [64, 100, 384, 385, 1000] {
        for geometry in GEOMETRIES {
            for (bits, allowed) in [(Bits::Four, 0.25), (Bits::Eight, 0.03)] {
                let error = relative_error(&Fitted::new(dim, bits, geometry, 0.0), geometry);
                assert!(error < allowed, "dim {dim} {bits:?} {geometry:?}: {error}");
            }
        }
    }
}

#[test]
fn a_common_offset_costs_nothing() {
    for dim in [3, 100, 384] {
        for bits in BITS {
            let geometry = Geometry::Square;
            let (near, far) = (Fitted::new(dim, bits, geometry, 0.0), Fitted::new(dim, bits, geometry, 100.0));
            let (step, far_step) = (near.codec.step(), far.codec.step());
            assert!((far_step / step - 1.0).abs() < 0.05, "dim {dim} {bits:?}: steps {step} and {far_step}");
            let (error, far_error) = (relative_error(&near, geometry), relative_error(&far, geometry));
            assert!(far_error < error * 1.2, "dim {dim} {bits:?}: errors {error} and {far_error}");
        }
    }
}

#[test]
fn a_key_is_the_largest_within_its_distance() {
    for geometry in GEOMETRIES {
        for bits in BITS {
            let fitted = Fitted::new(100, bits, geometry, 1.0);
            let mut query = ScalarQuery::default();
            fitted.codec.prepare(&fitted.rows[0], &mut query);
            let apart = fitted.codec.distance(&query, 1001) - fitted.codec.distance(&query, 1000);
            assert!(apart > 0.0);
            for key in [-3000, -1, 0, 1, 40, 100_000] {
                let between = fitted.codec.distance(&query, key) + 0.5 * apart;
                assert_eq!(fitted.codec.key_within(&query, between), key, "{geometry:?} {bits:?}");
            }
        }
    }
}

#[test]
fn a_codec_is_its_parts() {
    for bits in BITS {
        for geometry in GEOMETRIES {
            let codec = Fitted::new(65, bits, geometry, 2.0).codec;
            let again = from_parts(bits, geometry, Rotation::new(65, 7), codec.mean().to_vec(), codec.step());
            assert_eq!(again.parameters(), codec.parameters());
        }
    }
}
