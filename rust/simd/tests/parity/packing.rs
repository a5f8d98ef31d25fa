//! Packed 4-bit codes have the layout of `packed`, and unpack to the same codes.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use proptest::test_runner::RngSeed;
use tiercel_simd::packed::{BLOCK, bytes, pack, unpack};

use crate::{LONGEST, mixed};

fn packed(codes: &[u8]) -> Vec<u8> {
    // Arbitrary, to detect a byte that was not written.
    let mut packed = vec![0xa5; bytes(codes.len())];
    pack(codes, &mut packed);
    packed
}

fn unpacked(packed: &[u8], n: usize) -> Vec<u8> {
    let mut codes = vec![0xa5; n];
    unpack(packed, &mut codes);
    codes
}

#[test]
fn codes_of_every_length_come_back() {
    for n in 0..=LONGEST {
        let codes: Vec<u8> = (0..n).map(|i| mixed(i) as u8 & 15).collect();
        assert_eq!(unpacked(&packed(&codes), n), codes, "{n} codes");
    }
}

#[test]
fn a_block_holds_its_codes_in_two_runs() {
    let codes: Vec<u8> = (0..BLOCK).map(|i| mixed(i) as u8 & 15).collect();
    for (j, byte) in packed(&codes).into_iter().enumerate() {
        assert_eq!((byte & 15, byte >> 4), (codes[j], codes[64 + j]), "byte {j}");
    }
}

#[test]
fn a_tail_is_halved_the_same_way_and_ends_with_zero_when_odd() {
    let codes: Vec<u8> = [vec![0; BLOCK], vec![1, 2, 3, 4, 5]].concat();
    assert_eq!(packed(&codes)[BLOCK / 2..], [0x41, 0x52, 0x03]);
}

#[test]
fn bits_above_the_code_are_dropped() {
    assert_eq!(packed(&[0xf1, 0xf2, 0xf3]), [0x31, 0x02]);
}

#[test]
fn lengths_that_do_not_match_panic() {
    for (n, length) in [(4, 1), (4, 3), (5, 2), (0, 1)] {
        assert!(std::panic::catch_unwind(|| pack(&vec![0; n], &mut vec![0; length])).is_err());
        assert!(std::panic::catch_unwind(|| unpack(&vec![0; length], &mut vec![0; n])).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, rng_seed: RngSeed::Fixed(3), ..ProptestConfig::default()
    })]

    #[test]
    fn codes_come_back(codes in vec(0..16u8, 0..=5000)) {
        prop_assert_eq!(unpacked(&packed(&codes), codes.len()), codes);
    }
}
