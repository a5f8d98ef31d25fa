//! The nearest rows among those that a search may find.

use tiercel_index::Trace;

use crate::errors::QueryError;
use crate::search::scope::Scope;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::{Near, Nearest};

/// The least share of rows passing a filter for which they are picked from a longer ranking of all
/// rows.
const BROAD: f64 = 0.25;

/// Return how many of the nearest of all rows to request, one try after the other, to find `k` that
/// belong to a share of the rows. When no try is left, and at once for a small share, the index
/// searches that share only, since the query may be far from it.
pub(crate) fn among_all(k: usize, share: f64) -> impl Iterator<Item = usize> {
    let likely = ((k as f64 * 1.25 / share) as usize).saturating_add(8);
    [likely, likely.saturating_mul(4)].into_iter().filter(move |_| share >= BROAD)
}

/// Return the nearest rows that may be found, by the method that suits their share. `near` must
/// allow all rows.
pub(crate) fn nearest(snapshot: &Snapshot, scope: &Scope<'_>, near: Near<'_>) -> Result<Nearest, QueryError> {
    let Some(vectors) = &snapshot.vectors else { return Ok(Nearest::none()) };
    let k = near.k;
    let Some(only) = scope.only() else { return vectors.search(&near, |row| scope.holds(row)) };
    let (mut tried, mut fresh) = (Trace::default(), Trace::default());
    for more in among_all(k, scope.share()) {
        let mut found = vectors.search(&Near { k: more, ..near }, |row| snapshot.lives(row))?;
        found.rows.retain(|(row, _)| only.rows().contains(*row));
        tried.add(&found.trace);
        fresh.add(&found.fresh);
        if found.rows.len() >= k {
            found.rows.truncate(k);
            return Ok(Nearest { trace: tried, fresh, ..found });
        }
    }
    let mut found = vectors.search(&Near { allowed: Some(only), ..near }, |row| only.rows().contains(row))?;
    // What the tries could have missed, this search has not.
    let gap = found.trace.gap;
    found.trace.add(&tried);
    found.trace.gap = gap;
    found.fresh.add(&fresh);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broad_share_is_picked_from_a_longer_ranking() {
        assert!(among_all(10, 0.5).eq([33, 132]));
        assert_eq!(among_all(10, 0.2).count(), 0);
    }
}
