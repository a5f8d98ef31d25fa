//! Hits, and the best of them so far.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A document found by a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The row of the document.
    pub row: u32,
    /// Larger is better.
    pub score: f32,
}

/// Keeps the best `k` of all pushed hits.
pub(crate) struct Best {
    k: usize,
    worst_first: BinaryHeap<Ranked>,
}

/// A hit in an order where better hits are smaller.
struct Ranked(Hit);

impl Best {
    /// Keep `k` hits; `most` is the number of possible hits, so that a large `k` takes no memory.
    pub(crate) fn new(k: usize, most: usize) -> Self {
        Self { k, worst_first: BinaryHeap::with_capacity(k.min(most)) }
    }

    pub(crate) const fn k(&self) -> usize {
        self.k
    }

    /// Return the score that a hit must reach to be kept.
    #[inline]
    pub(crate) fn floor(&self) -> f32 {
        if self.worst_first.len() < self.k { 0.0 } else { self.worst_first.peek().map_or(0.0, |worst| worst.0.score) }
    }

    pub(crate) fn push(&mut self, hit: Hit) {
        let hit = Ranked(hit);
        if self.worst_first.len() < self.k {
            self.worst_first.push(hit);
        } else if let Some(mut worst) = self.worst_first.peek_mut().filter(|worst| hit < **worst) {
            *worst = hit;
        }
    }

    /// Return the hits, best first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        self.worst_first.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then(self.0.row.cmp(&other.0.row))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}
