//! Float kernels agree with the reference within the tolerance, and infinities and NaN propagate.

use half::f16;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use proptest::test_runner::RngSeed;
use tiercel_simd::{Level, kernels, reference};

use crate::guarded::{Guarded, PLACES, Place};
use crate::{LONGEST, Sum, at_every_level, mixed, unit};

/// Values by index.
type Pattern<T> = fn(usize) -> T;

/// Both operands.
const PAIRS: [(Pattern<f32>, Pattern<f32>); 10] = [
    (unit, |i| unit(i + 100_000)),
    // Huge, but within range for the sum of the squares.
    (|i| 1e17 * unit(i), |i| 1e17 * unit(i + 100_000)),
    (|_| 1e17, |_| -1e17),
    // Tiny: subnormal squares, and subnormal values.
    (|i| 1e-20 * unit(i), |i| 1e-20 * unit(i + 100_000)),
    (subnormal, |i| subnormal(i + 100_000)),
    (subnormal, |i| 1e17 * unit(i)),
    (|i| if i % 2 == 0 { 0.0 } else { -0.0 }, |i| if i % 3 == 0 { 0.0 } else { -0.0 }),
    (|i| if i % 97 == 0 { 1e17 } else { 1e-17 * unit(i) }, unit),
    // Cancellation, in the sum and in each difference.
    (|i| if i % 2 == 0 { 1e6 } else { -1e6 - unit(i) }, |_| 1.0),
    (|i| 1e4 + unit(i), |i| (1e4 + unit(i)).next_up()),
];

/// An operand in single precision, and the bits of one in half precision.
const HALF_PAIRS: [(Pattern<f32>, Pattern<u16>); 6] = [
    (unit, half),
    (|i| 1e17 * unit(i), half),
    (subnormal, half),
    // The largest numbers, subnormal ones, and zeros.
    (|i| 65504.0 * unit(i), |i| if i % 2 == 0 { 0x7bff } else { 0xfbff }),
    (|i| 1e-5 * unit(i), |i| mixed(i) as u16 & 0x83ff),
    (unit, |i| if i % 2 == 0 { 0 } else { 0x8000 }),
];

fn subnormal(index: usize) -> f32 {
    f32::from_bits(mixed(index) as u32 & 0x807f_ffff)
}

/// Bits of any finite number.
fn half(index: usize) -> u16 {
    finite(mixed(index) as u16)
}

/// Make bits those of a finite number.
fn finite(bits: u16) -> u16 {
    if bits & 0x7c00 == 0x7c00 { bits & !0x4000 } else { bits }
}

fn dot(a: &[f32], b: &[f32]) -> Sum {
    let magnitude = a.iter().zip(b).map(|(x, y)| (f64::from(*x) * f64::from(*y)).abs()).sum();
    Sum { value: reference::dot_f32(a, b), magnitude, n: a.len() }
}

fn l2(a: &[f32], b: &[f32]) -> Sum {
    let value = reference::l2_f32(a, b);
    Sum { value, magnitude: value, n: a.len() }
}

/// Memory for the operands. Poison in a sum makes it NaN.
struct Memory {
    a: Guarded<f32>,
    b: Guarded<f32>,
    half: Guarded<u16>,
}

impl Memory {
    fn new(longest: usize) -> Self {
        Self {
            a: Guarded::new(longest, f32::NAN),
            b: Guarded::new(longest, f32::NAN),
            half: Guarded::new(longest, f16::NAN.to_bits()),
        }
    }

    fn check_f32(&mut self, a: &[f32], b: &[f32]) {
        let (dot, l2) = (dot(a, b), l2(a, b));
        for place in PLACES {
            let (a, b) = (self.a.put(a, place.0), self.b.put(b, place.1));
            at_every_level(|level| {
                dot.assert_near(kernels::dot_f32(level, a, b), level, "dot_f32");
                l2.assert_near(kernels::l2_f32(level, a, b), level, "l2_f32");
            });
        }
    }

    fn check_f16(&mut self, a: &[f32], bits: &[u16]) {
        let b = reference::widen(bits);
        let (dot, l2) = (dot(a, &b), l2(a, &b));
        for place in PLACES {
            let (a, b) = (self.a.put(a, place.0), self.half.put(bits, place.1));
            at_every_level(|level| {
                dot.assert_near(kernels::dot_f16(level, a, b), level, "dot_f16");
                l2.assert_near(kernels::l2_f16(level, a, b), level, "l2_f16");
            });
        }
    }
}

#[test]
fn single_precision_of_every_length() {
    let mut memory = Memory::new(LONGEST);
    for n in 0..=LONGEST {
        for (a, b) in PAIRS {
            memory.check_f32(&(0..n).map(a).collect::<Vec<_>>(), &(0..n).map(b).collect::<Vec<_>>());
        }
    }
}

#[test]
fn half_precision_of_every_length() {
    let mut memory = Memory::new(LONGEST);
    for n in 0..=LONGEST {
        for (a, b) in HALF_PAIRS {
            memory.check_f16(&(0..n).map(a).collect::<Vec<_>>(), &(0..n).map(b).collect::<Vec<_>>());
        }
    }
}

