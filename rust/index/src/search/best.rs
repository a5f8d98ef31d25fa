//! The best candidates of a scan, for any number of them.

use crate::storage::candidate::{candidate, key_of};
use crate::storage::space::order;

/// The `limit` candidates with the smallest keys among all that were offered.
///
/// Keep up to twice as many unsorted and halve them when full: an offer costs the same for 10 as
/// for 100,000.
#[derive(Clone, Default)]
pub(crate) struct Best {
    entries: Vec<u64>,
    limit: usize,
    bound: i32,
}

/// Room beyond twice the limit, since halving only a few is not worth a call.
const ROOM: usize = 64;

impl Best {
    /// Forget everything and keep `limit` (at least 1) from now on.
    pub(crate) fn reset(&mut self, limit: usize) {
        self.entries.clear();
        self.limit = limit.max(1);
        self.bound = order(f32::INFINITY);
    }

    /// Forget everything and keep as many as before.
    pub(crate) fn restart(&mut self) {
        self.reset(self.limit);
    }

    /// Keys above this one cannot be among the best.
    #[inline(always)]
    pub(crate) const fn bound(&self) -> i32 {
        self.bound
    }

    /// Offer a candidate.
    #[inline(always)]
    pub(crate) fn offer(&mut self, key: i32, slot: u32) {
        if key <= self.bound {
            self.entries.push(candidate(key, slot));
            if self.entries.len() >= 2 * self.limit + ROOM {
                self.halve();
            }
        }
    }

    #[cold]
    fn halve(&mut self) {
        let (_, last, _) = self.entries.select_nth_unstable(self.limit - 1);
        self.bound = key_of(*last);
        self.entries.truncate(self.limit);
    }

    /// The best so far, nearest first; equal keys by slot.
    pub(crate) fn sorted(&mut self) -> &[u64] {
        self.entries.sort_unstable();
        self.entries.truncate(self.limit);
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;
    use crate::storage::candidate::slot_of;

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn are_the_first_of_all_once_sorted(
            limits in prop::collection::vec(0..90usize, 1..4),
            keys in prop::collection::vec(prop_oneof![-4..4i32, -2000..2000i32, any::<i32>()], 0..700),
        ) {
            let mut best = Best::default();
            for limit in limits {
                best.reset(limit);
                for (slot, key) in keys.iter().enumerate() {
                    best.offer(*key, slot as u32);
                }
                // Keys above that of infinity belong to no number.
                let all = keys.iter().copied().zip(0..).filter(|(key, _)| *key <= order(f32::INFINITY));
                let mut expected: Vec<(i32, u32)> = all.collect();
                expected.sort_unstable();
                expected.truncate(limit.max(1));
                let bound = best.bound();
                let sorted = best.sorted().iter().map(|entry| (key_of(*entry), slot_of(*entry)));
                let sorted: Vec<(i32, u32)> = sorted.collect();
                prop_assert!(sorted.iter().all(|entry| entry.0 <= bound));
                prop_assert_eq!(sorted, expected);
            }
        }
    }
}
