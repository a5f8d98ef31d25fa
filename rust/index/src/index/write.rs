//! What changes an index: one call at a time, each whole or not at all.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::Index;
use crate::build::link::Linker;
use crate::errors::{AddError, Interrupted};
use crate::state::Coding;
use crate::storage::rows::{self, Rows};
use crate::work::Work;

/// How long a call waits for another writer before it looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(10);

impl Index {
    /// Give the vectors other ids, in the order of [`Self::ids`]. Counting goes on behind the largest of them.
    pub fn set_ids(&mut self, ids: &[u64]) -> Result<(), AddError> {
        let state = self.state.get_mut();
        state.ids = state.ids.replaced(ids, |slot| state.dead.contains(slot))?;
        Ok(())
    }

    /// Add vectors, `dim` values each, under given ids (one a vector) or counted ones; all or none. No id is counted twice, whatever
    /// becomes of its vector.
    pub fn add(&self, vectors: Vec<f32>, ids: Option<&[u64]>, work: &Work<'_>) -> Result<Vec<u64>, AddError> {
        rows::check("vectors", &vectors, &self.options, self.options.dtype, work)??;
        let _writer = self.write_alone(work)?;
        let (ids, first) = {
            let state = self.state.read();
            (state.ids.plan(vectors.len() / self.options.dim, ids)?, state.slots())
        };
        if ids.is_empty() {
            return Ok(ids);
        }
        let rows = Rows::from_vectors(&self.options, &vectors, work)?;
        drop(vectors);
        self.whole(first, || {
            self.append(rows, &ids, work)?;
            self.link_new(work)
        })?;
        Ok(ids)
    }

    /// Wait until no other call changes the index.
    fn write_alone(&self, work: &Work<'_>) -> Result<MutexGuard<'_, ()>, Interrupted> {
        loop {
            work.check()?;
            if let Some(guard) = self.writer.try_lock_for(PATIENCE) {
                return Ok(guard);
            }
        }
    }

    /// Append rows.
    fn append(&self, rows: Rows, ids: &[u64], work: &Work<'_>) -> Result<(), Interrupted> {
        // The codes come first, so that a vector is never without one.
        let codes = match &self.state.read().coding {
            Coding::Codes(codes) => Some(codes.encode(&rows, 0, self.level, work)?),
            _ => None,
        };
        let mut state = self.state.write();
        // Without memory this panics, before anything has changed.
        state.rows.reserve(rows.len());
        if let (Coding::Codes(codes), Some(fresh)) = (&mut state.coding, codes) {
            codes.bytes.extend_from_slice(&fresh);
        }
        state.rows.append(rows);
        state.ids.push(ids);
        self.version.fetch_add(ids.len() as u64, Ordering::Release);
        let slots = state.slots();
        state.dead.resize(slots);
        Ok(())
    }

    /// Do an addition whole or not at all, also where it panics.
    fn whole(&self, first: usize, addition: impl FnOnce() -> Result<(), Interrupted>) -> Result<(), Interrupted> {
        let added = panic::catch_unwind(AssertUnwindSafe(addition));
        if !matches!(added, Ok(Ok(()))) {
            self.take_back(first);
        }
        added.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    fn link_new(&self, work: &Work<'_>) -> Result<(), Interrupted> {
        let linker = self.linker(work);
        linker.train()?;
        if linker.is_due() { linker.link() } else { Ok(()) }
    }

    fn linker<'a>(&'a self, work: &'a Work<'a>) -> Linker<'a> {
        Linker { options: &self.options, level: self.level, state: &self.state, work }
    }

    /// Undo an addition that was interrupted: drop the slots from `first` on, or bury those that are linked already.
    fn take_back(&self, first: usize) {
        let mut state = self.state.write();
        self.version.fetch_add(1, Ordering::Release);
        if first == 0 {
            *state = state.emptied(&self.options);
            return;
        }
        let keep = state.graph.len().max(first);
        state.checked = state.checked.min(keep);
        for slot in first..keep {
            let id = state.ids.id(slot);
            state.ids.remove(id);
            state.dead.insert(slot);
        }
        state.rows.truncate(keep);
        state.ids.truncate(keep);
        state.dead.resize(keep);
        if state.trained > first {
            // The codec was fitted to what is gone: the next addition fits it again.
            state.trained = 0;
        }
        if let Coding::Codes(codes) = &mut state.coding {
            let bytes = keep * codes.stride;
            codes.bytes.resize(bytes, 0);
        }
    }

    /// Remove vectors; gives how many were there.
    pub fn remove(&self, ids: &[u64]) -> usize {
        let _writer = self.writer.lock();
        let mut state = self.state.write();
        let mut removed = 0;
        for &id in ids {
            if let Some(slot) = state.ids.remove(id) {
                state.dead.insert(slot);
                removed += 1;
            }
        }
        self.version.fetch_add(removed as u64, Ordering::Release);
        removed
    }

    /// Remove all vectors and give their memory back; gives how many there were.
    pub fn clear(&self) -> usize {
        let _writer = self.writer.lock();
        let old = {
            let mut state = self.state.write();
            let empty = state.emptied(&self.options);
            std::mem::replace(&mut *state, empty)
        };
        // The old state is freed outside of the lock of searches.
        let removed = old.ids.len();
        self.version.fetch_add(removed as u64, Ordering::Release);
        removed
    }

    /// Link every vector, make each reachable, and give back spare memory.
    pub fn optimize(&self, work: &Work<'_>) -> Result<(), Interrupted> {
        let _writer = self.write_alone(work)?;
        let linker = self.linker(work);
        linker.fit_anew()?;
        if linker.is_worthwhile() {
            linker.link()?;
            linker.survey_anew()?;
        }
        let mut state = self.state.write();
        if state.ids.len() == 0 {
            *state = state.emptied(&self.options);
        }
        state.rows.shrink();
        state.ids.shrink();
        state.graph.shrink();
        if let Coding::Codes(codes) = &mut state.coding {
            codes.bytes.shrink();
        }
        Ok(())
    }
}
