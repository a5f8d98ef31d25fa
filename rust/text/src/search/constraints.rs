//! The documents that a query allows by its signs and quotes, regardless of scores.

use super::query::{Clause, Occur, Query};
use super::scorer::{Scorer, Weights};
use crate::bm25::Saturation;
use crate::index::TextIndex;

/// The rows that a query requires and excludes, including dead ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Rows of the documents with everything that is required, in increasing order; `None` if
    /// nothing is.
    pub required: Option<Vec<u32>>,
    /// Rows of the documents with anything that is excluded, in increasing order.
    pub excluded: Vec<u32>,
}

impl TextIndex {
    /// Find the rows that a query requires and excludes.
    pub fn constraints(&self, query: &Query) -> Constraints {
        let [required, excluded] = [Occur::Required, Occur::Excluded].map(|occur| query.clauses_that(occur));
        let mut found = Constraints { required: (!required.is_empty()).then(Vec::new), excluded: Vec::new() };
        // No scores are needed, so no term needs a weight.
        let weights = Weights::new(query, vec![0.0; query.hashes.len()]);
        for part in &self.parts {
            let ids = part.terms(query).into_iter().map(|term| term.map(|term| term.id)).collect();
            let mut scorer = Scorer::new(&part.segment, query, ids, &weights, Saturation::new(1.0));
            if let Some(rows) = &mut found.required {
                rows.extend(with_all(&mut scorer, &required));
            }
            let with_any = scorer.with_any(&excluded);
            found.excluded.extend(with_any.into_iter().map(|document| part.segment.rows[document as usize]));
        }
        found
    }
}

fn with_all(scorer: &mut Scorer<'_>, clauses: &[&Clause]) -> Vec<u32> {
    let mut rows = Vec::new();
    if let Some(list) = scorer.rarest_of(clauses) {
        list.for_each_document(|document| {
            if scorer.has_all(document, clauses) {
                rows.push(scorer.segment.rows[document as usize]);
            }
        });
    }
    rows
}
