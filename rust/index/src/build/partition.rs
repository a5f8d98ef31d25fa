//! Divide vectors into lists, and measure how many lists hold the true neighbours.

use std::sync::Arc;

use tiercel_simd::{Isa, Loop};

use crate::budget::{Budget, Meter};
use crate::build::link::Linker;
use crate::errors::Interrupted;
use crate::options::Rerank;
use crate::partitions::Partitions;
use crate::partitions::fit::Divide;
use crate::partitions::reach::{FEW, MANY, Reach, enough};
use crate::search::allowed::Allowed;
use crate::search::best::Best;
use crate::search::flat::{Scan, Sink};
use crate::search::probe::Order;
use crate::search::query::{Hit, NO_HIT, Search};
use crate::search::strategy::Strategy;
use crate::storage::candidate::key_of;

/// Vectors of the index whose neighbours are looked for.
const ASKED: usize = 128;

/// The neighbours of each that are looked for. A vector finds itself, too, which does not count.
const ASKED_FOR: usize = MANY + 1;

impl Linker<'_> {
    /// Put all vectors into lists. Fit centroids if there are none, or if the index has doubled
    /// since.
    pub(super) fn divide(&mut self) -> Result<(), Interrupted> {
        let slots = self.state.slots();
        let Self { level, work, .. } = *self;
        let divide = Divide { rows: &self.state.rows, level, work };
        match &mut self.state.partitions {
            Some(partitions) if slots < 2 * partitions.fitted => {
                if partitions.assigned() < slots {
                    divide.append(Arc::make_mut(partitions))?;
                }
            }
            partitions => *partitions = Some(Arc::new(divide.all()?)),
        }
        self.survey_lists()?;
        (work.progress)(slots, slots);
        Ok(())
    }

    /// Fit centroids to all vectors, if some are newer.
    pub(super) fn divide_anew(&mut self) -> Result<(), Interrupted> {
        if self.state.partitions.as_ref().is_some_and(|partitions| partitions.fitted < self.state.slots()) {
            let Self { level, work, .. } = *self;
            let partitions = Divide { rows: &self.state.rows, level, work }.all()?;
            self.state.partitions = Some(Arc::new(partitions));
        }
        self.survey_lists()
    }

    /// Measure how many lists hold true neighbours, once an eighth of the vectors is new, an eighth of
    /// those that lived is gone, or divisions have added an eighth of the lists.
    fn survey_lists(&mut self) -> Result<(), Interrupted> {
        let Some(partitions) = self.state.partitions.clone() else { return Ok(()) };
        let Reach { among, added, .. } = partitions.reach;
        let has_grown = partitions.assigned() * 8 >= partitions.surveyed * 9;
        let has_shrunk = self.state.ids.len() * 8 < among as usize * 7;
        let is_divided = added as usize * 8 >= partitions.len();
        if !(has_grown || has_shrunk || is_divided) {
            return Ok(());
        }
        let mut measured = Partitions::clone(&partitions);
        measured.reach = self.measure_lists(&partitions)?;
        measured.surveyed = measured.assigned();
        self.state.partitions = Some(Arc::new(measured));
        Ok(())
    }

    /// Look for the neighbours of sampled vectors among the living ones. With few of those, searches
    /// are exact.
    fn measure_lists(&self, partitions: &Partitions) -> Result<Reach, Interrupted> {
        let (state, dim) = (&*self.state, self.options.dim);
        let living: Vec<usize> = state.living().collect();
        if living.len() <= ASKED_FOR {
            return Ok(Reach::default());
        }
        let (mut own, mut queries, mut row) = (Vec::new(), Vec::new(), Vec::new());
        for slot in living.iter().copied().step_by(living.len().div_ceil(ASKED)) {
            state.rows.direction(slot, &mut row);
            queries.extend_from_slice(&row);
            own.push(slot as u32);
        }
        let bounds = self.bounds(&own, &queries)?;
        let lists = partitions.list_of_each();
        let part = own.len().div_ceil(self.work.threads());
        let mut ranks = vec![[u32::MAX; FEW + MANY]; own.len()];
        self.work.fill(&mut ranks, part, 1, Vec::new, |places, item, out| {
            let these = item * part..item * part + out.len();
            let queries = &queries[these.start * dim..these.end * dim];
            self.level.run(Places { partitions, queries, out: places });
            let mut sink = Within::new(&lists, partitions.len(), places, &own[these.clone()], &bounds[these]);
            let meter = &mut Meter::new(Budget::default(), self.work.stop);
            let allowed = Allowed::of(state, None);
            self.level.run(Scan { rows: &state.rows, queries, allowed, sink: &mut sink, meter });
            for (out, (few, many)) in out.iter_mut().zip(sink.found) {
                for (out, rank) in out.iter_mut().zip(ranks_of(few, FEW).chain(ranks_of(many, MANY))) {
                    *out = rank;
                }
            }
        })?;
        let all = |from: usize, to: usize| enough(ranks.iter().flat_map(|ranks| &ranks[from..to]).copied().collect());
        Ok(Reach { few: all(0, FEW), many: all(FEW, FEW + MANY), among: living.len() as u32, added: 0 })
    }

    /// Return how far away the farthest of the nearest [`FEW`] and [`MANY`] others of each vector
    /// are.
    fn bounds(&self, own: &[u32], queries: &[f32]) -> Result<Vec<[f32; 2]>, Interrupted> {
        let (state, dim) = (&*self.state, self.options.dim);
        let search = Search {
            state,
            level: self.level,
            k: ASKED_FOR,
            strategy: Strategy::Exact,
            allowed: Allowed::of(state, None),
            rerank: Rerank::Full,
            budget: Budget::default(),
        };
        let part = own.len().div_ceil(self.work.threads());
        let mut truth = vec![NO_HIT; own.len() * ASKED_FOR];
        self.work.fill(&mut truth, ASKED_FOR * part, 1, Vec::<Best>::new, |best, item, out| {
            best.resize_with(out.len() / ASKED_FOR, Best::default);
            let some = &queries[item * part * dim..][..out.len() / ASKED_FOR * dim];
            // `work` itself reports an interruption.
            let _ = search.exact(some, best, out, self.work);
        })?;
        let bound = |hits: &[Hit], own: u32, query: &[f32], count: usize| {
            let others = hits.iter().filter(|hit| hit.0 != state.ids.id(own as usize));
            let farthest = others.take(count).last().map_or(f32::INFINITY, |hit| hit.1);
            state.rows.tied(query, farthest)
        };
        let rows = own.iter().zip(queries.chunks_exact(dim)).zip(truth.chunks_exact(ASKED_FOR));
        Ok(rows.map(|((own, query), hits)| [FEW, MANY].map(|count| bound(hits, *own, query, count))).collect())
    }
}

