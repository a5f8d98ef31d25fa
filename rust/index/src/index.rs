//! The index: vectors by id, safe to use from many threads.
//!
//! One writer at a time holds `writer` for the length of an operation; it plans on the state under a shared lock and changes
//! it under a short exclusive one, so searches go on meanwhile and never see a change half done.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use thiserror::Error;
use tiercel_simd::{Level, LevelError};

use crate::bitset::Bitset;
use crate::errors::{AddError, Interrupted, NotFound, SearchError};
use crate::flat::{QUERIES, Scan, Within};
use crate::link::Linker;
use crate::options::{Dtype, Options, OptionsError};
use crate::recall::ef_for;
use crate::rows::{self, Rows};
use crate::search::{Hit, Memory, NO_HIT, Plan, Search};
use crate::state::{Coding, State};
use crate::work::Work;

/// Nearest-neighbour index in memory.
pub struct Index {
    options: Options,
    pub(crate) level: Level,
    pub(crate) state: RwLock<State>,
    writer: Mutex<()>,
    /// See [`Index::version`]. Changed under the exclusive lock of `state` alone, so under a shared one it is that of the state.
    version: AtomicU64,
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

/// Which vectors a search may find.
#[derive(Clone, Copy, Debug)]
pub enum Filter<'a> {
    /// A value for each of [`Index::ids`]; those that are not 0 are allowed.
    Mask(&'a [u8]),
    /// The allowed ids; unknown ones are ignored.
    Ids(&'a [u64]),
}

/// What a search is to give.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchSettings<'a> {
    /// Results a query.
    pub k: usize,
    /// Candidates kept during a walk.
    pub ef_search: Option<usize>,
    /// Wanted recall, when `ef_search` is not given; 1 is exact search.
    pub recall: Option<f32>,
    /// Which vectors may be found.
    pub filter: Option<Filter<'a>>,
}

/// The nearest of each query.
#[derive(Clone, Debug, PartialEq)]
pub struct Matches {
    /// Width of a row: `k`, or the vectors in the index when they are fewer.
    pub k: usize,
    /// Ids, `k` a query, nearest first; the largest u64 where there is no result.
    pub ids: Vec<u64>,
    /// Distances, `k` a query; infinity where there is no result.
    pub distances: Vec<f32>,
    /// How many results of each query are real.
    pub counts: Vec<u64>,
    /// Whether these are the true nearest.
    pub exact: bool,
}

/// Everything within a distance of each query.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeMatches {
    /// Ids, query after query, nearest first.
    pub ids: Vec<u64>,
    /// Their distances.
    pub distances: Vec<f32>,
    /// Where the results of each query begin, and the last end.
    pub offsets: Vec<u64>,
}

/// Sizes and times of an index.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Vectors that can be found.
    pub len: usize,
    /// Slots of removed vectors.
    pub tombstones: usize,
    /// Slots in the graph.
    pub linked: usize,
    /// What searches run on: `none`, `sq4`, `sq8` or `raw`.
    pub storage: &'static str,
    /// Share of true neighbours that the codec ranks high enough, on sampled rows.
    pub codec_recall: Option<f32>,
    /// Bytes by part, and their sum as `total`.
    pub bytes: Vec<(&'static str, usize)>,
    /// Bytes apart from the full vectors, by slot.
    pub bytes_per_vector: f64,
    /// Levels of the graph.
    pub levels: usize,
    /// Mean number of neighbours at level 0.
    pub mean_degree: f64,
    /// Instruction set in use.
    pub simd: &'static str,
    /// Share of the true neighbours of sampled rows that walks with 200 candidates found; `None` without a graph.
    pub graph_recall: Option<f32>,
    /// Time spent linking, in seconds.
    pub build_seconds: f64,
}

/// How long a call waits for another writer before it looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(10);

/// Queries by thread that are answered before a waiting writer has its turn.
const PART: usize = 256;

