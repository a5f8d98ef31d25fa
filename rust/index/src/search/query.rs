//! Answer queries by an exact scan, or by the candidates of a walk, of a probe of lists or of a scan of
//! codes, which are rescored.

use tiercel_simd::{Isa, Level, Loop};

use crate::budget::{Budget, Meter, Trace};
use crate::errors::Interrupted;
use crate::graph::walk::{Effort, Scratch, descend, walk};
use crate::options::{Metric, Rerank};
use crate::search::allowed::Allowed;
use crate::search::best::Best;
use crate::search::flat::{Nearest, Scan};
use crate::search::offers::Offers;
use crate::search::probe::{Order, Probe};
use crate::search::strategy::{SPARE, Strategy};
use crate::state::State;
use crate::storage::any_space::{AnySpace, Kept, SpaceLoop};
use crate::storage::candidate::{candidate, key_of, slot_of};
use crate::storage::ids::PADDING;
use crate::storage::rows::Rows;
use crate::storage::space::{Space, order, unorder};
use crate::work::Work;

/// Full vectors prefetched ahead of the one being compared.
const RESCORED_AHEAD: usize = 2;

/// Codes prefetched ahead of the one that a scan compares, if a filter leaves some out.
const SCANNED_AHEAD: usize = 16;

/// How far a distance by code may exceed the farthest of the first `k` to be rescored, in root mean
/// square errors of the codec. One error in 160 is larger.
const MARGIN: f32 = 2.5;

/// The same for a search that keeps many candidates, since it is asked to miss less. One error in 4,000
/// is larger.
const WIDE_MARGIN: f32 = 3.5;

/// How many candidates for each result are many.
const MANY: usize = 8;

/// Distances by code whose error is observed while they are rescored.
const OBSERVED: usize = 16;

/// How many times as large as the error of the codec an observed one must be to count. The codes of
/// vectors that are near by code are better than they should be, so theirs is somewhat larger.
const WORSE: f32 = 1.5;

/// The factor by which it keeps more if those were not enough.
const MORE: usize = 4;

/// One search of a state.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub(crate) state: &'a State,
    pub(crate) level: Level,
    /// Results per query; at most as many as there are vectors, though fewer may be allowed.
    pub(crate) k: usize,
    pub(crate) strategy: Strategy,
    /// The slots that may be found.
    pub(crate) allowed: Allowed<'a>,
    /// What candidates are compared with once more.
    pub(crate) rerank: Rerank,
    /// The budget of each query.
    pub(crate) budget: Budget,
}

/// Memory that a thread reuses from one query to the next.
#[derive(Default)]
pub(crate) struct Memory {
    scratch: Scratch,
    /// The prepared query.
    prepared: Kept,
    best: Best,
    order: Order,
    found: Vec<u64>,
}

/// A result: id and distance.
pub(crate) type Hit = (u64, f32);

/// Padding in place of a missing result.
pub(crate) const NO_HIT: Hit = (PADDING, f32::INFINITY);

