//! Integer kernels return the same integer as the reference, bit for bit.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::test_runner::RngSeed;
use tiercel_simd::{Level, MAX_CODES, kernels, packed, packed1, packed2, reference};

use crate::guarded::{Guarded, PLACES};
use crate::{LONGEST, at_every_level, mixed};

/// Codes and a query, both by index.
type Pattern = (fn(usize) -> u8, fn(usize) -> i8);

const PATTERNS: [Pattern; 8] = [
    (|i| mixed(i) as u8, |i| mixed(i + 100_000) as i8),
    (|_| 0, |_| -128),
    (|_| 0, |_| 127),
    (|_| 255, |_| -128),
    (|_| 255, |_| 127),
    (|i| if i % 2 == 0 { 0 } else { 255 }, |i| if i % 2 == 0 { 127 } else { -128 }),
    (|i| if i % 2 == 0 { 0 } else { 255 }, |i| if i % 2 == 0 { -128 } else { 127 }),
    (|i| mixed(i) as u8, |_| 0),
];

/// Memory for the operands. The poison changes any sum that it gets into.
struct Memory {
    codes: Guarded<u8>,
    query: Guarded<i8>,
}

impl Memory {
    fn new(longest: usize) -> Self {
        Self { codes: Guarded::new(longest, 201), query: Guarded::new(longest, 77) }
    }

    fn check_u8(&mut self, codes: &[u8], query: &[i8]) {
        let (dot, l2) = (reference::dot_u8i8(codes, query), reference::l2_u8i8(codes, query));
        for place in PLACES {
            let (codes, query) = (self.codes.put(codes, place.0), self.query.put(query, place.1));
            at_every_level(|level| {
                let at = (level, codes.len(), place);
                assert_eq!(kernels::dot_u8i8(level, codes, query), dot, "dot_u8i8 {at:?}");
                assert_eq!(kernels::l2_u8i8(level, codes, query), l2, "l2_u8i8 {at:?}");
            });
        }
    }

    /// Check 4-bit codes: `codes` has one per byte, of which the low half counts.
    fn check_u4(&mut self, codes: &[u8], query: &[i8]) {
        let mut packed = vec![0; packed::bytes(codes.len())];
        packed::pack(codes, &mut packed);
        let (dot, l2) = (reference::dot_u4i8(&packed, query), reference::l2_u4i8(&packed, query));
        for place in PLACES {
            let (codes, query) = (self.codes.put(&packed, place.0), self.query.put(query, place.1));
            at_every_level(|level| {
                let at = (level, query.len(), place);
                assert_eq!(kernels::dot_u4i8(level, codes, query), dot, "dot_u4i8 {at:?}");
                assert_eq!(kernels::l2_u4i8(level, codes, query), l2, "l2_u4i8 {at:?}");
            });
        }
    }
}

/// A kernel of codes of fewer bits than four.
struct Few {
    name: &'static str,
    bytes: fn(usize) -> usize,
    pack: fn(&[u8], &mut [u8]),
    dot: fn(Level, &[u8], &[i8]) -> i32,
    reference: fn(&[u8], &[i8]) -> i32,
}

const FEW: [Few; 2] = [
    Few {
        name: "dot_u1i8",
        bytes: packed1::bytes,
        pack: packed1::pack,
        dot: kernels::dot_u1i8,
        reference: reference::dot_u1i8,
    },
    Few {
        name: "dot_u2i8",
        bytes: packed2::bytes,
        pack: packed2::pack,
        dot: kernels::dot_u2i8,
        reference: reference::dot_u2i8,
    },
];

impl Memory {
    /// Check codes of one and two bits: `codes` has one per byte, of which the lowest bits count.
    fn check_few(&mut self, codes: &[u8], query: &[i8]) {
        for few in &FEW {
            let mut packed = vec![0; (few.bytes)(codes.len())];
            (few.pack)(codes, &mut packed);
            let dot = (few.reference)(&packed, query);
            for place in PLACES {
                let (codes, query) = (self.codes.put(&packed, place.0), self.query.put(query, place.1));
                at_every_level(|level| {
                    assert_eq!((few.dot)(level, codes, query), dot, "{} {level:?} {} {place:?}", few.name, query.len());
                });
            }
        }
    }
}

