//! Searches where something is required: only the documents that have the rarest of it are looked at.

use crate::best::Best;
use crate::postings::{Decoded, List};
use crate::query::Occur;
use crate::scorer::Scorer;
use crate::search::Hit;

pub(crate) fn search(scorer: &mut Scorer<'_>, best: &mut Best, live: &impl Fn(u32) -> bool) {
    let required = scorer.query.clauses.iter().filter(|clause| clause.occur == Occur::Required);
    let lists: Option<Vec<_>> = required.map(|clause| scorer.rarest(clause)).collect();
    // Terms are numbered by falling frequency.
    let Some((_, list)) = lists.and_then(|lists| lists.into_iter().max_by_key(|(term, _)| *term)) else { return };
    for_each_document(list, |document| {
        let row = scorer.segment.rows[document as usize];
        if live(row)
            && let Some(score) = scorer.score(document)
        {
            best.push(Hit { row, score });
        }
    });
}

/// Call `found` with each document of a list.
pub(crate) fn for_each_document(list: List<'_>, mut found: impl FnMut(u32)) {
    match list {
        List::Short(entries) => {
            for (document, _) in entries {
                found(document);
            }
        }
        List::Long(list) => {
            let mut decoded = Decoded::new();
            for block in 0..list.blocks.len() {
                list.read(block, &mut decoded);
                for document in decoded.documents() {
                    found(*document);
                }
            }
        }
    }
}
