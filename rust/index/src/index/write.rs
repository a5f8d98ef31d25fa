//! Change an index: one call at a time, each completely or not at all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;
use tiercel_simd::allocator::give_back;

use super::Index;
use crate::build::link::Linker;
use crate::errors::{AddError, BuildError, Interrupted};
use crate::state::{Coding, State};
use crate::storage::check;
use crate::storage::ids::PADDING;
use crate::work::Work;

/// How long a call waits for another writer before it checks whether to stop.
const PATIENCE: Duration = Duration::from_millis(10);

/// Bytes of added vectors from which on the memory that an addition has freed goes back to the system.
const MUCH: usize = 16 << 20;

impl Index {
    /// Give the vectors other ids, in the order of [`Self::ids`]. Counted ids continue after the
    /// largest of these.
    pub fn set_ids(&mut self, ids: &[u64]) -> Result<(), AddError> {
        let state = Arc::make_mut(self.current.get_mut());
        state.ids = state.ids.replaced(ids, |slot| state.dead.contains(slot))?;
        Ok(())
    }

    /// Add vectors, `dim` values each, under `ids`, one per vector, or under counted ids: all or
    /// none. No id is ever counted twice, even if its vector is removed. Vectors passed by value
    /// are freed once they are copied.
    pub fn add<'v>(
        &self,
        vectors: impl Into<Cow<'v, [f32]>>,
        ids: Option<&[u64]>,
        work: &Work<'_>,
    ) -> Result<Vec<u64>, AddError> {
        self.add_rows(vectors.into(), ids, work)
    }

    fn add_rows(&self, vectors: Cow<'_, [f32]>, ids: Option<&[u64]>, work: &Work<'_>) -> Result<Vec<u64>, AddError> {
        check::check("vectors", &vectors, &self.options, self.options.narrowest(), work)??;
        let _writer = self.write_alone(work)?;
        let is_much = size_of_val(&*vectors) >= MUCH;
        let added = self.put(State::clone(&self.state()), vectors, ids, work);
        if is_much {
            give_back();
        }
        added
    }

    /// Add vectors, `dim` values each, under ids, one per vector, replacing the vectors that these
    /// ids have: all or none. The last of equal ids wins. A search finds the old vector of an id or
    /// the new one, never both or neither. Return the number of distinct ids.
    pub fn upsert(&self, vectors: Vec<f32>, ids: &[u64], work: &Work<'_>) -> Result<usize, AddError> {
        check::check("vectors", &vectors, &self.options, self.options.narrowest(), work)??;
        let expected = vectors.len() / self.options.dim;
        if ids.len() != expected {
            return Err(AddError::Ids { expected, got: ids.len() });
        }
        if let Some(row) = ids.iter().position(|id| *id == PADDING) {
            return Err(AddError::Reserved { row });
        }
        let (vectors, ids) = last_of_each(vectors, ids, self.options.dim);
        let _writer = self.write_alone(work)?;
        let mut next = State::clone(&self.state());
        for id in &ids {
            next.remove(*id);
        }
        Ok(self.put(next, vectors.into(), Some(&ids), work)?.len())
    }

    /// Append vectors to a state and publish it. The caller holds `writer`.
    fn put(
        &self,
        mut next: State,
        vectors: Cow<'_, [f32]>,
        ids: Option<&[u64]>,
        work: &Work<'_>,
    ) -> Result<Vec<u64>, AddError> {
        let ids = next.ids.plan(vectors.len() / self.options.dim, ids)?;
        if ids.is_empty() {
            return Ok(ids);
        }
        next.ids.push(&ids);
        if let Err(error) = self.append(&mut next, vectors, work) {
            if error != AddError::Interrupted {
                return Err(error);
            }
            // The only trace of this call is that its ids are used.
            let mut same = State::clone(&self.state());
            same.ids.count_past(&ids);
            self.publish(same);
            return Err(error);
        }
        next.version += ids.len() as u64;
        self.publish(next);
        Ok(ids)
    }

    /// Append vectors to a state that already has their ids; code, train and link as needed. After a
    /// failure nobody may use the state.
    fn append(&self, next: &mut State, vectors: Cow<'_, [f32]>, work: &Work<'_>) -> Result<(), AddError> {
        let len = next.rows.len();
        let appended = self.append_all(next, vectors, work);
        if appended.is_err() {
            next.rows.give_up(len);
        }
        appended
    }

    fn append_all(&self, next: &mut State, vectors: Cow<'_, [f32]>, work: &Work<'_>) -> Result<(), AddError> {
        let watch = next.rows.watch();
        self.linker(next, work).make_room(vectors.len() / self.options.dim)?;
        next.rows.append(&vectors, work)?;
        next.append_halves(&vectors, &self.options, work)?;
        drop(vectors);
        if let Coding::Codes(codes) = &mut next.coding {
            codes.append(&next.rows, self.level, work)?;
        }
        let mut linker = self.linker(next, work);
        linker.train()?;
        if linker.is_due() {
            linker.link()?;
        }
        linker.trim();
        next.forget_full(&self.options);
        Ok(watch.check()?)
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

    /// Whether a call is changing the index.
    pub fn is_changing(&self) -> bool {
        self.writer.is_locked()
    }

    fn linker<'a>(&'a self, state: &'a mut State, work: &'a Work<'a>) -> Linker<'a> {
        Linker { options: &self.options, level: self.level, state, work }
    }

    /// Remove vectors, and return how many were removed.
    pub fn delete(&self, ids: &[u64]) -> usize {
        let _writer = self.writer.lock();
        let mut next = State::clone(&self.state());
        let removed = ids.iter().filter(|id| next.remove(**id)).count();
        if removed > 0 {
            self.publish(next);
        }
        removed
    }

    /// Publish a changed copy of the state, which finds the same as before.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        let _writer = self.writer.lock();
        let mut next = State::clone(&self.state());
        change(&mut next);
        self.publish(next);
    }

    /// Remove all vectors, free their memory, and return how many were removed.
    pub fn clear(&self) -> usize {
        let _writer = self.writer.lock();
        let state = self.state();
        let removed = state.ids.len();
        let mut empty = state.emptied(&self.options);
        empty.version += removed as u64;
        self.publish(empty);
        self.free_idle();
        removed
    }

    /// Link every vector, make each reachable, and free spare memory. Work done before an
    /// interruption is kept.
    pub fn optimize(&self, work: &Work<'_>) -> Result<(), BuildError> {
        let _writer = self.write_alone(work)?;
        let mut next = State::clone(&self.state());
        let watch = next.rows.watch();
        let result = self.bring_up_to_date(&mut next, work);
        watch.check()?;
        if !matches!(result, Ok(()) | Err(BuildError::Interrupted(_))) {
            return result;
        }
        if next.ids.len() == 0 {
            next = next.emptied(&self.options);
        }
        if result.is_ok() {
            next.shrink();
        }
        // After that, so that both share the codes.
        next.forget_full(&self.options);
        self.publish(next);
        self.free_idle();
        give_back();
        result
    }

    fn bring_up_to_date(&self, next: &mut State, work: &Work<'_>) -> Result<(), BuildError> {
        let mut linker = self.linker(next, work);
        linker.fit_anew()?;
        if linker.is_worthwhile() {
            linker.link()?;
            linker.link_anew()?;
        }
        Ok(())
    }
}

/// Return the last vector of each id, in order.
fn last_of_each(vectors: Vec<f32>, ids: &[u64], dim: usize) -> (Vec<f32>, Vec<u64>) {
    let last: HashMap<u64, usize> = ids.iter().copied().zip(0..).collect();
    if last.len() == ids.len() {
        return (vectors, ids.to_vec());
    }
    let kept: Vec<usize> = (0..ids.len()).filter(|row| last[&ids[*row]] == *row).collect();
    let rows = kept.iter().flat_map(|row| &vectors[row * dim..][..dim]).copied().collect();
    (rows, kept.iter().map(|row| ids[*row]).collect())
}