/// Return the ranks that were kept.
fn ranks_of(mut best: Best, count: usize) -> impl Iterator<Item = u32> {
    let mut ranks: Vec<u32> = best.sorted().iter().map(|entry| key_of(*entry) as u32).collect();
    ranks.resize(count, u32::MAX);
    ranks.into_iter()
}

/// Writes the place of each list in the order of each query, from 1 on.
struct Places<'a> {
    partitions: &'a Partitions,
    queries: &'a [f32],
    out: &'a mut Vec<u32>,
}

impl Loop for Places<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { partitions, queries, out } = self;
        let (count, mut order) = (partitions.len(), Order::default());
        out.clear();
        out.resize(queries.len() / partitions.centroids().dim() * count, 0);
        for (query, out) in queries.chunks_exact(partitions.centroids().dim()).zip(out.chunks_exact_mut(count)) {
            // SAFETY: `Level::run` checked the instruction set.
            unsafe { order.fill::<I>(partitions, query) };
            for place in 0..count {
                if let Some(list) = order.list(place) {
                    out[list] = place as u32 + 1;
                }
            }
        }
    }
}

/// Keeps the ranks of the lists of neighbours. Of vectors at the same distance, any counts.
struct Within<'a> {
    /// The list of each slot.
    lists: &'a [u32],
    count: usize,
    /// The rank of each list, query after query.
    ranks: &'a [u32],
    own: &'a [u32],
    bounds: &'a [[f32; 2]],
    /// The least ranks of the nearest [`FEW`] and of the nearest [`MANY`].
    found: Vec<(Best, Best)>,
}

impl<'a> Within<'a> {
    fn new(lists: &'a [u32], count: usize, ranks: &'a [u32], own: &'a [u32], bounds: &'a [[f32; 2]]) -> Self {
        let mut found = vec![(Best::default(), Best::default()); own.len()];
        for (few, many) in &mut found {
            few.reset(FEW);
            many.reset(MANY);
        }
        Self { lists, count, ranks, own, bounds, found }
    }
}

impl Sink for Within<'_> {
    fn bound(&self, query: usize) -> f32 {
        self.bounds[query][1]
    }

    fn take(&mut self, query: usize, slot: u32, distance: f32) {
        if slot == self.own[query] {
            return;
        }
        let rank = self.ranks[query * self.count + self.lists[slot as usize] as usize];
        let (few, many) = &mut self.found[query];
        if distance <= self.bounds[query][0] {
            few.offer(rank as i32, slot);
        }
        many.offer(rank as i32, slot);
    }

    fn restart(&mut self) {
        for (few, many) in &mut self.found {
            few.restart();
            many.restart();
        }
    }
}