impl Search<'_> {
    /// Answer a query (a direction) with `k` hits.
    pub(crate) fn one(
        &self,
        query: &[f32],
        memory: &mut Memory,
        out: &mut [Hit],
        work: &Work<'_>,
    ) -> Result<Trace, Interrupted> {
        work.check()?;
        let meter = &mut Meter::new(self.budget, work.stop);
        if self.strategy != Strategy::Exact {
            let coded = self.state.space().run(self.level, Candidates { search: self, query, memory, meter });
            if !coded {
                // Far from everything that the codes were fitted to, only full vectors distinguish
                // near from far.
                AnySpace::Raw(&self.state.rows).run(self.level, Candidates { search: self, query, memory, meter });
            }
            meter.check()?;
            // With fewer than k, the walk met too few allowed vectors. They exist, so find them.
            if memory.found.len() >= self.k || meter.has_ended() {
                self.put(&memory.found, out);
                return Ok(meter.trace);
            }
        }
        self.scan_rows(query, std::slice::from_mut(&mut memory.best), out, meter)?;
        Ok(meter.trace)
    }

    /// Answer queries (directions) exactly with `k` hits each.
    pub(crate) fn exact(
        &self,
        queries: &[f32],
        best: &mut [Best],
        out: &mut [Hit],
        work: &Work<'_>,
    ) -> Result<Trace, Interrupted> {
        work.check()?;
        // Distances are counted for all queries together.
        let distances = self.budget.distances.map(|most| most.saturating_mul(best.len() as u64));
        let meter = &mut Meter::new(Budget { distances, ..self.budget }, work.stop);
        self.scan_rows(queries, best, out, meter)?;
        Ok(meter.trace)
    }

    fn scan_rows(
        &self,
        queries: &[f32],
        best: &mut [Best],
        out: &mut [Hit],
        meter: &mut Meter<'_>,
    ) -> Result<(), Interrupted> {
        // Several queries are compared in tiles, which round distances differently from the
        // rescoring below. Spare rows keep a near tie from being lost, as long as there are few.
        let spare = if best.len() > 1 { SPARE } else { 0 };
        for best in &mut *best {
            best.reset(self.k + spare);
        }
        let (rows, before) = (&self.state.rows, meter.trace.distances);
        self.level.run(Scan { rows, queries, allowed: self.allowed, sink: &mut Nearest(best), meter });
        meter.check()?;
        meter.end_stage(|seconds| &mut seconds.candidates);
        let mut rescored = 0;
        for ((query, best), out) in queries.chunks_exact(rows.dim()).zip(best).zip(out.chunks_mut(self.k)) {
            let mut found = best.sorted().to_vec();
            rescored += found.len();
            self.level.run(Rescore { rows, query, found: &mut found });
            // What does not fit in `out` is spare.
            self.put(&found, out);
        }
        meter.end_stage(|seconds| &mut seconds.rescore);
        let trace = &mut meter.trace;
        trace.rescored += rescored as u64;
        trace.bytes += (trace.distances - before + rescored as u64) * rows.row_bytes() as u64;
        Ok(())
    }

    /// Write hits; the rest of `out` stays padding.
    pub(crate) fn put(&self, found: &[u64], out: &mut [Hit]) {
        for (hit, entry) in out.iter_mut().zip(found) {
            let key = key_of(*entry);
            *hit = (self.state.ids.id(slot_of(*entry) as usize), unorder(key));
        }
    }
}

/// Find candidates by walk or scan, and rescore the best.
struct Candidates<'a, 'b, 'c> {
    search: &'a Search<'b>,
    query: &'a [f32],
    memory: &'a mut Memory,
    meter: &'a mut Meter<'c>,
}

