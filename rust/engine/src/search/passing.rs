//! The rows that pass the filter of a search, kept for the next search with the same filter.

use std::sync::Arc;
use std::time::Instant;

use crate::errors::QueryError;
use crate::filter::Filter;
use crate::search::plan::Plan;
use crate::search::select::{later, select};
use crate::state::core::Core;
use crate::state::known::Recalled;
use crate::state::passing::Passing;
use crate::state::snapshot::Snapshot;

/// Return the newest snapshot, its live rows that pass a filter, and the plan of the search so far.
pub(crate) fn passing(core: &Core, text: &str) -> Result<(Arc<Snapshot>, Passing, Plan), QueryError> {
    let begin = Instant::now();
    let snapshot = core.snapshot();
    let (filter, known) = match core.filters.recall(text, &snapshot) {
        Some(known) => known,
        None => (Arc::new(Filter::from_text(text)?), Recalled::Unknown),
    };
    let mut plan = Plan { cached: matches!(known, Recalled::Current(_)), ..Plan::default() };
    let (snapshot, rows) = match known {
        Recalled::Current(rows) => (snapshot, rows),
        Recalled::Before(before, new) => {
            let rows = Passing::new(later(&snapshot, &filter, before.rows(), new)?);
            core.filters.keep(text, filter, rows.clone(), &snapshot);
            (snapshot, rows)
        }
        Recalled::Unknown => {
            // This snapshot may be newer.
            let (snapshot, rows) = select(core, &filter)?;
            let rows = Passing::new(rows);
            core.filters.keep(text, filter, rows.clone(), &snapshot);
            (snapshot, rows)
        }
    };
    plan.note("filter", begin, rows.rows().len() as usize);
    plan.selectivity = Some(rows.rows().len() as f64 / snapshot.live.max(1) as f64);
    Ok((snapshot, rows, plan))
}
