//! Search for the nearest of many queries, or for all within a distance.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::Index;
use super::chosen::{Filter, chosen};
use crate::budget::{Budget, Ended, Meter, Trace};
use crate::errors::{Interrupted, SearchError};
use crate::options::{Dtype, Options, Rerank};
use crate::search::allowed::Allowed;
use crate::search::flat::{QUERIES, Scan, Within, has_byte_tiles};
use crate::search::likeness::by_likeness;
use crate::search::query::{Hit, Memory, NO_HIT, Search};
use crate::search::recall::{ef_for, target_of};
use crate::search::strategy::{Asked, Strategy};
use crate::storage::check;
use crate::work::Work;

/// The settings of a search.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchSettings<'a> {
    /// Results per query.
    pub k: usize,
    /// Candidates kept during a walk.
    pub ef_search: Option<usize>,
    /// Target recall, used if `ef_search` is `None`; 1 is exact search.
    pub recall: Option<f32>,
    /// Which vectors may be found.
    pub filter: Option<Filter<'a>>,
}

/// The nearest vectors of each query.
#[derive(Clone, Debug, PartialEq)]
pub struct Matches {
    /// Width of a row: `k`, or the number of vectors in the index if that is smaller.
    pub k: usize,
    /// Ids, `k` per query, nearest first; missing results are the largest u64.
    pub ids: Vec<u64>,
    /// Distances, `k` per query; missing results are infinity.
    pub distances: Vec<f32>,
    /// Number of results of each query without padding.
    pub counts: Vec<u64>,
    /// Whether these are the true nearest.
    pub exact: bool,
}

/// All vectors within a distance of each query.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeMatches {
    /// Ids, query after query, nearest first.
    pub ids: Vec<u64>,
    /// Their distances.
    pub distances: Vec<f32>,
    /// Where the results of each query begin, and the last end.
    pub offsets: Vec<u64>,
}

/// Queries that a thread takes at a time. Of similar queries it takes as many as leave it this many
/// shares, so that it keeps their neighbourhood, and no thread has to wait long for the last.
const CHUNK: usize = 16;
const SHARES: usize = 16;

impl Index {
    /// Find the nearest vectors of each query, `dim` values each.
    pub fn search(
        &self,
        queries: &[f32],
        settings: &SearchSettings<'_>,
        work: &Work<'_>,
    ) -> Result<Matches, SearchError> {
        Ok(self.search_within(queries, settings, Budget::default(), work)?.0)
    }

    /// Do a [`Self::search`] within a budget, and also return a trace. If the budget ended a query,
    /// its results may be incomplete, and [`Matches::exact`] is false.
    pub fn search_within(
        &self,
        queries: &[f32],
        settings: &SearchSettings<'_>,
        budget: Budget,
        work: &Work<'_>,
    ) -> Result<(Matches, Trace), SearchError> {
        check::check("queries", queries, &self.options, Dtype::F32, work)??;
        let dim = self.options.dim;
        let count = queries.len() / dim;
        let state = self.state();
        let chosen = chosen(&state, settings.filter.as_ref())?;
        let allowed = Allowed::of(&state, chosen.as_deref());
        let k = settings.k.min(state.ids.len());
        if k == 0 || count == 0 {
            let nothing = Matches { k, ids: vec![], distances: vec![], counts: vec![0; count], exact: true };
            return Ok((nothing, Trace::default()));
        }
        let mut hits = room(count, k)?;
        let ef = settings.ef_search.or_else(|| ef_for(settings.recall, k, &state.ranks(), state.slots()));
        let target = target_of(settings.recall).filter(|_| settings.ef_search.is_none());
        // A scan would return distances of another kind than searches without full vectors do.
        let rerank = state.rerank(&self.options);
        let compares_full = rerank == Rerank::Full && has_byte_tiles(self.level, dim);
        // Not by the threads of this call, which change no answer.
        let together = if compares_full { count.div_ceil(cores()) } else { 0 };
        let asked = Asked { k, ef, target, available: allowed.count(state.slots()), together };
        let strategy = Strategy::choose(&state, asked);
        let search = Search { state: &state, level: self.level, k, strategy, allowed, rerank, budget };
        let watch = state.rows.watch();
        let trace = self.answer(&search, queries, &mut hits, work)?;
        watch.check()?;
        let is_exact = strategy == Strategy::Exact && trace.ended == Ended::Done && !state.rows.are_coded();
        Ok((matches(k, &hits, is_exact), trace))
    }

