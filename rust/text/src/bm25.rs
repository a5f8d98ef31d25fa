//! The BM25 score, and its bounds.

/// How soon further occurrences of a term stop counting.
pub const K1: f32 = 1.2;
/// How much the length of a document counts.
pub const B: f32 = 0.75;

/// Return the weight of a term in `df` of `documents`: `ln(1 + (N - df + 0.5) / (df + 0.5))`, the
/// formula of Lucene.
pub(crate) fn idf(documents: u64, df: u64) -> f32 {
    let (n, df) = (documents as f64, df as f64);
    ((n - df + 0.5) / (df + 0.5)).ln_1p() as f32
}

/// The part of the score that depends on the average length: `k1 (1 - b + b length / average)` as
/// `fixed + slope length`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saturation {
    fixed: f32,
    slope: f32,
}

impl Saturation {
    pub(crate) fn new(average_length: f64) -> Self {
        Self { fixed: K1 * (1.0 - B), slope: (f64::from(K1 * B) / average_length) as f32 }
    }

    /// Return the share of its weight that a term adds to a document of `length` tokens with `tf`
    /// occurrences.
    #[inline]
    pub(crate) fn part(self, tf: u32, length: u32) -> f32 {
        let tf = tf as f32;
        tf / (tf + self.fixed + self.slope * length as f32)
    }
}

/// Pairs kept for a bound.
const PAIRS: usize = 3;

/// A bound of the scores in a list of postings under any statistics: pairs (tf, length) such that
/// each posting has at most the tf and at least the length of one pair. A pair of zeros bounds
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound(pub(crate) [(u32, u32); PAIRS]);

impl Bound {
    /// Compute the bound of postings. Their order changes.
    pub(crate) fn of(postings: &mut [(u32, u32)]) -> Self {
        postings.sort_unstable_by_key(|(tf, length)| (std::cmp::Reverse(*tf), *length));
        let mut pairs = [(0, 0); PAIRS];
        let mut kept = 0;
        for &(tf, length) in &*postings {
            if kept > 0 && pairs[kept - 1].1 <= length {
                continue;
            }
            if kept < PAIRS {
                pairs[kept] = (tf, length);
                kept += 1;
            } else {
                // The last pair covers all that follow, since it has the highest tf of them.
                pairs[kept - 1].1 = length;
            }
        }
        Self(pairs)
    }

    /// Return the largest share of a term's weight that a posting gets.
    #[inline]
    pub(crate) fn part(&self, saturation: Saturation) -> f32 {
        self.0.iter().map(|(tf, length)| saturation.part(*tf, *length)).fold(0.0, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

        #[test]
        fn a_bound_holds_under_any_statistics(
            postings in prop::collection::vec((1..40_u32, 1..4_000_u32), 1..128),
            average in 0.1..10_000.0,
        ) {
            let saturation = Saturation::new(average);
            let bound = Bound::of(&mut postings.clone());
            let highest = postings.iter().map(|(tf, length)| saturation.part(*tf, *length)).fold(0.0, f32::max);
            prop_assert!(bound.part(saturation) >= highest);
            prop_assert!(bound.0.iter().all(|(tf, _)| *tf <= 40));
        }
    }

    #[test]
    fn a_bound_of_few_shapes_is_tight() {
        let saturation = Saturation::new(10.0);
        let bound = Bound::of(&mut [(1, 5), (2, 30), (1, 9), (2, 12)]);
        assert_eq!(bound, Bound([(2, 12), (1, 5), (0, 0)]));
        assert_eq!(bound.part(saturation).to_bits(), saturation.part(1, 5).max(saturation.part(2, 12)).to_bits());
    }
}
