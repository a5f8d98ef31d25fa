//! A coded vector can represent itself in a comparison.

use tiercel_quant::{Geometry, ScalarQuery};

use crate::scalar::Bits;
use crate::{BITS, DIMS, Fitted, GEOMETRIES, ROUNDING, sum};

#[test]
fn squares_are_the_same_both_ways_and_nothing_to_itself() {
    for dim in DIMS {
        for bits in BITS {
            let geometry = Geometry::Square;
            let fitted = Fitted::new(dim, bits, geometry, 30.0);
            let codes: Vec<Vec<u8>> = fitted.rows[..12].iter().map(|row| fitted.codec.row(row)).collect();
            let mut query = ScalarQuery::default();
            let mut keys = Vec::new();
            for row in &codes {
                fitted.codec.prepare_row(row, &mut query);
                keys.push(codes.iter().map(|other| fitted.codec.key(&query, other)).collect::<Vec<i32>>());
            }
            let transposed: Vec<Vec<i32>> =
                (0..codes.len()).map(|other| keys.iter().map(|row| row[other]).collect()).collect();
            assert_eq!(keys, transposed, "dim {dim} {bits:?}");
            assert!(keys.iter().enumerate().all(|(own, row)| row[own] == 0), "dim {dim} {bits:?}");
        }
    }
}

#[test]
fn eight_bits_of_a_square_are_those_of_the_vector() {
    for dim in DIMS {
        let fitted = Fitted::new(dim, Bits::Eight, Geometry::Square, 3.0);
        let (mut query, mut coded) = (ScalarQuery::default(), ScalarQuery::default());
        for row in &fitted.rows {
            fitted.codec.prepare(row, &mut query);
            fitted.codec.prepare_row(&fitted.codec.row(row), &mut coded);
            let apart = query.codes().iter().zip(coded.codes()).map(|(a, b)| a.abs_diff(*b)).max();
            // A value halfway between two codes may be rounded either way.
            assert!(apart <= Some(1), "dim {dim}");
        }
    }
}

#[test]
fn products_are_those_of_the_decoded_vector() {
    for dim in DIMS {
        for bits in BITS {
            for base in [0.0, 1.0] {
                for centre in [0.0, 30.0] {
                    let geometry = Geometry::Product { base };
                    assert_products(&Fitted::new(dim, bits, geometry, centre), base);
                }
            }
        }
    }
}

fn assert_products(fitted: &Fitted, base: f32) {
    let mut query = ScalarQuery::default();
    for row in &fitted.rows[..6] {
        fitted.codec.prepare_row(&fitted.codec.row(row), &mut query);
        let own = fitted.decoded(row);
        let largest = own.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        for other in &fitted.rows[..6] {
            let decoded = fitted.decoded(other);
            let product = sum(own.iter().zip(&decoded).map(|(a, b)| a * b));
            let products = sum(own.iter().zip(&decoded).map(|(a, b)| (a * b).abs()));
            let spread = decoded.iter().zip(fitted.codec.mean()).map(|(x, mean)| x - f64::from(*mean));
            let bound = largest / 127.0 / 2.0 * sum(spread.map(f64::abs)) + ROUNDING * (1.0 + products);
            let key = fitted.codec.key(&query, &fitted.codec.row(other));
            let error = f64::from(fitted.codec.distance(&query, key)) - (f64::from(base) - product);
            let (dim, bits) = (row.len(), fitted.codec.bits());
            assert!(error.abs() <= bound, "dim {dim} {bits:?}: off by {error}, not {bound}");
        }
    }
}

#[test]
fn memory_of_a_query_can_be_used_again() {
    let mut used = ScalarQuery::default();
    for dim in [1000, 3, 129] {
        for bits in BITS {
            for geometry in GEOMETRIES {
                let fitted = Fitted::new(dim, bits, geometry, 1.0);
                let mut fresh = ScalarQuery::default();
                for row in &fitted.rows[..3] {
                    fitted.codec.prepare(row, &mut used);
                    fitted.codec.prepare(row, &mut fresh);
                    assert_eq!(
                        (used.codes(), fitted.codec.distance(&used, 9)),
                        (fresh.codes(), fitted.codec.distance(&fresh, 9))
                    );
                    let codes = fitted.codec.row(row);
                    fitted.codec.prepare_row(&codes, &mut used);
                    fitted.codec.prepare_row(&codes, &mut fresh);
                    assert_eq!(
                        (used.codes(), fitted.codec.distance(&used, 9)),
                        (fresh.codes(), fitted.codec.distance(&fresh, 9))
                    );
                }
            }
        }
    }
}
