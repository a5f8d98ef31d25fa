//! Packed codes have the layout of their module, and unpack to the same codes.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use proptest::test_runner::RngSeed;
use tiercel_simd::packed::{BLOCK, bytes, pack, unpack};
use tiercel_simd::{packed1, packed2};

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

/// Pack codes of one bit and back.
fn through_bits(codes: &[u8]) -> Vec<u8> {
    let (mut packed, mut back) = (vec![0xa5; packed1::bytes(codes.len())], vec![0xa5; codes.len()]);
    packed1::pack(codes, &mut packed);
    packed1::unpack(&packed, &mut back);
    back
}

/// Pack codes of two bits and back.
fn through_quarters(codes: &[u8]) -> Vec<u8> {
    let (mut packed, mut back) = (vec![0xa5; packed2::bytes(codes.len())], vec![0xa5; codes.len()]);
    packed2::pack(codes, &mut packed);
    packed2::unpack(&packed, &mut back);
    back
}

#[test]
fn codes_of_one_and_two_bits_come_back() {
    for n in 0..=LONGEST {
        let codes: Vec<u8> = (0..n).map(|i| mixed(i) as u8).collect();
        let lowest = |bits: u8| codes.iter().map(|code| code & bits).collect::<Vec<u8>>();
        assert_eq!(through_bits(&codes), lowest(1), "{n} codes");
        assert_eq!(through_quarters(&codes), lowest(3), "{n} codes");
    }
}

#[test]
fn a_byte_holds_eight_codes_of_one_bit_in_order() {
    let mut packed = [0xa5; 2];
    packed1::pack(&[1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1], &mut packed);
    assert_eq!(packed, [0b1000_1101, 0b110]);
}

#[test]
fn a_block_holds_codes_of_two_bits_in_four_runs() {
    let codes: Vec<u8> = (0..packed2::BLOCK).map(|i| mixed(i) as u8 & 3).collect();
    let mut packed = [0xa5; 32];
    packed2::pack(&codes, &mut packed);
    for (j, byte) in packed.into_iter().enumerate() {
        let of_byte = [byte & 3, byte >> 2 & 3, byte >> 4 & 3, byte >> 6];
        assert_eq!(of_byte, [codes[j], codes[32 + j], codes[64 + j], codes[96 + j]], "byte {j}");
    }
    let mut tail = [0xa5; 34];
    packed2::pack(&[codes, vec![1, 2, 3, 1, 2]].concat(), &mut tail);
    assert_eq!(tail[32..], [0b10_1101, 0b01_10], "a tail in runs of two");
}

#[test]
fn packed_lengths_of_few_bits_that_do_not_match_panic() {
    for (n, length) in [(0, 1), (8, 3), (9, 1), (5, 3), (9, 4)] {
        assert!(std::panic::catch_unwind(|| packed1::pack(&vec![0; n], &mut vec![0; length])).is_err());
        assert!(std::panic::catch_unwind(|| packed1::unpack(&vec![0; length], &mut vec![0; n])).is_err());
        assert!(std::panic::catch_unwind(|| packed2::pack(&vec![0; n], &mut vec![0; length])).is_err());
        assert!(std::panic::catch_unwind(|| packed2::unpack(&vec![0; length], &mut vec![0; n])).is_err());
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
