//! Searches: the best documents of all segments.
//!
//! A search goes from segment to segment, the largest first, and keeps the best hits so far; the worst of them is the
//! *floor* that another must reach. Which documents can reach it is found by sums of their scores (`sums`) or, where
//! something is required, by the list of what is rarest (`required`). Each of those gets its score from its own list of
//! terms (`scorer`), always added in the order of the query. So a score depends on the document, the query and the
//! statistics alone, not on segments.

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
    /// The `k` best documents among those of which `live` says so, the best first; of equal ones that of the smaller row.
    /// Fewer if fewer are found.
    ///
    /// `live` is how a caller filters, too: the statistics are those of all documents that were not taken out.
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
    /// Living documents that have it.
    frequency: u32,
}

impl Part {
    /// What the segment knows of each term of a query.
    pub(crate) fn terms(&self, query: &Query) -> Vec<Option<Term>> {
        let term = |(number, hash): (u32, &u64)| {
            let (id, df) = self.segment.term(*hash, query.terms.term(number))?;
            Some(Term { id, frequency: df.saturating_sub(self.deletions.document_frequency(id)) })
        };
        (0..).zip(&query.hashes).map(term).collect()
    }
}
