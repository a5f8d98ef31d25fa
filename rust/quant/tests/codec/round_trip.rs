//! A code is within half a step of its value, or the last code on that side.

use crate::scalar::Bits;
use crate::{BITS, DIMS, Fitted, GEOMETRIES, ROUNDING, normals};

#[test]
fn codes_are_within_half_a_step() {
    for dim in DIMS {
        for bits in BITS {
            for geometry in GEOMETRIES {
                for centre in [0.0, 30.0] {
                    let fitted = Fitted::new(dim, bits, geometry, centre);
                    let fresh = normals(dim, 5.0, &mut 3);
                    for row in fitted.rows.iter().take(20).chain([&fresh]) {
                        assert_near(&fitted, row);
                    }
                }
            }
        }
    }
}

fn assert_near(fitted: &Fitted, row: &[f32]) {
    let (low, high) = match fitted.codec.bits() {
        Bits::Four => (0, 15),
        Bits::Eight => (1, 255),
    };
    let rotated = fitted.rotated(row);
    let largest = rotated.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
    let (step, rounding) = (f64::from(fitted.codec.step()), ROUNDING * f64::from(largest));
    for ((value, decoded), code) in rotated.into_iter().zip(fitted.decoded(row)).zip(fitted.codes(row)) {
        let error = f64::from(value) - decoded;
        let beyond = (code == high && error > 0.0) || (code == low && error < 0.0);
        assert!((low..=high).contains(&code));
        assert!(beyond || error.abs() <= step / 2.0 + rounding, "code {code} is {error} from its value, step {step}");
    }
}

#[test]
fn the_sample_lies_within_eight_bits() {
    for dim in DIMS {
        for geometry in GEOMETRIES {
            let fitted = Fitted::new(dim, Bits::Eight, geometry, 30.0);
            let half = f64::from(fitted.codec.step()) * (0.5 + 1e-3);
            for row in &fitted.rows {
                for (value, decoded) in fitted.rotated(row).into_iter().zip(fitted.decoded(row)) {
                    assert!((f64::from(value) - decoded).abs() <= half, "dim {dim}");
                }
            }
        }
    }
}

#[test]
fn a_row_takes_its_bits() {
    for dim in DIMS {
        for (bits, bytes) in [(Bits::Four, dim.div_ceil(2)), (Bits::Eight, dim)] {
            assert_eq!(Fitted::new(dim, bits, GEOMETRIES[0], 0.0).codec.row_bytes(), bytes);
        }
    }
}