    /// Find the hits of each query.
    fn answer(
        &self,
        search: &Search<'_>,
        queries: &[f32],
        hits: &mut [Hit],
        work: &Work<'_>,
    ) -> Result<Trace, SearchError> {
        let (&Options { dim, metric, .. }, k) = (&self.options, search.k);
        let count = queries.len() / dim;
        let total = Mutex::new(Trace::default());
        let begin = || Lent { index: self, memory: self.memory(), trace: Trace::default(), total: &total };
        if search.strategy == Strategy::Exact && count > 1 {
            // More threads than cores would only read the full vectors more often.
            let chunk = QUERIES.min(count.div_ceil(work.threads().min(cores()))).max(1);
            work.fill(
                hits,
                k * chunk,
                1,
                || (Vec::new(), Vec::new()),
                |(best, directions), item, out| {
                    let some = &queries[item * chunk * dim..][..out.len() / k * dim];
                    self.directions(some, directions);
                    best.resize_with(out.len() / k, Default::default);
                    // `Work` itself reports an interruption.
                    if let Ok(trace) = search.exact(directions, best, out, work) {
                        total.lock().add(&trace);
                    }
                },
            )?;
        } else if count == 1 {
            let (mut lent, mut direction) = (begin(), Vec::new());
            check::direction(queries, metric, &mut direction);
            lent.trace = search.one(&direction, &mut lent.memory, hits, work)?;
        } else {
            let begin = || (begin(), Vec::new());
            let answer = |(lent, direction): &mut (Lent<'_>, Vec<f32>), item: usize, out: &mut [Hit]| {
                check::direction(&queries[item * dim..][..dim], metric, direction);
                let found = search.one(direction, &mut lent.memory, out, work);
                lent.note(found);
            };
            let has_order = matches!(search.strategy, Strategy::Walk { .. } | Strategy::Probe { .. });
            match has_order.then(|| by_likeness(queries, dim, metric, self.level)).flatten() {
                Some(order) => {
                    let part = order.len().div_ceil(SHARES * work.threads()).max(CHUNK);
                    work.fill_in_order(hits, k, &order, part, begin, answer)?;
                }
                None => work.fill(hits, k, CHUNK, begin, answer)?,
            }
        }
        Ok(total.into_inner())
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
        check::check("queries", queries, &self.options, Dtype::F32, work)??;
        let state = self.state();
        let chosen = chosen(&state, filter)?;
        let allowed = Allowed::of(&state, chosen.as_deref());
        let mut found: Vec<Vec<(f32, u32)>> = vec![Vec::new(); queries.len() / dim];
        let chunk = QUERIES.min(found.len().div_ceil(work.threads())).max(1);
        let watch = state.rows.watch();
        let is_too_large = AtomicBool::new(false);
        work.fill(&mut found, chunk, 1, Vec::new, |directions, item, out| {
            if is_too_large.load(Ordering::Relaxed) {
                return;
            }
            self.directions(&queries[item * chunk * dim..][..out.len() * dim], directions);
            let mut sink = Within::new(radius, out.len());
            let meter = &mut Meter::new(Budget::default(), work.stop);
            self.level.run(Scan { rows: &state.rows, queries: directions, allowed, sink: &mut sink, meter });
            is_too_large.fetch_or(sink.is_too_large, Ordering::Relaxed);
            for (out, mut found) in out.iter_mut().zip(sink.found) {
                found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                *out = found;
            }
        })?;
        watch.check()?;
        let ranges = if is_too_large.into_inner() { None } else { ranges(found, |slot| state.ids.id(slot)) };
        ranges.ok_or(SearchError::TooLarge { count: queries.len() / dim, k: allowed.count(state.slots()) })
    }

    fn directions(&self, queries: &[f32], out: &mut Vec<f32>) {
        let mut direction = Vec::new();
        out.clear();
        for query in queries.chunks_exact(self.options.dim) {
            check::direction(query, self.options.metric, &mut direction);
            out.extend_from_slice(&direction);
        }
    }
}

/// Return how many threads of this process can run at once.
fn cores() -> usize {
    static CORES: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));
    *CORES
}

/// Memory on loan to a thread of a search, and the trace of its work.
struct Lent<'a> {
    index: &'a Index,
    memory: Memory,
    trace: Trace,
    total: &'a Mutex<Trace>,
}

impl Lent<'_> {
    /// Add the trace of a query. `Work` itself reports an interruption.
    fn note(&mut self, query: Result<Trace, Interrupted>) {
        if let Ok(trace) = query {
            self.trace.add(&trace);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.total.lock().add(&self.trace);
        self.index.idle.lock().push(std::mem::take(&mut self.memory));
    }
}

/// Reserve room for `k` hits per query, all padding.
fn room(count: usize, k: usize) -> Result<Vec<Hit>, SearchError> {
    let mut hits = Vec::new();
    let len = count.checked_mul(k).ok_or(SearchError::TooLarge { count, k })?;
    // The answer consists of two arrays, together as large again.
    hits.try_reserve_exact(len.saturating_mul(2)).map_err(|_| SearchError::TooLarge { count, k })?;
    hits.resize(len, NO_HIT);
    Ok(hits)
}

/// Put the results of all queries, distances and slots, one after the other; `None` without memory.
fn ranges(found: Vec<Vec<(f32, u32)>>, id: impl Fn(usize) -> u64) -> Option<RangeMatches> {
    let total = found.iter().map(Vec::len).sum();
    let (mut ids, mut distances, mut offsets) = (Vec::new(), Vec::new(), vec![0]);
    ids.try_reserve_exact(total).ok()?;
    distances.try_reserve_exact(total).ok()?;
    for hits in found {
        ids.extend(hits.iter().map(|hit| id(hit.1 as usize)));
        distances.extend(hits.iter().map(|hit| hit.0));
        offsets.push(ids.len() as u64);
    }
    Some(RangeMatches { ids, distances, offsets })
}

pub(crate) fn matches(k: usize, hits: &[Hit], exact: bool) -> Matches {
    let counts =
        hits.chunks_exact(k).map(|row| row.iter().take_while(|hit| hit.0 != NO_HIT.0).count() as u64).collect();
    let (ids, distances) = hits.iter().copied().unzip();
    Matches { k, ids, distances, counts, exact }
}
