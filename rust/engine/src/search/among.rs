//! Lists of nearest rows, and searches among the rows of a list, for the cache of answers.
//!
//! Rows are numbered in the order of writing and never change, except for their metadata. So the
//! rows added after a list was made are those from a number on, and removed rows are dead.

use std::sync::atomic::AtomicBool;

use roaring::RoaringBitmap;

use crate::collection::Collection;
use crate::errors::QueryError;
use crate::search::found::Found;
use crate::search::nearest::nearest;
use crate::search::request::Search;
use crate::search::run::Run;
use crate::search::scope::Scope;
use crate::state::passing::Passing;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::{Near, Vectors};

/// A state of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The number of the reading from disk.
    pub reading: u64,
    /// The last batch.
    pub sequence: u64,
    /// All row numbers are below this.
    pub rows: u32,
}

/// The smallest and the largest norm of the vectors; infinity and 0 if there are none, and under
/// l2.
pub type Norms = (f64, f64);

/// The nearest rows of a vector, by exact search.
#[derive(Clone, Debug)]
pub struct List {
    /// Nearest first.
    pub rows: Vec<u32>,
    /// Their distances.
    pub distances: Vec<f32>,
    /// The norms of all vectors.
    pub norms: Norms,
    /// The state that the list is of.
    pub moment: Moment,
}

impl Moment {
    const fn of(snapshot: &Snapshot) -> Self {
        Self { reading: snapshot.reading, sequence: snapshot.sequence, rows: snapshot.rows }
    }
}

fn norms(snapshot: &Snapshot) -> Norms {
    snapshot.vectors.as_ref().map_or((f64::INFINITY, 0.0), Vectors::norms)
}

impl Collection {
    /// Return the state that a search would see now. Equal states of a collection have equal
    /// contents.
    pub fn moment(&self) -> Moment {
        Moment::of(&self.core.snapshot())
    }

    /// Return the rows with the exactly nearest vectors, for [`Self::search_among`]. Only `vector`,
    /// `filter` and `k` of the search matter.
    pub fn list(&self, search: &Search<'_>) -> Result<List, QueryError> {
        let vector = search.vector.unwrap_or_default();
        self.check("vector", vector)?;
        let (snapshot, passing, _) = self.plan(search)?;
        let scope = Scope::new(&snapshot, passing);
        let stop = &AtomicBool::new(false);
        let near = Near { query: vector, k: search.k, recall: Some(1.0), allowed: None, stop, timed: false };
        let found = nearest(&snapshot, &scope, near)?.rows;
        let (rows, distances) = found.into_iter().unzip();
        Ok(List { rows, distances, norms: norms(&snapshot), moment: Moment::of(&snapshot) })
    }

    /// Search by vector among the rows of a list that was made at `since` and all rows that were
    /// written later. Return the results, the state they are of, and the norms as in a list. Return
    /// `None` if there are more than `limit` later rows, or if the content was read from disk again
    /// since then. Also return `None` if metadata has changed since and the list is filtered, since
    /// other rows may pass the filter now.
    pub fn search_among(
        &self,
        search: &Search<'_>,
        rows: &[u32],
        since: Moment,
        limit: u32,
        is_filtered: bool,
    ) -> Result<Option<(Found, Moment, Norms)>, QueryError> {
        self.check("vector", search.vector.unwrap_or_default())?;
        let (snapshot, passing, plan) = self.plan(search)?;
        let is_known = snapshot.reading == since.reading && snapshot.rows.wrapping_sub(since.rows) <= limit;
        if !is_known || (is_filtered && snapshot.metadata_sequence > since.sequence) {
            return Ok(None);
        }
        let scope = Scope::new(&snapshot, passing);
        let all = rows.iter().copied().chain(since.rows..snapshot.rows);
        let some: RoaringBitmap = all.filter(|row| scope.holds(*row)).collect();
        let (passing, stop) = (Some(Passing::new(some)), &AtomicBool::new(false));
        let run = Run { snapshot: &snapshot, search, passing, stop, alone: true };
        let found = run.candidates(plan)?.finish(search)?;
        Ok(Some((found, Moment::of(&snapshot), norms(&snapshot))))
    }
}
