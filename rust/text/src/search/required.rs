//! Search with required terms: only documents with the rarest one are looked at.

use super::best::{Best, Hit};
use super::query::Occur;
use super::scorer::Scorer;

pub(crate) fn search(scorer: &mut Scorer<'_>, best: &mut Best, live: &impl Fn(u32) -> bool) {
    let required = scorer.query.clauses_that(Occur::Required);
    let Some(list) = scorer.rarest_of(&required) else { return };
    list.for_each_document(|document| {
        let row = scorer.segment.rows[document as usize];
        if live(row)
            && let Some(score) = scorer.score(document)
        {
            best.push(Hit { row, score });
        }
    });
}
