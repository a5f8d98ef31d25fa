//! The index: vectors by id, safe to use from many threads.
//!
//! Readers hold a state, which never changes. One writer at a time, who holds `writer` for the length of an operation, builds the next
//! state beside it and publishes that as a whole. Nobody waits for a reader, and readers wait for nobody.

pub(crate) mod among;
mod lookup;
pub(crate) mod read;
pub(crate) mod stats;
mod write;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thiserror::Error;
use tiercel_simd::{Level, LevelError};

use crate::errors::NotFound;
use crate::options::{Options, OptionsError};
use crate::search::query::Memory;
use crate::state::State;

/// Nearest-neighbour index in memory.
pub struct Index {
    options: Options,
    pub(crate) level: Level,
    /// The lock is held for no longer than it takes to copy or to replace the pointer.
    current: RwLock<Arc<State>>,
    writer: Mutex<()>,
    /// Memory of walks that no search uses now.
    idle: Mutex<Vec<Memory>>,
}

/// Why an index could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NewError {
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The instruction set asked for cannot be used.
    #[error(transparent)]
    Simd(#[from] LevelError),
}

impl Index {
    /// An empty index.
    pub fn new(options: Options) -> Result<Self, NewError> {
        options.check()?;
        let state = State::new(&options);
        Ok(Self::from_state(options, Level::active()?, state))
    }

    pub(crate) fn from_state(options: Options, level: Level, state: State) -> Self {
        Self { options, level, current: RwLock::new(Arc::new(state)), writer: Mutex::default(), idle: Mutex::default() }
    }

    /// The state that was published last.
    pub(crate) fn state(&self) -> Arc<State> {
        self.current.read().clone()
    }

    /// Make a state the current one. The caller holds the lock of the one writer.
    fn publish(&self, next: State) {
        let next = Arc::new(next);
        let old = std::mem::replace(&mut *self.current.write(), next);
        // Not under the lock: this may free all that the next state does not share.
        drop(old);
    }

    /// What it was made with.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Vectors that can be found.
    pub fn len(&self) -> usize {
        self.state().ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots, those of removed vectors among them: what a scan costs.
    pub fn slots(&self) -> usize {
        self.state().slots()
    }

    /// Grows by one with every vector that is added or removed: equal versions of an index are equal contents. Whatever was added
    /// since a version is in the last slots, and not in more of them than it has grown by.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// The smallest and the largest norm of all vectors that were ever in the index since it was made or loaded; infinity and 0 when
    /// there were none, and under l2.
    pub fn norms(&self) -> (f64, f64) {
        self.state().rows.norms()
    }

    /// Whether an id is in the index.
    pub fn contains(&self, id: u64) -> bool {
        self.state().ids.slot(id).is_some()
    }

    /// All ids, in the order they were added.
    pub fn ids(&self) -> Vec<u64> {
        let state = self.state();
        state.living().map(|slot| state.ids.id(slot)).collect()
    }

    /// The vectors of ids, one after the other, as they were given.
    pub fn get(&self, ids: &[u64]) -> Result<Vec<f32>, NotFound> {
        let state = self.state();
        let (mut vectors, mut row) = (Vec::with_capacity(ids.len() * self.options.dim), Vec::new());
        for &id in ids {
            state.rows.vector(state.ids.slot(id).ok_or(NotFound { id })?, &mut row);
            vectors.extend_from_slice(&row);
        }
        Ok(vectors)
    }

    /// Memory of walks that no search uses now.
    fn memory(&self) -> Memory {
        self.idle.lock().pop().unwrap_or_default()
    }
}

impl Clone for Index {
    fn clone(&self) -> Self {
        Self::from_state(self.options.clone(), self.level, State::clone(&self.state()))
    }
}