/// Check each length with each pattern.
fn check_lengths(lengths: impl Iterator<Item = usize>, mut check: impl FnMut(&[u8], &[i8])) {
    for n in lengths {
        for (code, query) in PATTERNS {
            let codes: Vec<u8> = (0..n).map(code).collect();
            let query: Vec<i8> = (0..n).map(query).collect();
            check(&codes, &query);
        }
    }
}

/// Every short length, and the longest that cannot overflow.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=LONGEST).chain([MAX_CODES - 1, MAX_CODES])
}

#[test]
fn eight_bit_codes_of_every_length() {
    let mut memory = Memory::new(MAX_CODES);
    check_lengths(lengths(), |codes, query| memory.check_u8(codes, query));
}

#[test]
fn four_bit_codes_of_every_length() {
    let mut memory = Memory::new(MAX_CODES);
    check_lengths(lengths(), |codes, query| memory.check_u4(codes, query));
}

#[test]
fn codes_of_one_and_two_bits_of_every_length() {
    let mut memory = Memory::new(MAX_CODES);
    check_lengths(lengths(), |codes, query| memory.check_few(codes, query));
}

#[test]
fn bits_past_the_last_code_do_not_count() {
    for n in 1..260 {
        let query: Vec<i8> = (0..n).map(|i| mixed(i) as i8).collect();
        let mut packed = vec![0; packed1::bytes(n)];
        packed1::pack(&vec![1; n], &mut packed);
        let expected = query.iter().map(|q| i32::from(*q)).sum::<i32>();
        *packed.last_mut().expect("a byte") = 0xff;
        at_every_level(|level| assert_eq!(kernels::dot_u1i8(level, &packed, &query), expected, "{level:?} {n}"));
    }
}

#[test]
fn lengths_that_do_not_match_panic() {
    let (codes, query) = (vec![0; MAX_CODES + 1], vec![0; MAX_CODES + 1]);
    at_every_level(|level| {
        for (m, n) in [(3, 4), (4, 3), (MAX_CODES + 1, MAX_CODES + 1)] {
            let (codes, query) = (&codes[..m], &query[..n]);
            assert!(std::panic::catch_unwind(|| kernels::dot_u8i8(level, codes, query)).is_err());
            assert!(std::panic::catch_unwind(|| kernels::l2_u8i8(level, codes, query)).is_err());
        }
        for few in &FEW {
            for (m, n) in [(0, 1), (2, 1), (3, 4), (65, 512), ((few.bytes)(MAX_CODES + 1), MAX_CODES + 1)] {
                let (codes, query) = (&codes[..m], &query[..n]);
                assert!(std::panic::catch_unwind(|| (few.dot)(level, codes, query)).is_err(), "{}", few.name);
            }
        }
        for (m, n) in [(1, 3), (2, 5), (3, 4), (packed::bytes(MAX_CODES + 1), MAX_CODES + 1)] {
            let (codes, query) = (&codes[..m], &query[..n]);
            assert!(std::panic::catch_unwind(|| kernels::dot_u4i8(level, codes, query)).is_err());
            assert!(std::panic::catch_unwind(|| kernels::l2_u4i8(level, codes, query)).is_err());
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default()
    })]

    #[test]
    fn integer_kernels_equal_the_reference(values in vec(any::<(u8, i8)>(), 0..=MAX_CODES)) {
        let codes: Vec<u8> = values.iter().map(|value| value.0).collect();
        let query: Vec<i8> = values.iter().map(|value| value.1).collect();
        let mut memory = Memory::new(values.len());
        memory.check_u8(&codes, &query);
        memory.check_u4(&codes, &query);
        memory.check_few(&codes, &query);
    }
}
