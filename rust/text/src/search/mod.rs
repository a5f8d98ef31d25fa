//! Search for the best documents of all segments.
//!
//! A search goes from segment to segment, the largest first, and keeps the best hits so far; the
//! worst of these is the *floor* that another must reach. Sums of scores (`sums`) find the
//! documents that can reach it or, if the query requires something, the list of the rarest required
//! term does (`required`). Each of these documents then gets its score from its own list of terms
//! (`scorer`), always added in the order of the query. A score therefore depends only on the
//! document, the query and the statistics, not on segments.

pub(crate) mod best;
pub(crate) mod constraints;
pub(crate) mod highlight;
pub(crate) mod query;
mod required;
mod scorer;
mod sums;

use std::cmp::Reverse;

use crate::bm25::{Saturation, idf};
use crate::index::{Part, TextIndex};
use best::{Best, Hit};
use query::{Occur, Query};
use scorer::{Scorer, Weights};

impl TextIndex {
    /// Return the `k` best documents that `live` accepts, best first; among equal scores, the
    /// smaller row comes first. Return fewer if fewer are found.
    ///
    /// A caller may also filter with `live`: the statistics are those of all documents that were
    /// not deleted.
    pub fn search(&self, query: &Query, k: usize, live: impl Fn(u32) -> bool) -> Vec<Hit> {
        if k == 0 || self.tokens() == 0 || query.is_empty() {
            return Vec::new();
        }
        let mut parts: Vec<(&Part, Vec<Option<Term>>)> =
            self.parts.iter().map(|part| (part, part.terms(query))).collect();
        parts.sort_by_key(|(part, _)| Reverse(part.segment.documents()));
        let frequency =
            |term: usize| parts.iter().filter_map(|(_, terms)| Some(u64::from(terms[term]?.frequency))).sum();
        let idf = (0..query.hashes.len()).map(|term| idf(self.documents(), frequency(term))).collect();
        let weights = Weights::new(query, idf);
        let saturation = Saturation::new(self.tokens() as f64 / self.documents() as f64);
        let requires = query.clauses.iter().any(|clause| clause.occur == Occur::Required);
        let mut best = Best::new(k, self.parts.iter().map(|part| part.segment.documents()).sum());
        for (part, terms) in &parts {
            let ids = terms.iter().map(|term| term.map(|term| term.id)).collect();
            let mut scorer = Scorer::new(&part.segment, query, ids, &weights, saturation);
            if requires {
                required::search(&mut scorer, &mut best, &live);
            } else {
                sums::search(&mut scorer, &mut best, &live);
            }
        }
        best.into_hits()
    }
}

/// A term of a query in a segment.
#[derive(Clone, Copy)]
pub(crate) struct Term {
    pub(crate) id: u32,
    /// Number of live documents with the term.
    frequency: u32,
}

impl Part {
    /// Look up each term of a query in the segment.
    pub(crate) fn terms(&self, query: &Query) -> Vec<Option<Term>> {
        let term = |(number, hash): (u32, &u64)| {
            let (id, df) = self.segment.term(*hash, query.terms.term(number))?;
            Some(Term { id, frequency: df.saturating_sub(self.deletions.document_frequency(id)) })
        };
        (0..).zip(&query.hashes).map(term).collect()
    }
}
