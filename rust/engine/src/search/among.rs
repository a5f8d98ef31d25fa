//! Lists of nearest rows, and searches among the rows of such a list: what a cache of answers asks for.
//!
//! Rows are numbered in the order they are written and never change but for their metadata. So what was put in since a list was made
//! is the rows from a number on, and what was removed is dead.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use roaring::RoaringBitmap;

use crate::collection::Collection;
use crate::errors::QueryError;
use crate::search::found::Found;
use crate::search::nearest::nearest;
use crate::search::request::Search;
use crate::search::run::Run;
use crate::search::scope::Scope;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::{Near, Vectors};

/// A state of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Numbers what was read from the disk.
    pub reading: u64,
    /// The last batch.
    pub sequence: u64,
    /// All rows are below.
    pub rows: u32,
}

/// The smallest and the largest norm of vectors; infinity and 0 without any, and under l2.
pub type Norms = (f64, f64);

/// The nearest rows of a vector, by exact search.
#[derive(Clone, Debug)]
pub struct List {
    /// Nearest first.
    pub rows: Vec<u32>,
    /// Their distances.
    pub distances: Vec<f32>,
    /// Of all vectors.
    pub norms: Norms,
    /// When.
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
    /// The state that a search would see now: equal ones of a collection are equal contents.
    pub fn moment(&self) -> Moment {
        Moment::of(&self.core.snapshot())
    }

    /// The rows with the nearest vectors, exactly, for [`Self::search_among`]: `vector`, `filter` and `k` of a search count.
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

    /// Search by vector among the rows of a list that was made at some moment and all rows that were written since; gives what is
    /// found, when, and the norms as in a list. `None` when these are more than `limit`, when what is on the disk was read anew since, or when metadata has
    /// changed since and the list is one of a filter, for then other rows may pass it.
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
        let (passing, stop) = (Some(Arc::new(some)), &AtomicBool::new(false));
        let run = Run { snapshot: &snapshot, search, passing, stop, alone: true };
        let found = run.candidates(plan)?.finish(search)?;
        Ok(Some((found, Moment::of(&snapshot), norms(&snapshot))))
    }
}
