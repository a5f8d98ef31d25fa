//! Survey a graph that has grown: make every node reachable, and measure what walks find.

use std::sync::Arc;

use crate::budget::Budget;
use crate::build::link::Linker;
use crate::errors::Interrupted;
use crate::options::Rerank;
use crate::search::allowed::Allowed;
use crate::search::best::Best;
use crate::search::query::{Hit, Memory, NO_HIT, Search};
use crate::search::recall::walk_for;
use crate::search::strategy::{Strategy, walked};
use crate::storage::efforts::{Attempt, Efforts};
use crate::storage::ranks::TARGETS;

/// Vectors of the index to search for.
const ASKED: usize = 128;

/// Neighbours of each vector, and candidates of the walk that looks for them. A search asks for one
/// more, since a vector finds itself, which does not count.
const K: usize = 10;
const EF: usize = 200;
const ASKED_FOR: usize = K + 1;

impl Linker<'_> {
    /// Whether the graph has grown by an eighth since it was surveyed, or has other codes.
    pub(crate) fn is_survey_due(&self) -> bool {
        self.state.graph.len() * 8 >= self.state.surveyed * 9
    }

    /// Survey the graph if it has grown, or has other codes.
    pub(crate) fn survey_anew(&mut self) -> Result<(), Interrupted> {
        if self.state.graph.len() == self.state.surveyed { Ok(()) } else { self.survey() }
    }

    /// Survey the graph: make every vector reachable, and measure what walks find.
    pub(crate) fn survey(&mut self) -> Result<(), Interrupted> {
        self.reach()?;
        if let Some((recall, efforts)) = self.measure()? {
            (self.state.graph_recall, self.state.efforts) = (recall, efforts);
        }
        self.state.surveyed = self.state.graph.len();
        Ok(())
    }

    /// Make every linked vector reachable.
    fn reach(&mut self) -> Result<(), Interrupted> {
        let state = &self.state;
        let links = state.graph.plan_reach(&state.rows, state.linking_space(), self.level, self.work)?;
        if !links.is_empty() {
            Arc::make_mut(&mut self.state.graph).commit_reach(links);
        }
        Ok(())
    }

    /// Measure the recall of walks against exact search, and what they need to reach each target,
    /// among the living vectors alone: a replaced vector has the id of its successor, and often its
    /// values. Measure nothing while so few vectors live that a search for any recall scans: the walk
    /// would keep more candidates the fewer live, and take time by their square.
    fn measure(&self) -> Result<Option<(f32, Efforts)>, Interrupted> {
        let state = &*self.state;
        let live = Allowed::of(state, None).count(state.slots());
        let least = walk_for(0, 1, &Efforts::USUAL, &state.ranks(), state.slots());
        if walked(least, state.slots(), live).is_none() {
            return Ok(None);
        }
        let Sample { own, queries, truth } = self.sample()?;
        let (count, dim) = (own.len(), self.options.dim);
        let tied = |at: usize, farthest| state.rows.tied(&queries[at * dim..][..dim], farthest);
        let recall_of = |strategy| {
            let mut found = vec![NO_HIT; count * ASKED_FOR];
            self.work.fill(&mut found, ASKED_FOR, 4, Memory::default, |memory, item, out| {
                // `work` itself reports an interruption.
                let _ = self.search(strategy).one(&queries[item * dim..][..dim], memory, out, self.work);
            })?;
            Ok(recall(&own, &truth, &found, tied))
        };
        // As in a search, dead nodes on the way take places.
        let walk = |ef: usize| Strategy::Walk { ef: ((ef + 1) * state.slots()).div_ceil(live) };
        let kept = |target, efforts: &Efforts| walk_for(target, K, efforts, &state.ranks(), state.slots());
        let mut efforts = Efforts::search(|efforts, target| {
            let ef = kept(target, efforts);
            if walked(ef, state.slots(), live).is_none() {
                return Ok(Attempt::TooCostly);
            }
            // Vectors of the index are found more easily than others, since the graph was built by
            // walks to them, so they may miss half of what others may. Of so few neighbours, one may
            // be missed for any target.
            let least = TARGETS[target].midpoint(1.0) - 1.0 / (count * K) as f32;
            Ok(if recall_of(walk(ef))? >= least { Attempt::Enough } else { Attempt::TooFew })
        })?;
        if let Some(target) = efforts.first_missed() {
            let scan = Strategy::Scan { ef: kept(target, &Efforts::USUAL) + 1 };
            let missed = 1.0 - recall_of(walk(kept(target, &efforts)))?;
            // Where codes are the limit, a scan of them finds no more than the widest walk.
            if (1.0 - recall_of(scan)?) * 2.0 > missed {
                efforts = efforts.walk_anyway();
            }
        }
        let ef = EF + state.ranks().beyond(0, ASKED_FOR, state.slots());
        Ok(Some((recall_of(walk(ef))?, efforts)))
    }

    /// Take vectors of the index, and find the nearest of each exactly.
    fn sample(&self) -> Result<Sample, Interrupted> {
        let (state, dim) = (&*self.state, self.options.dim);
        let allowed = Allowed::of(state, None);
        let living: Vec<usize> = (0..state.graph.len()).filter(|slot| allowed.contains(*slot)).collect();
        let (mut own, mut queries, mut row) = (Vec::new(), Vec::new(), Vec::new());
        for slot in living.iter().copied().step_by(living.len().div_ceil(ASKED)) {
            state.rows.direction(slot, &mut row);
            queries.extend_from_slice(&row);
            own.push(state.ids.id(slot));
        }
        let count = own.len();
        let part = count.div_ceil(self.work.threads());
        let mut truth = vec![NO_HIT; count * ASKED_FOR];
        self.work.fill(&mut truth, ASKED_FOR * part, 1, Vec::<Best>::new, |best, item, out| {
            best.resize_with(out.len() / ASKED_FOR, Best::default);
            let some = &queries[item * part * dim..][..out.len() / ASKED_FOR * dim];
            // `work` itself reports an interruption.
            let _ = self.search(Strategy::Exact).exact(some, best, out, self.work);
        })?;
        Ok(Sample { own, queries, truth })
    }

    fn search(&self, strategy: Strategy) -> Search<'_> {
        let state = &*self.state;
        let (allowed, budget) = (Allowed::of(state, None), Budget::default());
        Search { state, level: self.level, k: ASKED_FOR, strategy, allowed, rerank: Rerank::Full, budget }
    }
}

