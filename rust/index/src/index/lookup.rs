//! Look up ids: their vectors, and how many a filter allows.

use super::Index;
use super::chosen::{Filter, chosen};
use crate::errors::{RawError, SearchError};

impl Index {
    /// Return the vector of each id, as it was added; `None` for an id that is not in the index.
    pub fn vectors(&self, ids: &[u64]) -> Result<Vec<Option<Vec<f32>>>, RawError> {
        let state = self.state();
        let watch = state.rows.watch();
        let vector = |id: &u64| {
            let slot = state.ids.slot(*id)?;
            let mut vector = Vec::with_capacity(self.options().dim);
            state.rows.vector(slot, &mut vector);
            Some(vector)
        };
        let vectors = ids.iter().map(vector).collect();
        watch.check()?;
        Ok(vectors)
    }

    /// Count the vectors that a filter allows, or all without one.
    pub fn count(&self, filter: Option<&Filter<'_>>) -> Result<usize, SearchError> {
        let state = self.state();
        Ok(chosen(&state, filter)?.map_or(state.ids.len(), |chosen| chosen.count()))
    }
}