impl SpaceLoop for Candidates<'_, '_, '_> {
    /// Whether the space can compare the query.
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa, S: Space>(self, space: S) -> bool {
        let Self { search, query, memory: Memory { scratch, prepared, best, order, found }, meter } = self;
        let prepared = prepared.get::<S::Query>();
        let Search { state, allowed, .. } = *search;
        space.prepare(query, prepared);
        if !space.can_compare(prepared) {
            return false;
        }
        meter.end_stage(|seconds| &mut seconds.prepare);
        let before = meter.trace;
        found.clear();
        let slots = space.slots();
        let assigned = state.partitions.as_ref().map_or(0, |partitions| partitions.assigned());
        assert!(state.slots().max(state.graph.len()).max(assigned) <= slots, "every slot can be compared");
        assert!(allowed.is_within(slots), "every slot that may be found can be compared");
        // SAFETY: the slots of the state, of its graph, of its lists and of the filter are slots of
        // the space, as checked above; the query was prepared above; `Level::run` checked the
        // instruction set.
        unsafe {
            if let Strategy::Walk { ef } = search.strategy {
                let start = descend::<I, S>(&state.graph, space, prepared, 0);
                let (layer, effort) = (&state.graph.layers[0], Effort { ef, breadth: ef });
                walk::<I, S>(layer, space, prepared, start, effort, scratch, meter);
                for slot in state.graph.len()..state.slots() {
                    scratch.pool.insert::<I>(candidate(space.key::<I>(prepared, slot as u32), slot as u32));
                }
                let found_by_walk = scratch.pool.entries().iter();
                found.extend(found_by_walk.filter(|entry| allowed.contains(slot_of(**entry) as usize)));
                meter.compared(state.slots() - state.graph.len());
                meter.end_stage(|seconds| &mut seconds.candidates);
                rescore_likely::<I, S>(search, space, prepared, query, found, meter);
            } else if let Strategy::Scan { mut ef } | Strategy::Probe { mut ef, .. } = search.strategy {
                loop {
                    if let (Strategy::Probe { reached, .. }, Some(partitions)) = (search.strategy, &state.partitions) {
                        let probe = Probe { state, partitions, allowed, query, reached, ef };
                        probe.run::<I, S>(space, prepared, order, best, meter);
                    } else {
                        scan::<I, S>(search, space, prepared, ef, best, meter);
                    }
                    found.clear();
                    found.extend_from_slice(best.sorted());
                    let is_all = found.len() < ef || meter.has_ended();
                    meter.end_stage(|seconds| &mut seconds.candidates);
                    if rescore_likely::<I, S>(search, space, prepared, query, found, meter) || is_all {
                        break;
                    }
                    ef *= MORE;
                }
            }
        }
        let trace = &mut meter.trace;
        trace.bytes += (trace.nodes - before.nodes) * state.graph.layers[0].row_bytes()
            + (trace.distances - before.distances) * space.row_bytes() as u64
            + (trace.rescored - before.rescored) * state.rescoring(search.rerank).row_bytes() as u64;
        true
    }
}

/// Keep the best `ef` allowed slots, by code.
///
/// # Safety
///
/// The slots of the state and of the filter are slots of the space, which prepared the query, and
/// the machine has the instruction set.
#[inline(always)]
unsafe fn scan<I: Isa, S: Space>(
    search: &Search<'_>,
    space: S,
    prepared: &S::Query,
    ef: usize,
    best: &mut Best,
    meter: &mut Meter<'_>,
) {
    best.reset(ef);
    let mut offers = Offers::new(space, prepared, best);
    // SAFETY: the caller's contract.
    unsafe {
        match search.allowed {
            Allowed::Only(chosen) => {
                // These lie anywhere, so nothing but this prefetches them.
                let mut ahead = chosen.iter();
                for slot in ahead.by_ref().take(SCANNED_AHEAD) {
                    space.prefetch::<I>(slot as u32);
                }
                for slot in chosen.iter() {
                    if let Some(slot) = ahead.next() {
                        space.prefetch::<I>(slot as u32);
                    }
                    offers.add::<I>(slot as u32);
                    if meter.compared(1) {
                        break;
                    }
                }
            }
            allowed => {
                for slot in (0..search.state.slots()).filter(|slot| allowed.contains(*slot)) {
                    offers.add::<I>(slot as u32);
                    if meter.compared(1) {
                        break;
                    }
                }
            }
        }
        offers.end::<I>();
    }
}

