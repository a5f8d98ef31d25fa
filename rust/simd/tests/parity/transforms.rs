//! The Walsh-Hadamard transform has the same bits under every instruction set: codes depend on it,
//! and files hold codes.

use tiercel_simd::{kernels, reference};

use crate::guarded::{Guarded, PLACES};
use crate::{at_every_level, unit};

/// Transform `values` under every instruction set, and compare each bit with the reference.
fn check(memory: &mut Guarded<f32>, values: &[f32], scale: f32) {
    // Sums that overflow both ways are NaN, whose bits may differ.
    let of = |value: &f32| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
    let bits = |values: &[f32]| -> Vec<u32> { values.iter().map(of).collect() };
    let expected = bits(&reference::hadamard(values, scale));
    for place in PLACES {
        at_every_level(|level| {
            let got = memory.put(values, place.0);
            kernels::hadamard(level, got, scale);
            assert_eq!(bits(got), expected, "{} values {level:?} {place:?}", values.len());
        });
    }
}

#[test]
fn transforms_have_the_bits_of_the_reference() {
    let most = if cfg!(miri) { 9 } else { 15 };
    let mut memory = Guarded::new(1 << most, 0.5);
    for exponent in 0..=most {
        let values: Vec<f32> = (0..1 << exponent).map(unit).collect();
        check(&mut memory, &values, 1.0);
        check(&mut memory, &values, 1.0 / (values.len() as f32).sqrt());
    }
}

#[test]
fn huge_and_tiny_values_keep_their_bits() {
    let mut memory = Guarded::new(512, 0.5);
    for size in [1, 8, 64, 512] {
        for value in [f32::MAX / 2.0, f32::MIN_POSITIVE, f32::MIN_POSITIVE / 1024.0, -0.0] {
            let values: Vec<f32> = (0..size).map(|at| unit(at) * value).collect();
            check(&mut memory, &values, 0.25);
        }
    }
}