/// Vectors of an index, and the nearest of each.
struct Sample {
    /// Their ids.
    own: Vec<u64>,
    queries: Vec<f32>,
    truth: Vec<Hit>,
}

/// Return the share of true neighbours for which walks found one as near. The vectors themselves do
/// not count. `tied` returns the largest distance that may be equal to one from the vector at a place.
fn recall(own: &[u64], truth: &[Hit], walked: &[Hit], tied: impl Fn(usize, f32) -> f32) -> f32 {
    let (mut hits, mut wanted) = (0, 0);
    let rows = truth.chunks_exact(ASKED_FOR).zip(walked.chunks_exact(ASKED_FOR));
    for (at, (own, (truth, walked))) in own.iter().zip(rows).enumerate() {
        let truth: Vec<f32> = others(*own, truth).collect();
        let bound = tied(at, truth.last().copied().unwrap_or(f32::INFINITY));
        wanted += truth.len();
        hits += others(*own, walked).filter(|distance| *distance <= bound).count();
    }
    hits as f32 / wanted.max(1) as f32
}

/// Return the distances of the nearest with another id.
fn others(own: u64, hits: &[Hit]) -> impl Iterator<Item = f32> {
    let others = hits.iter().filter(move |hit| hit.0 != own && hit.0 != NO_HIT.0);
    others.map(|hit| hit.1).take(K)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_that_finds_itself_alone_finds_nothing() {
        let truth: Vec<Hit> = (0..ASKED_FOR as u64).map(|id| (id, id as f32)).collect();
        let found = |ids: &[u64]| {
            let mut walked: Vec<Hit> = ids.iter().map(|id| (*id, *id as f32)).collect();
            walked.resize(ASKED_FOR, NO_HIT);
            recall(&[0], &truth, &walked, |_, farthest| farthest)
        };
        let assert_share = |ids: &[u64], share: f32| assert!((found(ids) - share).abs() < 1e-6, "{ids:?}");
        assert_share(&[0], 0.0);
        assert_share(&[0, 1, 2, 3, 4, 5], 0.5);
        // It need not find itself.
        assert_share(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 1.0);
        assert_share(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 1.0);
        assert_share(&[0, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29], 0.0);
    }
}