/// Queries a thread takes at a time.
const CHUNK: usize = 16;

impl Index {
    /// An empty index.
    pub fn new(options: Options) -> Result<Self, NewError> {
        options.check()?;
        let state = State::new(&options);
        Ok(Self::from_state(options, Level::active()?, state))
    }

    pub(crate) fn from_state(options: Options, level: Level, state: State) -> Self {
        Self {
            options,
            level,
            state: RwLock::new(state),
            writer: Mutex::default(),
            version: AtomicU64::default(),
            idle: Mutex::default(),
        }
    }

    /// What it was made with.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Vectors that can be found.
    pub fn len(&self) -> usize {
        self.state.read().ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots, those of removed vectors among them: what a scan costs.
    pub fn slots(&self) -> usize {
        self.state.read().slots()
    }

    /// Grows by one with every vector that is added or removed, and when an addition is taken back: equal versions of an index
    /// are equal contents. Whatever was added since a version is in the last slots, and not in more of them than it has grown by:
    /// an addition takes as many slots as it grows, and taking it back only makes those fewer.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The smallest and the largest norm of all vectors that were ever in the index since it was made or loaded; infinity and 0 when
    /// there were none, and under l2.
    pub fn norms(&self) -> (f64, f64) {
        self.state.read().rows.norms()
    }

    /// Whether an id is in the index.
    pub fn contains(&self, id: u64) -> bool {
        self.state.read().ids.slot(id).is_some()
    }

    /// All ids, in the order they were added.
    pub fn ids(&self) -> Vec<u64> {
        let state = self.state.read();
        let ids = state.ids.by_slot().iter().enumerate();
        ids.filter(|(slot, _)| !state.dead.contains(*slot)).map(|(_, id)| *id).collect()
    }

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

    /// The vectors of ids, one after the other, as they were given.
    pub fn get(&self, ids: &[u64]) -> Result<Vec<f32>, NotFound> {
        let state = self.state.read();
        let (mut vectors, mut row) = (Vec::with_capacity(ids.len() * self.options.dim), Vec::new());
        for &id in ids {
            state.rows.vector(state.ids.slot(id).ok_or(NotFound { id })?, &mut row);
            vectors.extend_from_slice(&row);
        }
        Ok(vectors)
    }

    /// Find the nearest vectors of each query, `dim` values each.
    pub fn search(
        &self,
        queries: &[f32],
        settings: &SearchSettings<'_>,
        work: &Work<'_>,
    ) -> Result<Matches, SearchError> {
        rows::check("queries", queries, &self.options, Dtype::F32, work)??;
        let dim = self.options.dim;
        let count = queries.len() / dim;
        // Fewer hits than were asked for are all that there are. So what is counted here is what the first part searches.
        let mut state = self.state.read();
        check_filter(&state, settings.filter.as_ref())?;
        let k = settings.k.min(state.ids.len());
        if k == 0 || count == 0 {
            return Ok(Matches { k, ids: vec![], distances: vec![], counts: vec![0; count], exact: true });
        }
        let mut hits = room(count, k)?;
        let mut exact = true;
        let part = PART.saturating_mul(work.threads).clamp(1, count);
        for (number, (queries, out)) in queries.chunks(part * dim).zip(hits.chunks_mut(part * k)).enumerate() {
            if number > 0 {
                // A writer waits for a part of a batch, not for all of it.
                RwLockReadGuard::bump(&mut state);
            }
            exact &= self.search_part(&state, queries, k, settings, out, work)?;
        }
        Ok(matches(k, &hits, exact))
    }

    /// Find `k` hits of each query in the index as it stands; tells whether they are the true nearest.
    fn search_part(
        &self,
        state: &State,
        queries: &[f32],
        k: usize,
        settings: &SearchSettings<'_>,
        hits: &mut [Hit],
        work: &Work<'_>,
    ) -> Result<bool, SearchError> {
        let Options { dim, metric, .. } = self.options;
        let count = queries.len() / dim;
        let allowed = allowed(state, settings.filter.as_ref())?;
        let available = allowed.as_ref().map_or(state.slots(), Bitset::count);
        let ef = settings.ef_search.or_else(|| ef_for(settings.recall, k));
        let plan = Plan::choose(state, k, ef, available);
        let is_filtered = settings.filter.is_some();
        let search = Search { state, level: self.level, k, plan, allowed: allowed.as_ref(), is_filtered };
        if plan == Plan::Exact && count > 1 {
            let chunk = QUERIES.min(count.div_ceil(work.threads)).max(1);
            let scan = |(best, directions): &mut (Vec<_>, Vec<f32>), item: usize, out: &mut [Hit]| {
                let some = &queries[item * chunk * dim..][..out.len() / k * dim];
                self.directions(some, directions);
                best.resize_with(out.len() / k, Default::default);
                // An interruption shows in `work` itself.
                let _ = search.exact(directions, best, out, work);
            };
            work.fill(hits, k * chunk, 1, Default::default, scan)?;
        } else if count == 1 {
            let mut memory = self.memory();
            let mut direction = Vec::new();
            rows::direction(queries, metric, &mut direction);
            let done = search.one(&direction, &mut memory, hits, work);
            self.idle.lock().push(memory);
            done?;
        } else {
            let begin = || (Lent { index: self, memory: self.memory() }, Vec::new());
            work.fill(hits, k, CHUNK, begin, |(lent, direction), item, out| {
                rows::direction(&queries[item * dim..][..dim], metric, direction);
                let _ = search.one(direction, &mut lent.memory, out, work);
            })?;
        }
        Ok(plan == Plan::Exact)
    }

    /// Find every vector within a distance of each query, `dim` values each.
    pub fn range_search(
        &self,
        queries: &[f32],
        radius: f32,
        filter: Option<&Filter<'_>>,
        work: &Work<'_>,
    ) -> Result<RangeMatches, SearchError> {
        let dim = self.options.dim;
        rows::check("queries", queries, &self.options, Dtype::F32, work)??;
        let state = self.state.read();
        let allowed = allowed(&state, filter)?;
        let mut found: Vec<Vec<Hit>> = vec![Vec::new(); queries.len() / dim];
        let chunk = QUERIES.min(found.len().div_ceil(work.threads)).max(1);
        work.fill(&mut found, chunk, 1, Vec::new, |directions, item, out| {
            self.directions(&queries[item * chunk * dim..][..out.len() * dim], directions);
            let mut sink = Within { radius, found: vec![Vec::new(); out.len()] };
            let scan =
                Scan { rows: &state.rows, queries: directions, allowed: allowed.as_ref(), sink: &mut sink, work };
            let _ = self.level.run(scan);
            for (out, mut found) in out.iter_mut().zip(sink.found) {
                found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                out.extend(found.iter().map(|(distance, slot)| (state.ids.id(*slot as usize), *distance)));
            }
        })?;
        let mut offsets = vec![0];
        offsets.extend(found.iter().scan(0, |end, hits| {
            *end += hits.len() as u64;
            Some(*end)
        }));
        let (ids, distances) = found.into_iter().flatten().unzip();
        Ok(RangeMatches { ids, distances, offsets })
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

    /// Sizes and times.
    pub fn stats(&self) -> Stats {
        let state = self.state.read();
        let (vectors, beside) = state.rows.bytes();
        let (storage, codes, codec_recall) = match &state.coding {
            Coding::Untrained => ("none", 0, None),
            Coding::Raw => ("raw", 0, None),
            Coding::Codes(codes) => (codes.name(), codes.bytes.bytes(), Some(codes.trial.recall)),
        };
        let parts = [
            ("vectors", vectors),
            ("codes", codes),
            ("links", state.graph.bytes()),
            ("ids", state.ids.bytes()),
            ("other", beside + state.dead.bytes()),
        ];
        let total: usize = parts.iter().map(|part| part.1).sum();
        Stats {
            len: state.ids.len(),
            tombstones: state.dead.count(),
            linked: state.graph.len(),
            storage,
            codec_recall,
            bytes: parts.into_iter().chain([("total", total)]).collect(),
            bytes_per_vector: (total - vectors) as f64 / state.slots().max(1) as f64,
            levels: if state.graph.len() == 0 { 0 } else { state.graph.layers.len() },
            mean_degree: state.graph.mean_degree(),
            simd: self.level.name(),
            graph_recall: (state.graph.len() > 0).then_some(state.graph_recall),
            build_seconds: state.build_seconds,
        }
    }

    fn directions(&self, queries: &[f32], out: &mut Vec<f32>) {
        let mut direction = Vec::new();
        out.clear();
        for query in queries.chunks_exact(self.options.dim) {
            rows::direction(query, self.options.metric, &mut direction);
            out.extend_from_slice(&direction);
        }
    }

    fn memory(&self) -> Memory {
        self.idle.lock().pop().unwrap_or_default()
    }
}

impl Clone for Index {
    fn clone(&self) -> Self {
        Self::from_state(self.options.clone(), self.level, self.state.read().clone())
    }
}

/// Memory on loan to a thread of a batch.
struct Lent<'a> {
    index: &'a Index,
    memory: Memory,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.index.idle.lock().push(std::mem::take(&mut self.memory));
    }
}

