//! The index: vectors by id, safe to use from many threads.
//!
//! Readers hold a state, which never changes. One writer at a time, holding `writer` during an
//! operation, builds the next state beside it and publishes it as a whole. Nobody waits for
//! readers, and readers wait for nobody.

pub(crate) mod among;
pub(crate) mod chosen;
mod lookup;
pub(crate) mod read;
pub(crate) mod stats;
mod write;

use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thiserror::Error;
use tiercel_simd::{Level, LevelError};

use crate::errors::GetError;
use crate::options::{Options, OptionsError, Raw, Rerank, Storage};
use crate::search::query::Memory;
use crate::state::State;

/// Nearest-neighbour index.
pub struct Index {
    options: Options,
    pub(crate) level: Level,
    /// The lock is held only while the pointer is copied or replaced.
    current: RwLock<Arc<State>>,
    writer: Mutex<()>,
    /// Memory of searches that is not in use.
    idle: Mutex<Vec<Memory>>,
}

/// Why an index could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NewError {
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Full vectors that searches compare must be in memory.
    #[error("storage: expected codes with raw '{raw}', got 'raw'")]
    Compared {
        /// Where they are to be.
        raw: &'static str,
    },
    /// Forgotten vectors cannot be compared with anything.
    #[error("rerank: expected 'none' or 'f16' with raw 'none', got 'full'")]
    Forgotten,
    /// A budget of memory chooses where full vectors are.
    #[error("raw: expected 'memory' or 'disk' with memory, which may move full vectors, got 'none'")]
    Budget,
    /// A budget of memory chooses the storage.
    #[error("storage: expected 'auto' with memory, which chooses it, got '{storage}'")]
    Chosen {
        /// The name of the storage.
        storage: String,
    },
    /// The requested instruction set cannot be used.
    #[error(transparent)]
    Simd(#[from] LevelError),
}

impl Index {
    /// Make an empty index.
    pub fn new(options: Options) -> Result<Self, NewError> {
        options.check()?;
        if options.raw != Raw::Memory && options.storage == Storage::Raw {
            return Err(NewError::Compared { raw: options.raw.name() });
        }
        if options.raw == Raw::Nothing && matches!(options.rerank, Rerank::Auto | Rerank::Full) {
            return Err(NewError::Forgotten);
        }
        if options.raw == Raw::Nothing && options.memory.is_some() {
            return Err(NewError::Budget);
        }
        if options.memory.is_some() && options.storage != Storage::Auto {
            return Err(NewError::Chosen { storage: options.storage.name().into_owned() });
        }
        let state = State::new(&options);
        Ok(Self::from_state(options, Level::active()?, state))
    }

    pub(crate) fn from_state(options: Options, level: Level, state: State) -> Self {
        Self { options, level, current: RwLock::new(Arc::new(state)), writer: Mutex::default(), idle: Mutex::default() }
    }

    /// Return the last published state.
    pub(crate) fn state(&self) -> Arc<State> {
        self.current.read().clone()
    }

    /// Make a state the current one. The caller holds `writer`.
    fn publish(&self, next: State) {
        let next = Arc::new(next);
        let old = std::mem::replace(&mut *self.current.write(), next);
        // After unlocking, since this may free all that the next state does not share.
        drop(old);
    }

    /// Return the options of the index.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Return where the full vectors are: on disk if the options say so, or if a budget of memory
    /// has moved them there.
    pub fn raw(&self) -> Raw {
        match self.options.raw {
            Raw::Nothing => Raw::Nothing,
            _ if self.state().rows.are_on_disk() => Raw::Disk,
            _ => Raw::Memory,
        }
    }

    /// Return what searches compare the best candidates with once more; never [`Rerank::Auto`].
    pub fn rerank(&self) -> Rerank {
        self.state().rerank(&self.options)
    }

    /// Return the number of vectors that can be found.
    pub fn len(&self) -> usize {
        self.state().ids.len()
    }

    /// Whether the index has no vectors.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Return the number of slots, including those of removed vectors. It is the cost of a scan.
    pub fn slots(&self) -> usize {
        self.state().slots()
    }

    /// Return the version, which grows by one with every vector that is added or removed. An index
    /// with the same version has the same contents. Vectors added since a version are in the last
    /// slots, at most as many as the version has grown by.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// Return the smallest and the largest norm of all vectors ever in the index since it was made
    /// or loaded; infinity and 0 if there were none, and under l2.
    pub fn norms(&self) -> (f64, f64) {
        self.state().rows.norms()
    }

    /// Whether an id is in the index.
    pub fn contains(&self, id: u64) -> bool {
        self.state().ids.slot(id).is_some()
    }

    /// Return all ids, in the order they were added.
    pub fn ids(&self) -> Vec<u64> {
        let state = self.state();
        state.living().map(|slot| state.ids.id(slot)).collect()
    }

    /// Return a range that includes all ids, and may be larger.
    pub fn span(&self) -> Range<u64> {
        self.state().ids.span()
    }

    /// Return the ids of the first and the last vector that was added, which may be removed by now.
    pub fn ends(&self) -> Option<(u64, u64)> {
        let state = self.state();
        let last = state.slots().checked_sub(1)?;
        Some((state.ids.id(0), state.ids.id(last)))
    }

    /// Return the vectors of ids, one after the other, as they were added; if full vectors are
    /// forgotten, what their codes stand for.
    pub fn get(&self, ids: &[u64]) -> Result<Vec<f32>, GetError> {
        let state = self.state();
        let watch = state.rows.watch();
        let (mut vectors, mut row) = (Vec::with_capacity(ids.len() * self.options.dim), Vec::new());
        for &id in ids {
            state.rows.vector(state.ids.slot(id).ok_or(GetError::NotFound { id })?, &mut row);
            vectors.extend_from_slice(&row);
        }
        watch.check()?;
        Ok(vectors)
    }

    /// Take memory of searches that is not in use.
    fn memory(&self) -> Memory {
        self.idle.lock().pop().unwrap_or_default()
    }

    /// Free the memory of searches that is not in use.
    fn free_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        // After unlocking, since searches wait for the lock.
        drop(idle);
    }
}

impl Clone for Index {
    fn clone(&self) -> Self {
        let mut state = State::clone(&self.state());
        state.ids.part();
        Self::from_state(self.options.clone(), self.level, state)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::read::SearchSettings;
    use super::*;
    use crate::options::Metric;
    use crate::work::Work;

    /// How many threads' memory an index keeps.
    fn kept(index: &Index) -> usize {
        index.idle.lock().len()
    }

    #[test]
    fn memory_of_searches_is_kept_until_clear_or_optimize() {
        let options = Options { storage: Storage::Raw, m: 2, ef_construction: 1, ..Options::new(1, Metric::L2) };
        let (index, stop) = (Index::new(options).expect("options"), AtomicBool::new(false));
        let work = Work::quiet(1, &stop);
        let vectors: Vec<f32> = (0..1500u16).map(f32::from).collect();
        let search = |queries: usize, recall| {
            let settings = SearchSettings { k: 3, recall: Some(recall), ..SearchSettings::default() };
            index.search(&vectors[..queries], &settings, &work).expect("queries that can be searched");
        };
        for clears in [false, true] {
            index.add(&vectors[..], None, &work).expect("vectors that can be added");
            search(2, 1.0);
            assert_eq!(kept(&index), 0, "an exact batch needs none");
            search(2, 0.9);
            assert_eq!(kept(&index), 1);
            if clears {
                index.clear();
            } else {
                index.optimize(&work).expect("nobody stops it");
            }
            assert_eq!(kept(&index), 0);
        }
    }
}
