//! The order in which the queries of a batch are answered.
//!
//! Walks of similar queries meet the same nodes. One after the other, they find codes, links and
//! vectors in the processor's caches that a walk in any other order would wait for.

use tiercel_simd::{Isa, Level, Loop};

use crate::options::Metric;
use crate::storage::check::norm;

/// With fewer queries, too few are alike.
const FEWEST: usize = 128;

/// Queries that are not divided further.
const ALIKE: usize = 8;

/// Return an order of the queries in which similar ones are close to each other; `None` if it would
/// gain nothing.
pub(crate) fn by_likeness(queries: &[f32], dim: usize, metric: Metric, level: Level) -> Option<Vec<u32>> {
    let count = queries.len() / dim;
    if count < FEWEST || u32::try_from(count).is_err() {
        return None;
    }
    let scale = |query: &[f32]| if metric == Metric::Cosine { (1.0 / norm(query)) as f32 } else { 1.0 };
    let rows = queries.chunks_exact(dim).enumerate();
    let mut places: Vec<Place> =
        rows.map(|(at, query)| Place { key: 0.0, scale: scale(query), query: at as u32 }).collect();
    level.run(Divide { queries, dim, places: &mut places });
    Some(places.into_iter().map(|place| place.query).collect())
}

/// A query, and where it lies between two others.
struct Place {
    key: f32,
    /// What makes the query one of unit length under cosine.
    scale: f32,
    query: u32,
}

/// Divide the queries by which of two of them they are nearer to, the halves likewise, and so on:
/// a tree of random projections (Dasgupta and Freund, 2008), of which only the leaves' order is
/// kept.
struct Divide<'a> {
    queries: &'a [f32],
    dim: usize,
    places: &'a mut [Place],
}

impl Loop for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { queries, dim, places } = self;
        let row = |place: &Place| &queries[place.query as usize * dim..][..dim];
        let mut axis = vec![0.0; dim];
        let mut parts = vec![(0usize, places.len())];
        while let Some((from, to)) = parts.pop() {
            let middle = from.midpoint(to);
            let (one, other) = (&places[from], &places[middle]);
            for ((value, one_value), other_value) in axis.iter_mut().zip(row(one)).zip(row(other)) {
                *value = one_value * one.scale - other_value * other.scale;
            }
            let part = &mut places[from..to];
            for place in &mut *part {
                // SAFETY: both have `dim` values; `Level::run` checked the instruction set.
                place.key = unsafe { I::dot_f32(axis.as_ptr(), row(place).as_ptr(), dim) } * place.scale;
            }
            part.select_nth_unstable_by(middle - from, |a, b| a.key.total_cmp(&b.key));
            parts.extend([(from, middle), (middle, to)].into_iter().filter(|(from, to)| to - from > ALIKE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries in two directions by turns.
    fn alternating(count: usize) -> Vec<f32> {
        (0..count).flat_map(|at| if at % 2 == 0 { [1.0, 0.1, 0.0] } else { [0.0, 0.2, 1.0] }).collect()
    }

    fn ordered(queries: &[f32], metric: Metric) -> Option<Vec<u32>> {
        by_likeness(queries, 3, metric, Level::active().unwrap())
    }

    #[test]
    fn similar_queries_are_neighbours() {
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let count = 1001;
            let order = ordered(&alternating(count), metric).unwrap();
            let changes = order.windows(2).filter(|pair| pair[0] % 2 != pair[1] % 2).count();
            assert!(changes <= count / 20, "{changes} changes of direction");
            let mut all = order;
            all.sort_unstable();
            assert!(all.iter().enumerate().all(|(at, query)| at == *query as usize));
        }
    }

    #[test]
    fn lengths_do_not_matter_under_cosine() {
        let count = 1000;
        let mut queries = alternating(count);
        for (at, query) in queries.chunks_exact_mut(3).enumerate() {
            let length = 1.5f32.powi(at as i32 % 50);
            for value in query {
                *value *= length;
            }
        }
        let order = ordered(&queries, Metric::Cosine).unwrap();
        let changes = order.windows(2).filter(|pair| pair[0] % 2 != pair[1] % 2).count();
        assert!(changes <= count / 20, "{changes} changes of direction");
    }

    #[test]
    fn a_small_batch_keeps_its_order() {
        assert_eq!(ordered(&alternating(FEWEST - 1), Metric::Dot), None);
    }

    #[test]
    fn products_that_overflow_have_an_order_too() {
        let mut queries = vec![f32::MAX; 3 * FEWEST];
        queries[5] = -f32::MAX;
        for metric in [Metric::Cosine, Metric::Dot] {
            assert_eq!(ordered(&queries, metric).unwrap().len(), FEWEST);
        }
    }
}
