//! Search with required terms: only documents with the rarest one are looked at.

use super::best::{Best, Hit};
use super::query::Occur;
use super::scorer::Scorer;

pub(crate) fn search(scorer: &mut Scorer<'_>, best: &mut Best, live: &impl Fn(u32) -> bool) {
    let required = scorer.query.clauses.iter().filter(|clause| clause.occur == Occur::Required);
    let lists: Option<Vec<_>> = required.map(|clause| scorer.rarest(clause)).collect();
    // Terms are numbered by decreasing frequency.
    let Some((_, list)) = lists.and_then(|lists| lists.into_iter().max_by_key(|(term, _)| *term)) else { return };
    list.for_each_document(|document| {
        let row = scorer.segment.rows[document as usize];
        if live(row)
            && let Some(score) = scorer.score(document)
        {
            best.push(Hit { row, score });
        }
    });
}
