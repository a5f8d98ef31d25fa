//! Looking over a graph that has grown: every node must be reachable, and walks must find what they are meant to.

use crate::best::Best;
use crate::errors::Interrupted;
use crate::hnsw::reach;
use crate::link::Linker;
use crate::search::{Hit, Memory, NO_HIT, Plan, Search};
use crate::space::Space;
use crate::state::{OnSpace, State};

/// Vectors of the index that are searched for.
const ASKED: usize = 64;

/// Neighbours of each, and the candidates of the walk that looks for them.
const K: usize = 10;
const EF: usize = 200;

/// Equal distances may differ by their rounding.
const TIE: f32 = 1e-6;

impl Linker<'_> {
    /// Whether an eighth of the graph is new since it was looked over.
    pub(crate) fn is_survey_due(&self) -> bool {
        let state = self.state.read();
        state.graph.len() * 8 >= state.surveyed * 9
    }

    /// Look over the graph when any of it is new.
    pub(crate) fn survey_anew(&self) -> Result<(), Interrupted> {
        let is_new = {
            let state = self.state.read();
            state.graph.len() != state.surveyed
        };
        if is_new { self.look_over() } else { Ok(()) }
    }

    /// Make every vector reachable, and measure what walks find.
    pub(crate) fn look_over(&self) -> Result<(), Interrupted> {
        self.reach()?;
        self.survey()
    }

    /// Make every linked vector reachable.
    fn reach(&self) -> Result<(), Interrupted> {
        let links = {
            let state = self.state.read();
            state.with_space(PlanReach { linker: self, state: &state })?
        };
        self.state.write().graph.commit_reach(links);
        Ok(())
    }

    /// Measure what walks find against exact search.
    fn survey(&self) -> Result<(), Interrupted> {
        let (recall, linked) = {
            let state = self.state.read();
            (self.measure(&state)?, state.graph.len())
        };
        let mut state = self.state.write();
        (state.graph_recall, state.surveyed) = (recall, linked);
        Ok(())
    }

    fn measure(&self, state: &State) -> Result<f32, Interrupted> {
        let linked = state.graph.len();
        if linked < K {
            return Ok(1.0);
        }
        let dim = self.options.dim;
        let (mut queries, mut row) = (Vec::new(), Vec::new());
        for slot in (0..linked).step_by(linked.div_ceil(ASKED)) {
            state.rows.direction(slot, &mut row);
            queries.extend_from_slice(&row);
        }
        let count = queries.len() / dim;
        let search = |plan| Search { state, level: self.level, k: K, plan, allowed: None, is_filtered: false };
        let part = count.div_ceil(self.work.threads);
        let mut truth = vec![NO_HIT; count * K];
        self.work.fill(&mut truth, K * part, 1, Vec::<Best>::new, |best, item, out| {
            best.resize_with(out.len() / K, Best::default);
            let some = &queries[item * part * dim..][..out.len() / K * dim];
            // An interruption shows in `work` itself.
            let _ = search(Plan::Exact).exact(some, best, out, self.work);
        })?;
        let mut walked = vec![NO_HIT; count * K];
        let plan = Plan::Walk { ef: EF };
        self.work.fill(&mut walked, K, 4, Memory::default, |memory, item, out| {
            let _ = search(plan).one(&queries[item * dim..][..dim], memory, out, self.work);
        })?;
        Ok(recall(&truth, &walked))
    }
}

/// Share of the hits walked to that are as near as the true ones.
fn recall(truth: &[Hit], walked: &[Hit]) -> f32 {
    let mut hits = 0;
    for (truth, walked) in truth.chunks_exact(K).zip(walked.chunks_exact(K)) {
        let farthest = truth[K - 1].1;
        let bound = farthest + TIE * farthest.abs().max(1.0);
        hits += walked.iter().filter(|hit| hit.1 <= bound).count();
    }
    hits as f32 / truth.len() as f32
}

struct PlanReach<'a, 'b> {
    linker: &'a Linker<'b>,
    state: &'a State,
}

impl OnSpace for PlanReach<'_, '_> {
    type Output = Result<reach::Links, Interrupted>;

    fn on<S: Space>(self, space: S) -> Self::Output {
        self.state.graph.plan_reach(&self.state.rows, space, self.linker.level, self.linker.work)
    }
}
