//! Which rows a search may find: those that live, pass its filter, and hold what its text requires.

use std::sync::Arc;

use roaring::RoaringBitmap;
use tiercel_text::Constraints;

use crate::state::snapshot::Snapshot;

/// The rows of a snapshot that a search may find.
pub(crate) struct Scope<'a> {
    snapshot: &'a Snapshot,
    /// These alone, all of which live; `None` for all that live.
    only: Option<Arc<RoaringBitmap>>,
    /// None of these.
    not: RoaringBitmap,
}

impl<'a> Scope<'a> {
    /// All that live, or those of them that passed a filter.
    pub(crate) fn new(snapshot: &'a Snapshot, passing: Option<Arc<RoaringBitmap>>) -> Self {
        // A filter that holds for everything is none.
        let only = passing.filter(|rows| rows.len() < snapshot.live);
        Self { snapshot, only, not: RoaringBitmap::new() }
    }

    /// Leave out what does not hold to the constraints of a text.
    pub(crate) fn narrow(&mut self, constraints: Constraints) {
        let bitmap = |rows: Vec<u32>| RoaringBitmap::from_sorted_iter(rows).unwrap_or_default();
        if let Some(required) = constraints.required {
            let rows = required.into_iter().filter(|row| self.holds(*row)).collect();
            self.only = Some(Arc::new(bitmap(rows)));
        }
        let excluded = bitmap(constraints.excluded);
        match &mut self.only {
            Some(only) if !only.is_disjoint(&excluded) => *Arc::make_mut(only) -= excluded,
            Some(_) => {}
            None => self.not = excluded,
        }
    }

    /// Whether a row may be found.
    pub(crate) fn holds(&self, row: u32) -> bool {
        match &self.only {
            Some(only) => only.contains(row),
            None => self.snapshot.lives(row) && !self.not.contains(row),
        }
    }

    /// The only rows that may be found, unless that is nearly all.
    pub(crate) fn only(&self) -> Option<&RoaringBitmap> {
        self.only.as_deref()
    }

    /// How many rows may be found, at most.
    pub(crate) fn count(&self) -> usize {
        self.only.as_ref().map_or(self.snapshot.live, |only| only.len()) as usize
    }

    /// The share of all records that may be found, at most.
    pub(crate) fn share(&self) -> f64 {
        self.count() as f64 / self.snapshot.live.max(1) as f64
    }
}
