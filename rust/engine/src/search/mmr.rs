//! Diversity by maximal marginal relevance (Carbonell and Goldstein 1998).
//!
//! The next result is the remaining candidate with the largest
//!
//! ```text
//! lambda * relevance(d) - (1 - lambda) * max of likeness(d, s) over the results s so far
//! ```
//!
//! Both terms must have the same unit, and neither may depend on the other candidates. In a search
//! by vector only, relevance is the score, and likeness is the score that `d` would have if the
//! query were `s`: both are similarities under the metric. Scores by text and fused scores have no
//! unit and are never negative: they are divided by the best one, and likeness is the cosine. The
//! scores of a reranker are taken as they are, and likeness is the cosine as well. A record
//! without a vector has likeness 0 to all others.

use tiercel_index::Metric;

use crate::search::fuse::Scored;

/// The most candidates to choose from, since choosing takes candidates times results comparisons.
/// The others follow in their order.
const CANDIDATES: usize = 4096;

/// The unit of the candidates' scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Similarities under this metric.
    Similarity(Metric),
    /// Positive scores that mean something only relative to the best one.
    ShareOfBest,
    /// The scores of a reranker, taken as they are.
    Given,
}

/// Choose `k` of the candidates, which come best first. Return all candidates with the chosen ones
/// in front; they keep their scores.
pub(crate) fn choose(
    scored: &[Scored],
    mut vector: impl FnMut(u32) -> Option<Vec<f32>>,
    unit: Unit,
    lambda: f32,
    k: usize,
) -> Vec<Scored> {
    let (looked_at, others) = scored.split_at(scored.len().min(CANDIDATES));
    let metric = if let Unit::Similarity(metric) = unit { metric } else { Metric::Cosine };
    let prepared = |vector: Vec<f32>| if metric == Metric::Cosine { direction(vector) } else { Some(vector) };
    let vectors: Vec<_> = looked_at.iter().map(|(row, _)| vector(*row).and_then(prepared)).collect();
    let best_score = if unit == Unit::ShareOfBest { looked_at.first().map_or(1.0, |(_, score)| *score) } else { 1.0 };
    let left = (0..).zip(looked_at).map(|(at, (_, score))| Left { at, relevance: score / best_score, likest: 0.0 });
    let mut left: Vec<Left> = left.collect();
    let mut chosen = Vec::with_capacity(scored.len());
    while chosen.len() < k
        && let Some(best) = best(&left, lambda)
    {
        // Not `swap_remove`: the order of the rest decides between equals.
        let Left { at, .. } = left.remove(best);
        let first = chosen.is_empty();
        chosen.push(looked_at[at]);
        for other in &mut left {
            let likeness = likeness(metric, vectors[at].as_deref(), vectors[other.at].as_deref());
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
    /// Its largest likeness to a chosen candidate.
    likest: f32,
}

impl Left {
    fn gain(&self, lambda: f32) -> f64 {
        // Records that a reranker could not score come last, whatever their likeness.
        if self.relevance == f32::NEG_INFINITY {
            return f64::NEG_INFINITY;
        }
        let lambda = f64::from(lambda);
        lambda * f64::from(self.relevance) - (1.0 - lambda) * f64::from(self.likest)
    }
}

/// Return the index of the best candidate, the first of equals.
fn best(left: &[Left], lambda: f32) -> Option<usize> {
    let gains = left.iter().map(|left| left.gain(lambda)).enumerate();
    gains.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}

/// Scale a vector to length 1; `None` for the zero vector.
fn direction(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    for value in &mut vector {
        *value = (f64::from(*value) / norm) as f32;
    }
    (norm > 0.0).then_some(vector)
}

/// Return the similarity of two vectors; for cosine they must have length 1.
fn likeness(metric: Metric, one: Option<&[f32]>, other: Option<&[f32]>) -> f32 {
    let (Some(one), Some(other)) = (one, other) else { return 0.0 };
    match metric {
        Metric::Cosine | Metric::Dot => sum(one, other, |a, b| a * b),
        Metric::L2 => -sum(one, other, |a, b| (a - b) * (a - b)),
    }
}

/// Sum `term` over two vectors.
fn sum(one: &[f32], other: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest: f32 = ones.remainder().iter().zip(others.remainder()).map(|(a, b)| term(*a, *b)).sum();
    let mut sums = [0.0; LANES];
    for (ones, others) in ones.zip(others) {
        for ((sum, a), b) in sums.iter_mut().zip(ones).zip(others) {
            *sum += term(*a, *b);
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// Two similar vectors, one apart, and a record without a vector.
    const SCORED: [Scored; 4] = [(0, 1.0), (1, 0.9), (2, 0.6), (3, 0.0)];
    const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

    fn chosen(lambda: f32, k: usize) -> Vec<u32> {
        let vectors = [Some(vec![2.0, 0.0]), Some(vec![1.0, 0.1]), Some(vec![0.0, 3.0]), None];
        let get = |row: u32| vectors[row as usize].clone();
        choose(&SCORED, get, Unit::Similarity(Metric::Cosine), lambda, k).into_iter().map(|(row, _)| row).collect()
    }

    #[test]
    fn lambda_weighs_relevance_against_likeness() {
        assert_eq!(chosen(1.0, 4), [0, 1, 2, 3], "relevance alone");
        assert_eq!(chosen(0.5, 2), [0, 2, 1, 3], "0.6 / 2 beats 0.9 / 2 - 0.995 / 2, and the rest stays in order");
        assert_eq!(chosen(0.0, 4), [0, 2, 3, 1], "unlike what is there");
    }

    #[test]
    fn the_worst_of_the_list_is_as_relevant_as_its_score_says() {
        let vectors = [vec![1.0, 0.0], vec![1.0, 0.0], vec![0.8, 0.6]];
        let scored = [(0, 0.995), (1, 0.995), (2, 0.856)];
        let choice =
            choose(&scored, |row| Some(vectors[row as usize].clone()), Unit::Similarity(Metric::Cosine), 0.5, 2);
        assert_eq!(choice[1].0, 2, "not both copies");
    }

    #[test]
    fn scores_without_a_unit_are_shares_of_the_best() {
        let vectors = [vec![1.0, 0.0], vec![1.0, 0.0], vec![0.0, 1.0]];
        let get = |row: u32| Some(vectors[row as usize].clone());
        let scored = [(0, 40.0), (1, 39.0), (2, 10.0)];
        let rows = |unit| choose(&scored, get, unit, 0.5, 2).into_iter().map(|(row, _)| row).collect::<Vec<_>>();
        assert_eq!(rows(Unit::ShareOfBest), [0, 2, 1]);
        assert_eq!(rows(Unit::Given), [0, 1, 2]);
    }

    #[test]
    fn equal_scores_are_equally_relevant() {
        let choice = choose(&[(5, 0.3), (4, 0.3)], |_| Some(vec![0.0]), Unit::Similarity(Metric::Cosine), 0.5, 2);
        assert_eq!(choice, [(5, 0.3), (4, 0.3)]);
    }

    #[test]
    fn what_has_no_score_comes_last() {
        let scored = [(0, 1.0), (1, 0.0), (2, f32::NEG_INFINITY)];
        for lambda in [0.0, 0.5, 1.0] {
            assert_eq!(choose(&scored, |_| None, Unit::Given, lambda, 3), scored, "{lambda}");
        }
    }

    /// Compute the similarity of two vectors by its definition.
    fn similarity(metric: Metric, one: &[f32], other: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        match metric {
            Metric::Cosine => dot(one, other) / (dot(one, one) * dot(other, other)).sqrt(),
            Metric::Dot => dot(one, other),
            Metric::L2 => -one.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

        /// Each choice has the largest value of the formula among the remaining candidates.
        #[test]
        fn choices_are_those_of_the_formula(
            vectors in prop::collection::vec(prop::collection::vec(-2.0..2.0_f32, 19), 1..24),
            query in prop::collection::vec(-2.0..2.0_f32, 19),
            lambda in 0.0..=1.0_f32,
            metric in 0..3_usize,
        ) {
            let metric = METRICS[metric];
            let score = |row: u32| similarity(metric, &query, &vectors[row as usize]);
            let mut scored: Vec<Scored> = (0..vectors.len() as u32).map(|row| (row, score(row) as f32)).collect();
            crate::search::fuse::sort(&mut scored);
            let choice = choose(&scored, |row| Some(vectors[row as usize].clone()), Unit::Similarity(metric), lambda, 9);
            let rows: Vec<u32> = choice.iter().map(|(row, _)| *row).collect();
            for chosen in 0..rows.len().min(9) {
                let gain = |row: &u32| {
                    let others = rows[..chosen].iter();
                    let like = others.map(|other| similarity(metric, &vectors[*row as usize], &vectors[*other as usize]));
                    let likest = like.reduce(f64::max).unwrap_or(0.0);
                    f64::from(lambda) * score(*row) - (1.0 - f64::from(lambda)) * likest
                };
                let best = rows[chosen..].iter().map(gain).reduce(f64::max).unwrap();
                prop_assert!(gain(&rows[chosen]) >= best - 1e-4, "{:?}, place {}", metric, chosen);
            }
        }
    }

    #[test]
    fn a_vector_without_a_direction_is_like_nothing() {
        assert_eq!(direction(vec![0.0; 3]), None);
        assert!(likeness(Metric::Cosine, None, Some(&[1.0])).abs() < f32::MIN_POSITIVE);
    }
}