/// Compare the candidates that may be among the nearest `k` in full precision, and keep those;
/// without reranking, keep the first `k` by code.
///
/// The first `k` by code bound the distance of the `k`-th; a candidate that is farther by code, by
/// more than the error of codes, is farther. Return whether the candidates were enough. With a
/// filter, ask for more if any of the farther half of the spare candidates ranks among the nearest
/// `k`.
#[inline(always)]
pub(crate) fn rescore_likely<I: Isa, S: Space>(
    search: &Search<'_>,
    space: S,
    prepared: &S::Query,
    query: &[f32],
    found: &mut Vec<u64>,
    meter: &mut Meter<'_>,
) -> bool {
    let Search { state, k, .. } = *search;
    if search.rerank == Rerank::Nothing {
        found.truncate(k);
        for entry in found {
            let distance = S::distance(prepared, key_of(*entry));
            *entry = candidate(order(plausible(distance, state.rows.metric())), slot_of(*entry));
        }
        meter.end_stage(|seconds| &mut seconds.rescore);
        return true;
    }
    let first = found.len().min(k);
    let last_kept = found.last().map_or(f32::INFINITY, |last| S::distance(prepared, key_of(*last)));
    let rows = state.rescoring(search.rerank);
    let mut by_code = [0.0; OBSERVED];
    for (distance, entry) in by_code.iter_mut().zip(&found[..first]) {
        *distance = S::distance(prepared, key_of(*entry));
    }
    rescore::<I>(rows, query, &mut found[..first]);
    let farthest = found[..first].iter().map(|entry| key_of(*entry)).max().map_or(0.0, unorder);
    // The error was measured among the nearest of all vectors, of which a filter may leave none.
    if !search.allowed.is_filter() {
        let observed = observed_error(&by_code, &found[..first]);
        let error = if observed > WORSE * space.error() { observed } else { space.error() };
        let margin = if found.len() >= MANY * k { WIDE_MARGIN } else { MARGIN };
        let limit = S::key_within(prepared, farthest + margin * error);
        let likely = found[first..].iter().take_while(|entry| key_of(**entry) <= limit).count();
        found.truncate(first + likely);
    }
    rescore::<I>(rows, query, &mut found[first..]);
    let (near, far) = found.split_at(first + (found.len() - first) / 2);
    let nearest_far = far.iter().min();
    let are_enough = nearest_far.is_none_or(|far| near.iter().filter(|entry| *entry < far).count() >= k);
    meter.trace.rescored += found.len() as u64;
    found.sort_unstable();
    found.truncate(k);
    let kth = found.last().map_or(f32::INFINITY, |last| unorder(key_of(*last)));
    meter.trace.gap = if last_kept.is_finite() && kth.is_finite() { last_kept - kth } else { f32::INFINITY };
    meter.end_stage(|seconds| &mut seconds.rescore);
    are_enough || !search.allowed.is_filter()
}

/// Return the root mean square error of the first distances by code, beside those of the rescored
/// candidates.
#[inline(always)]
fn observed_error(by_code: &[f32], rescored: &[u64]) -> f32 {
    let (mut squares, mut count) = (0.0, 0);
    for (distance, entry) in by_code.iter().zip(rescored) {
        let error = distance - unorder(key_of(*entry));
        squares += error * error;
        count += 1;
    }
    (squares / count.max(1) as f32).sqrt()
}

/// Return the nearest value to a distance by code that a distance can have.
#[inline(always)]
fn plausible(distance: f32, metric: Metric) -> f32 {
    if distance.is_nan() {
        f32::INFINITY
    } else if metric == Metric::Dot {
        distance
    } else {
        distance.max(0.0)
    }
}

/// Replace the keys of candidates with those of their full-precision distances.
#[inline(always)]
fn rescore<I: Isa>(rows: &Rows, query: &[f32], found: &mut [u64]) {
    for entry in found.iter().take(RESCORED_AHEAD) {
        rows.prefetch::<I>(slot_of(*entry) as usize, usize::MAX);
    }
    for at in 0..found.len() {
        if let Some(ahead) = found.get(at + RESCORED_AHEAD) {
            rows.prefetch::<I>(slot_of(*ahead) as usize, usize::MAX);
        }
        let slot = slot_of(found[at]);
        // SAFETY: `Level::run` checked the instruction set.
        let distance = unsafe { rows.distance::<I>(query, slot as usize) };
        if at == 0 {
            rows.fetch_if_slow(found[1..].iter().map(|entry| slot_of(*entry) as usize));
        }
        found[at] = candidate(order(distance), slot);
    }
}

/// Order the results of an exact scan by the same distances that every other search returns.
struct Rescore<'a> {
    rows: &'a Rows,
    query: &'a [f32],
    found: &'a mut Vec<u64>,
}

impl Loop for Rescore<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        rescore::<I>(self.rows, self.query, self.found);
        self.found.sort_unstable();
    }
}
