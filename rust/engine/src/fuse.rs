//! One ranking out of two.

use std::collections::HashMap;

/// How rankings by vector and by text become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fusion {
    /// Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): a record gets 1 / (k + rank) from each ranking, ranks counted
    /// from 1.
    Rrf {
        /// The smaller, the more the first places count.
        k: f32,
    },
    /// `alpha` times the score by vector plus the rest times the score by text, each scaled so that the best of its ranking has 1
    /// and the worst 0.
    Weighted {
        /// 1 for vectors alone, 0 for text alone.
        alpha: f32,
    },
}

impl Default for Fusion {
    /// The best of 1 to 100 on the text embeddings that were measured.
    fn default() -> Self {
        Self::Rrf { k: 5.0 }
    }
}

/// A row and its score: larger is better.
pub(crate) type Scored = (u32, f32);

/// Put larger scores first; of equal ones the smaller row.
pub(crate) fn sort(scored: &mut [Scored]) {
    scored.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

/// Fuse two rankings, each best first, into the best `k`.
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
            for (ranking, weight) in [(by_vector, alpha), (by_text, 1.0 - alpha)] {
                let best = ranking.first().map_or(0.0, |(_, score)| *score);
                let worst = ranking.last().map_or(0.0, |(_, score)| *score);
                let span = best - worst;
                for (row, score) in ranking {
                    add(*row, weight * if span > 0.0 { (score - worst) / span } else { 1.0 });
                }
            }
        }
    }
    let mut fused: Vec<Scored> = scores.into_iter().collect();
    sort(&mut fused);
    fused.truncate(k);
    fused
}

#[cfg(test)]
mod tests {
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
        assert_eq!(fused[0], (1, 0.75));
        assert!((fused[1].1 - 0.75 * 0.875).abs() < 1e-6 && fused[1].0 == 2);
        assert_eq!(fused[2], (3, 0.25));
    }

    #[test]
    fn alpha_chooses_one() {
        let rows = |alpha| {
            let fused = fuse(&BY_VECTOR, &BY_TEXT, Fusion::Weighted { alpha }, 1);
            fused.into_iter().map(|(row, _)| row).collect::<Vec<_>>()
        };
        assert_eq!((rows(1.0), rows(0.0)), (vec![1], vec![3]));
    }

    #[test]
    fn equal_scores_are_in_the_order_of_rows() {
        let fused = fuse(&[(9, 1.0)], &[(4, 1.0)], Fusion::default(), 2);
        assert_eq!(fused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [4, 9]);
    }
}
