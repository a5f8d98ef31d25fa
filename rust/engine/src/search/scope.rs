//! Which rows a search may find: live ones that pass its filter and meet the requirements of its
//! text.

use roaring::RoaringBitmap;
use tiercel_text::Constraints;

use crate::state::passing::Passing;
use crate::state::snapshot::Snapshot;

/// The rows of a snapshot that a search may find.
pub(crate) struct Scope<'a> {
    snapshot: &'a Snapshot,
    /// Only these rows, all of which are live; `None` for all live rows.
    only: Option<Passing>,
    /// Not these rows.
    not: RoaringBitmap,
}

impl<'a> Scope<'a> {
    /// Allow all live rows, or those of them that passed a filter.
    pub(crate) fn new(snapshot: &'a Snapshot, passing: Option<Passing>) -> Self {
        // Ignore a filter that all records pass.
        let only = passing.filter(|passing| passing.rows().len() < snapshot.live);
        Self { snapshot, only, not: RoaringBitmap::new() }
    }

    /// Exclude rows that violate the constraints of a text.
    pub(crate) fn narrow(&mut self, constraints: Constraints) {
        let bitmap = |rows: Vec<u32>| RoaringBitmap::from_sorted_iter(rows).unwrap_or_default();
        if let Some(required) = constraints.required {
            let rows = required.into_iter().filter(|row| self.holds(*row)).collect();
            self.only = Some(Passing::new(bitmap(rows)));
        }
        let excluded = bitmap(constraints.excluded);
        match &mut self.only {
            Some(only) if !only.rows().is_disjoint(&excluded) => *only = Passing::new(only.rows() - &excluded),
            Some(_) => {}
            None => self.not = excluded,
        }
    }

    /// Whether a row may be found.
    pub(crate) fn holds(&self, row: u32) -> bool {
        match &self.only {
            Some(only) => only.rows().contains(row),
            None => self.snapshot.lives(row) && !self.not.contains(row),
        }
    }

    /// Return the only rows that may be found; `None` if nearly all may be.
    pub(crate) fn only(&self) -> Option<&Passing> {
        self.only.as_ref()
    }

    /// Return how many rows may be found, at most.
    pub(crate) fn count(&self) -> usize {
        self.only.as_ref().map_or(self.snapshot.live, |only| only.rows().len()) as usize
    }

    /// Return the share of all records that may be found, at most.
    pub(crate) fn share(&self) -> f64 {
        self.count() as f64 / self.snapshot.live.max(1) as f64
    }
}
