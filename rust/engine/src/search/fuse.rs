//! Fusion: one ranking from two.

use std::collections::HashMap;

/// How to fuse the rankings by vector and by text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fusion {
    /// Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): a record gets 1 / (k + rank)
    /// from each ranking, with ranks counted from 1.
    Rrf {
        /// The smaller this is, the more the first places count.
        k: f32,
    },
    /// `alpha` times the score by vector plus `1 - alpha` times the score by text. Each is scaled
    /// so that the best of its ranking has 1 and a record outside the ranking 0. A ranked record
    /// always has more than 0: see `Scale`.
    Weighted {
        /// 1 for vectors only, 0 for text only; the other ranking is then skipped.
        alpha: f32,
    },
}

impl Default for Fusion {
    /// The best `k` from 1 to 100 on the measured text embeddings.
    fn default() -> Self {
        Self::Rrf { k: 5.0 }
    }
}

/// A row and its score; larger is better.
pub(crate) type Scored = (u32, f32);

/// Sort larger scores first, and equal scores by row.
pub(crate) fn sort(scored: &mut [Scored]) {
    scored.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

impl Fusion {
    /// Return whether the ranking by vector and the one by text count, if there are both.
    pub(crate) fn counts(self) -> (bool, bool) {
        match self {
            Self::Rrf { .. } => (true, true),
            Self::Weighted { alpha } => (alpha > 0.0, alpha < 1.0),
        }
    }
}

/// Fuse two rankings, each best first, and return the best `k`.
pub(crate) fn fuse(by_vector: &[Scored], by_text: &[Scored], fusion: Fusion, k: usize) -> Vec<Scored> {
    let mut scores: HashMap<u32, f32> = HashMap::with_capacity(by_vector.len() + by_text.len());
    let mut add = |row: u32, score: f32| *scores.entry(row).or_default() += score;
    match fusion {
        Fusion::Rrf { k } => {
            for ranking in [by_vector, by_text] {
                for (rank, (row, _)) in ranking.iter().enumerate() {
                    add(*row, 1.0 / (k + (rank + 1) as f32));
                }
            }
        }
        Fusion::Weighted { alpha } => {
            let scales = [Scale::of_similarities(by_vector), Scale::of_texts(by_text)];
            for ((ranking, weight), scale) in [(by_vector, alpha), (by_text, 1.0 - alpha)].into_iter().zip(scales) {
                for (row, score) in ranking {
                    add(*row, weight * scale.apply(*score));
                }
            }
        }
    }
    let mut fused: Vec<Scored> = scores.into_iter().collect();
    sort(&mut fused);
    fused.truncate(k);
    fused
}

/// Scales the scores of a ranking so that the best has 1 and the lowest possible one 0. The worst
/// of the ranking has more than 0, because it was found.
struct Scale {
    best: f64,
    /// Below every score of the ranking.
    lowest: f64,
}

impl Scale {
    /// The scale of BM25 scores: a text without a query word scores 0.
    fn of_texts(ranking: &[Scored]) -> Self {
        Self { best: ranking.first().map_or(1.0, |(_, score)| f64::from(*score)), lowest: 0.0 }
    }

    /// The scale of similarities. No lowest value holds for all metrics, so it is estimated: it
    /// lies below the worst of the ranking by a quarter of the span from the best to the worst. On
    /// text embeddings, a larger share weakened the distinctions that vectors make, and a smaller
    /// one found just as much.
    fn of_similarities(ranking: &[Scored]) -> Self {
        let best = ranking.first().map_or(1.0, |(_, score)| f64::from(*score));
        let worst = ranking.last().map_or(0.0, |(_, score)| f64::from(*score));
        Self { best, lowest: worst - (best - worst) / 4.0 }
    }

    fn apply(&self, score: f32) -> f32 {
        let span = self.best - self.lowest;
        if span > 0.0 { ((f64::from(score) - self.lowest) / span) as f32 } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    const BY_VECTOR: [Scored; 3] = [(1, 0.9), (2, 0.8), (3, 0.1)];
    const BY_TEXT: [Scored; 2] = [(3, 7.0), (2, 5.0)];

    #[test]
    fn ranks_are_summed() {
        let fused = fuse(&BY_VECTOR, &BY_TEXT, Fusion::Rrf { k: 10.0 }, 10);
        assert_eq!(fused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [3, 2, 1]);
        assert!((fused[0].1 - (1.0 / 13.0 + 1.0 / 11.0)).abs() < 1e-7);
        assert!((fused[1].1 - 2.0 / 12.0).abs() < 1e-7);
    }

    #[test]
    fn weights_are_of_scaled_scores() {
        let fused = fuse(&BY_VECTOR, &BY_TEXT, Fusion::Weighted { alpha: 0.75 }, 10);
        let expected = [(2, 0.75 * 0.9 + 0.25 * 5.0 / 7.0), (1, 0.75), (3, 0.75 * 0.2 + 0.25)];
        for ((row, score), (expected_row, expected_score)) in fused.iter().zip(expected) {
            assert!(*row == expected_row && (score - expected_score).abs() < 1e-6, "{fused:?}");
        }
    }

    #[test]
    fn one_that_both_found_is_not_behind_those_that_one_did() {
        let fused =
            fuse(&[(1, 0.9), (2, 0.8), (3, 0.1)], &[(4, 7.0), (5, 6.9), (3, 6.8)], Fusion::Weighted { alpha: 0.5 }, 10);
        assert_eq!(fused[0].0, 3);
    }

    #[test]
    fn a_weight_of_nothing_is_no_ranking() {
        let counts = |alpha| Fusion::Weighted { alpha }.counts();
        assert_eq!((counts(1.0), counts(0.0), counts(0.5)), ((true, false), (false, true), (true, true)));
        assert_eq!(Fusion::default().counts(), (true, true));
    }

    /// Make the scores of a ranking, best first, in any unit.
    fn ranking(lowest: f32) -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(prop_oneof![lowest..1e3_f32, lowest..1e-3_f32, Just(0.25)], 1..20).prop_map(
            |mut scores| {
                scores.sort_by(|a, b| b.total_cmp(a));
                scores
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

        /// A record that is at least as good as another in both rankings never has a lower fused
        /// score.
        #[test]
        fn a_record_found_by_both_is_never_below_one_found_by_one_with_the_same_scores(
            by_vector in ranking(-1e3), by_text in ranking(1e-6), alpha in 0.001..0.999_f32,
        ) {
            // The first ranking has the rows 0, 1, 2, ...; every second row of the other is one of
            // them.
            let by_vector: Vec<Scored> = (0..).zip(by_vector).collect();
            let by_text: Vec<Scored> = (0..).map(|at| if at % 2 == 0 { at } else { at + 100 }).zip(by_text).collect();
            let fused = fuse(&by_vector, &by_text, Fusion::Weighted { alpha }, 100);
            let find = |ranking: &[Scored], row| ranking.iter().find(|(each, _)| *each == row).map(|(_, score)| *score);
            for (row, score) in &fused {
                prop_assert!(*score > 0.0 && *score <= 1.0 + 1e-6);
                for (other, lower) in &fused {
                    let is_at_least = |ranking: &[Scored]| match (find(ranking, *row), find(ranking, *other)) {
                        (Some(one), Some(other)) => one >= other,
                        (_, other) => other.is_none(),
                    };
                    if is_at_least(&by_vector) && is_at_least(&by_text) {
                        prop_assert!(score >= lower);
                    }
                }
            }
        }
    }

    #[test]
    fn equal_scores_are_in_the_order_of_rows() {
        let fused = fuse(&[(9, 1.0)], &[(4, 1.0)], Fusion::default(), 2);
        assert_eq!(fused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [4, 9]);
    }
}
