//! Diversity: maximal marginal relevance (Carbonell and Goldstein 1998).
//!
//! Of the candidates that are left, the next result is the one with the largest
//!
//! ```text
//! lambda * relevance(d) - (1 - lambda) * max over results s so far of similarity(d, s)
//! ```
//!
//! Relevance is the score, scaled so that the best candidate has 1 and the worst 0: scores of different rankings have different units.
//! Similarity is the cosine of the vectors, whatever the metric; a record without a vector is like nothing, 0.

use crate::fuse::Scored;

/// So many candidates are looked at: choosing takes as many comparisons as candidates times results. Others follow in their order.
const CANDIDATES: usize = 4096;

/// The candidates, best first, with the `k` that are chosen at the front; they keep their scores.
pub(crate) fn choose(
    scored: &[Scored],
    vector: impl Fn(u32) -> Option<Vec<f32>>,
    lambda: f32,
    k: usize,
) -> Vec<Scored> {
    let (looked_at, others) = scored.split_at(scored.len().min(CANDIDATES));
    let directions: Vec<_> = looked_at.iter().map(|(row, _)| vector(*row).and_then(direction)).collect();
    let mut left: Vec<Left> =
        (0..).zip(relevances(looked_at)).map(|(at, relevance)| Left { at, relevance, likest: 0.0 }).collect();
    let mut chosen = Vec::with_capacity(scored.len());
    while chosen.len() < k
        && let Some(best) = best(&left, lambda)
    {
        // The order of the others decides between equals.
        let Left { at, .. } = left.remove(best);
        let first = chosen.is_empty();
        chosen.push(looked_at[at]);
        for other in &mut left {
            let likeness = similarity(directions[at].as_deref(), directions[other.at].as_deref());
            other.likest = if first { likeness } else { other.likest.max(likeness) };
        }
    }
    chosen.extend(left.iter().map(|left| looked_at[left.at]));
    chosen.extend(others);
    chosen
}

/// A candidate that is not chosen yet.
struct Left {
    at: usize,
    relevance: f32,
    /// Its largest similarity with one that is chosen.
    likest: f32,
}

/// The place of the best candidate, the first of equals.
fn best(left: &[Left], lambda: f32) -> Option<usize> {
    let gain = |left: &Left| lambda * left.relevance - (1.0 - lambda) * left.likest;
    let gains = left.iter().map(gain).enumerate();
    gains.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}

/// Scores from 0 to 1.
fn relevances(scored: &[Scored]) -> impl Iterator<Item = f32> {
    // Records that a reranker could not judge are below any score.
    let finite = || scored.iter().map(|(_, score)| *score).filter(|score| score.is_finite());
    let (best, worst) = (finite().fold(f32::NEG_INFINITY, f32::max), finite().fold(f32::INFINITY, f32::min));
    let span = best - worst;
    scored.iter().map(move |(_, score)| match score.is_finite() {
        true if span > 0.0 => (score - worst) / span,
        true => 1.0,
        false => 0.0,
    })
}

/// The vector with length 1; `None` if it has none.
fn direction(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    for value in &mut vector {
        *value = (f64::from(*value) / norm) as f32;
    }
    (norm > 0.0).then_some(vector)
}

fn similarity(one: Option<&[f32]>, other: Option<&[f32]>) -> f32 {
    const LANES: usize = 16;
    let (Some(one), Some(other)) = (one, other) else { return 0.0 };
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest: f32 = ones.remainder().iter().zip(others.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; LANES];
    for (ones, others) in ones.zip(others) {
        for ((sum, a), b) in sums.iter_mut().zip(ones).zip(others) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two alike, one apart, one without a vector.
    const SCORED: [Scored; 4] = [(0, 1.0), (1, 0.9), (2, 0.6), (3, 0.0)];

    fn chosen(lambda: f32, k: usize) -> Vec<u32> {
        let vectors = [Some(vec![2.0, 0.0]), Some(vec![1.0, 0.1]), Some(vec![0.0, 3.0]), None];
        let get = |row: u32| vectors[row as usize].clone();
        choose(&SCORED, get, lambda, k).into_iter().map(|(row, _)| row).collect()
    }

    #[test]
    fn lambda_weighs_relevance_against_likeness() {
        assert_eq!(chosen(1.0, 4), [0, 1, 2, 3], "relevance alone");
        assert_eq!(chosen(0.5, 2), [0, 2, 1, 3], "0.6 / 2 beats 0.9 / 2 - 0.995 / 2, and the rest stays in order");
        assert_eq!(chosen(0.0, 4), [0, 2, 3, 1], "unlike what is there");
    }

    #[test]
    fn equal_scores_are_equally_relevant() {
        let choice = choose(&[(5, 0.3), (4, 0.3)], |_| Some(vec![0.0]), 0.5, 2);
        assert_eq!(choice, [(5, 0.3), (4, 0.3)]);
    }

    #[test]
    fn what_has_no_score_comes_last() {
        let scored = [(0, 1.0), (1, 0.0), (2, f32::NEG_INFINITY)];
        assert_eq!(choose(&scored, |_| None, 0.5, 3), scored);
    }

    #[test]
    fn similarity_is_the_cosine() {
        for length in [1, 15, 16, 17, 40] {
            let one: Vec<f32> = (0..length).map(|at| at as f32 - 3.0).collect();
            let other: Vec<f32> = (0..length).map(|at| (at * at % 7) as f32 + 1.0).collect();
            let dot: f32 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
            let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
            let expected = dot / norm(&one) / norm(&other);
            let got = similarity(direction(one).as_deref(), direction(other).as_deref());
            assert!((got - expected).abs() < 1e-5, "{length}: {got} {expected}");
        }
        assert_eq!(direction(vec![0.0; 3]), None);
    }
}
