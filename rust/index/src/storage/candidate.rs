//! A candidate of a search: a slot, and how near it is.
//!
//! It is one u64, so that comparing two is one instruction, ties go to the lower slot, and moving
//! many is a copy:
//!
//! ```text
//! bit   63                            32 31                1      0
//!      +--------------------------------+------------------+----------+
//!      | key, as an unsigned in order   | slot             | expanded |
//!      +--------------------------------+------------------+----------+
//! ```

/// Most slots in an index: a slot has 31 bits in a candidate.
pub(crate) const MAX_SLOTS: usize = (1 << 31) - 1;

/// The bit that marks an expanded candidate.
pub(crate) const EXPANDED: u64 = 1;

/// Key of a candidate: smaller is closer.
#[inline(always)]
pub(crate) const fn key_of(candidate: u64) -> i32 {
    ((candidate >> 32) as u32 ^ 0x8000_0000) as i32
}

/// Slot of a candidate.
#[inline(always)]
pub(crate) const fn slot_of(candidate: u64) -> u32 {
    candidate as u32 >> 1
}

/// Make an unexpanded candidate from a key and a slot.
#[inline(always)]
pub(crate) const fn candidate(key: i32, slot: u32) -> u64 {
    ((key as u32 ^ 0x8000_0000) as u64) << 32 | (slot as u64) << 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn a_candidate_is_its_key_and_slot_in_that_order(a in any::<(i32, u32)>(), b in any::<(i32, u32)>()) {
            let ((a, b), mask) = ((a, b), MAX_SLOTS as u32);
            let (a, b) = ((a.0, a.1 & mask), (b.0, b.1 & mask));
            let (first, second) = (candidate(a.0, a.1), candidate(b.0, b.1));
            prop_assert_eq!((key_of(first), slot_of(first)), a);
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        }
    }
}
