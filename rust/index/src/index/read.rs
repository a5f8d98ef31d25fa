//! Searches of many queries, and of everything within a distance.

use super::Index;
use crate::errors::SearchError;
use crate::options::{Dtype, Options};
use crate::search::allowed::Allowed;
use crate::search::flat::{QUERIES, Scan, Within};
use crate::search::query::{Hit, Memory, NO_HIT, Plan, Search};
use crate::search::recall::ef_for;
use crate::state::State;
use crate::storage::bitset::Bitset;
use crate::storage::rows;
use crate::work::Work;

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

/// Queries a thread takes at a time.
const CHUNK: usize = 16;

impl Index {
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
        let state = self.state();
        check_filter(&state, settings.filter.as_ref())?;
        let k = settings.k.min(state.ids.len());
        if k == 0 || count == 0 {
            return Ok(Matches { k, ids: vec![], distances: vec![], counts: vec![0; count], exact: true });
        }
        let mut hits = room(count, k)?;
        let exact = self.search_state(&state, queries, k, settings, &mut hits, work)?;
        Ok(matches(k, &hits, exact))
    }

    /// Find `k` hits of each query in a state; returns whether they are the true nearest.
    fn search_state(
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
        let chosen = chosen(state, settings.filter.as_ref())?;
        let allowed = Allowed::of(state, chosen.as_ref());
        let ef = settings.ef_search.or_else(|| ef_for(settings.recall, k));
        let plan = Plan::choose(state, k, ef, allowed.count(state.slots()));
        let search = Search { state, level: self.level, k, plan, allowed };
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
        let state = self.state();
        let chosen = chosen(&state, filter)?;
        let allowed = Allowed::of(&state, chosen.as_ref());
        let mut found: Vec<Vec<Hit>> = vec![Vec::new(); queries.len() / dim];
        let chunk = QUERIES.min(found.len().div_ceil(work.threads)).max(1);
        work.fill(&mut found, chunk, 1, Vec::new, |directions, item, out| {
            self.directions(&queries[item * chunk * dim..][..out.len() * dim], directions);
            let mut sink = Within { radius, found: vec![Vec::new(); out.len()] };
            let scan = Scan { rows: &state.rows, queries: directions, allowed, sink: &mut sink, work };
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

    fn directions(&self, queries: &[f32], out: &mut Vec<f32>) {
        let mut direction = Vec::new();
        out.clear();
        for query in queries.chunks_exact(self.options.dim) {
            rows::direction(query, self.options.metric, &mut direction);
            out.extend_from_slice(&direction);
        }
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

/// The slots that a filter lets through; `None` without one.
pub(crate) fn chosen(state: &State, filter: Option<&Filter<'_>>) -> Result<Option<Bitset>, SearchError> {
    check_filter(state, filter)?;
    let mut chosen = match filter {
        None => return Ok(None),
        Some(Filter::Mask(mask)) if state.dead.count() == 0 => return Ok(Some(Bitset::from_mask(mask))),
        Some(_) => Bitset::new(state.slots()),
    };
    match filter {
        Some(Filter::Mask(mask)) => {
            let kept = state.living().zip(*mask).filter(|(_, value)| **value != 0);
            kept.for_each(|(slot, _)| chosen.insert(slot));
        }
        Some(Filter::Ids(ids)) => {
            ids.iter().filter_map(|id| state.ids.slot(*id)).for_each(|slot| chosen.insert(slot));
        }
        None => {}
    }
    Ok(Some(chosen))
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