/// An error for a mask that does not fit the index.
fn check_filter(state: &State, filter: Option<&Filter<'_>>) -> Result<(), SearchError> {
    match filter {
        Some(Filter::Mask(mask)) if mask.len() != state.ids.len() => {
            Err(SearchError::MaskLength { expected: state.ids.len(), got: mask.len() })
        }
        _ => Ok(()),
    }
}

/// The slots that may be found; `None` when that is all of them.
pub(crate) fn allowed(state: &State, filter: Option<&Filter<'_>>) -> Result<Option<Bitset>, SearchError> {
    check_filter(state, filter)?;
    let allowed = match filter {
        None if state.dead.count() == 0 => return Ok(None),
        None => Bitset::without(&state.dead),
        Some(Filter::Mask(mask)) if state.dead.count() == 0 => Bitset::from_mask(mask),
        Some(Filter::Mask(mask)) => {
            let mut allowed = Bitset::new(state.slots());
            let alive = Bitset::without(&state.dead);
            alive.iter().zip(*mask).filter(|(_, value)| **value != 0).for_each(|(slot, _)| allowed.insert(slot));
            allowed
        }
        Some(Filter::Ids(ids)) => {
            let mut allowed = Bitset::new(state.slots());
            ids.iter().filter_map(|id| state.ids.slot(*id)).for_each(|slot| allowed.insert(slot));
            allowed
        }
    };
    Ok(Some(allowed))
}

/// Room for `k` hits a query, all padding.
fn room(count: usize, k: usize) -> Result<Vec<Hit>, SearchError> {
    let mut hits = Vec::new();
    let len = count.checked_mul(k).ok_or(SearchError::TooLarge { count, k })?;
    // The answer is made of two arrays that together are as large again.
    hits.try_reserve_exact(len.saturating_mul(2)).map_err(|_| SearchError::TooLarge { count, k })?;
    hits.resize(len, NO_HIT);
    Ok(hits)
}

pub(crate) fn matches(k: usize, hits: &[Hit], exact: bool) -> Matches {
    let counts =
        hits.chunks_exact(k).map(|row| row.iter().take_while(|hit| hit.0 != NO_HIT.0).count() as u64).collect();
    let (ids, distances) = hits.iter().copied().unzip();
    Matches { k, ids, distances, counts, exact }
}