#[test]
fn every_half_precision_number_is_widened_exactly() {
    at_every_level(|level| {
        for bits in 0..=u16::MAX {
            let expected = reference::widen(&[bits])[0];
            assert_same(kernels::dot_f16(level, &[1.0], &[bits]), expected, level, &format!("{bits:#06x}, a tail"));
            if expected.is_finite() {
                let mut one_of_many = [0.0; 64];
                one_of_many[usize::from(bits) % 64] = 1.0;
                let got = kernels::dot_f16(level, &one_of_many, &[bits; 64]);
                assert_same(got, expected, level, &format!("{bits:#06x}, a vector"));
            }
        }
    });
}

/// Equal, or both NaN.
#[expect(clippy::float_cmp, reason = "infinities and exact numbers are equal or wrong")]
fn assert_same(got: f32, expected: f32, level: Level, what: &str) {
    assert!(got == expected || (got.is_nan() && expected.is_nan()), "{level:?} {what}: {got}, expected {expected}");
}

/// Pairs of values that make any sum infinite or NaN.
const SPECIAL: [(f32, f32); 11] = [
    (f32::NAN, 0.5),
    (1.0, f32::NAN),
    (f32::INFINITY, 0.5),
    (f32::NEG_INFINITY, 0.5),
    (1.0, f32::INFINITY),
    (1.0, f32::NEG_INFINITY),
    (0.0, f32::INFINITY),
    (f32::INFINITY, f32::INFINITY),
    (f32::INFINITY, f32::NEG_INFINITY),
    // Too large for single precision.
    (1e30, 1e30),
    (-1e30, 1e30),
];

/// All positions in short slices, both ends of long ones.
fn positions(n: usize) -> impl Iterator<Item = usize> {
    (0..n).filter(move |at| n <= 150 || *at == 0 || *at == n - 1)
}

#[test]
fn infinities_and_nan_come_through_in_single_precision() {
    let mut memory = Memory::new(LONGEST);
    for n in 1..=LONGEST {
        for (at, (x, y)) in positions(n).flat_map(|at| SPECIAL.map(|pair| (at, pair))) {
            let (mut a, mut b) = (vec![1.0; n], vec![0.5; n]);
            (a[at], b[at]) = (x, y);
            let expected = [reference::dot_f32(&a, &b), reference::l2_f32(&a, &b)];
            let (a, b) = (memory.a.put(&a, Place::End(0)), memory.b.put(&b, Place::End(0)));
            at_every_level(|level| {
                let got = [kernels::dot_f32(level, a, b), kernels::l2_f32(level, a, b)];
                for (got, expected) in got.into_iter().zip(expected) {
                    assert_same(got, expected as f32, level, &format!("({x}, {y}) at {at} of {n}"));
                }
            });
        }
    }
}

#[test]
fn infinities_and_nan_come_through_in_half_precision() {
    // Infinities, and quiet and signalling NaN.
    let special = [0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01].map(|bits| (1.0, bits));
    let from_a = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(|x| (x, f16::from_f32(0.5).to_bits()));
    let mut memory = Memory::new(LONGEST);
    for n in 1..=LONGEST {
        for (at, (x, bits)) in positions(n).flat_map(|at| special.iter().chain(&from_a).map(move |pair| (at, *pair))) {
            let (mut a, mut b) = (vec![1.0; n], vec![f16::from_f32(0.5).to_bits(); n]);
            (a[at], b[at]) = (x, bits);
            let wide = reference::widen(&b);
            let expected = [reference::dot_f32(&a, &wide), reference::l2_f32(&a, &wide)];
            let (a, b) = (memory.a.put(&a, Place::End(0)), memory.half.put(&b, Place::End(0)));
            at_every_level(|level| {
                let got = [kernels::dot_f16(level, a, b), kernels::l2_f16(level, a, b)];
                for (got, expected) in got.into_iter().zip(expected) {
                    assert_same(got, expected as f32, level, &format!("({x}, {bits:#06x}) at {at} of {n}"));
                }
            });
        }
    }
}

#[test]
fn lengths_that_do_not_match_panic() {
    at_every_level(|level| {
        for (m, n) in [(3, 4), (4, 3), (0, 1)] {
            let (a, b, half) = (&[0.0; 4][..m], &[0.0; 4][..n], &[0; 4][..n]);
            assert!(std::panic::catch_unwind(|| kernels::dot_f32(level, a, b)).is_err());
            assert!(std::panic::catch_unwind(|| kernels::l2_f32(level, a, b)).is_err());
            assert!(std::panic::catch_unwind(|| kernels::dot_f16(level, a, half)).is_err());
            assert!(std::panic::catch_unwind(|| kernels::l2_f16(level, a, half)).is_err());
        }
    });
}

/// Any finite number whose square a sum can hold, with all magnitudes equally likely.
fn any_finite() -> impl Strategy<Value = f32> {
    use proptest::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    (NORMAL | SUBNORMAL | ZERO | POSITIVE | NEGATIVE).prop_map(|value| value.clamp(-1e17, 1e17))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96, failure_persistence: None, rng_seed: RngSeed::Fixed(2), ..ProptestConfig::default()
    })]

    #[test]
    fn float_kernels_are_within_the_tolerance(values in vec((any_finite(), any_finite(), any::<u16>()), 0..=5000)) {
        let a: Vec<f32> = values.iter().map(|value| value.0).collect();
        let b: Vec<f32> = values.iter().map(|value| value.1).collect();
        let half: Vec<u16> = values.iter().map(|value| finite(value.2)).collect();
        let mut memory = Memory::new(values.len());
        memory.check_f32(&a, &b);
        memory.check_f16(&a, &half);
    }
}
