//! Link vectors into the graph, a batch at a time.
//!
//! All threads plan a batch on the current graph, each vector by itself; then the batch is
//! committed at once. The graph therefore depends on neither the number of threads nor their
//! timing, and a concurrent search sees a whole batch or none of it. Vectors of a batch do not find
//! each other by walking; each is compared with all others of its batch instead.

use tiercel_simd::{Isa, Level};

use super::layers::{Graph, Layer, NONE, filled};
use super::select::{Rounds, Selection};
use super::walk::{Effort, Scratch, descend, prefetch_row, walk};
use crate::budget::Meter;
use crate::errors::Interrupted;
use crate::storage::any_space::{AnySpace, Kept, SpaceLoop};
use crate::storage::candidate::{candidate, key_of, slot_of};
use crate::storage::rows::Rows;
use crate::storage::space::Space;
use crate::work::Work;

/// Most vectors in a batch: at this size, comparing all pairs takes 5% of the time of the walks.
const BATCH: usize = 1024;

/// Percentage of the candidates of an insertion that are expanded. The farthest only serve to
/// choose from, since nodes around them are hardly ever chosen.
const BREADTH: usize = 50;

/// Vectors planned, or rows merged, before a thread looks for more and whether to stop.
const CHUNK: usize = 16;

/// The new rows of one level, which [`Graph::commit`] writes.
#[derive(Default)]
pub(super) struct LayerPlan {
    /// Slots new in this level.
    members: Vec<u32>,
    /// Their numbers in the level below; empty at level 0.
    below: Vec<u32>,
    /// Rows of the new nodes, `stride` values each.
    forward: Vec<u32>,
    /// Number of diverse neighbours at the head of each new row.
    diverse: Vec<u32>,
    /// Nodes whose rows change, in order.
    pub(super) targets: Vec<u32>,
    /// Their rows, `stride` values each.
    rows: Vec<u32>,
}

/// The changes that a batch will make.
pub(crate) struct BatchPlan {
    pub(super) layers: Vec<LayerPlan>,
}

impl Graph {
    /// Return how many of `more` unlinked vectors to link next: the graph doubles until batches are
    /// full.
    pub(crate) fn next_batch(&self, more: usize) -> usize {
        more.min(BATCH).min(self.len().max(1))
    }

    /// Plan to link the `count` slots that follow those in the graph.
    pub(crate) fn plan(
        &self,
        rows: &Rows,
        space: AnySpace<'_>,
        level: Level,
        count: usize,
        ef_construction: usize,
        work: &Work<'_>,
    ) -> Result<BatchPlan, Interrupted> {
        assert!(self.len() + count <= space.slots(), "every slot of the graph and of the batch can be compared");
        let mut layers = self.members(count);
        let empty: Vec<Layer> = (self.layers.len()..layers.len()).map(|_| Layer::new(self.m)).collect();
        let context = Context {
            graph: self,
            rows,
            space,
            empty: &empty,
            effort: Effort { ef: ef_construction, breadth: (ef_construction * BREADTH).div_ceil(100) },
        };
        for (at, plan) in layers.iter_mut().enumerate() {
            plan.forward = vec![NONE; plan.members.len() * context.layer(at).stride()];
            plan.diverse = vec![0; plan.members.len()];
        }
        context.forward(&mut layers, level, work)?;
        for (at, plan) in layers.iter_mut().enumerate() {
            context.backward(at, plan, level, work)?;
        }
        Ok(BatchPlan { layers })
    }

    /// List the new nodes of each level.
    fn members(&self, count: usize) -> Vec<LayerPlan> {
        let mut layers = vec![LayerPlan::default()];
        for slot in self.len()..self.len() + count {
            let top = self.level(slot as u32);
            while layers.len() <= top {
                layers.push(LayerPlan::default());
            }
            layers[0].members.push(slot as u32);
            let mut below = slot as u32;
            for (at, plan) in layers.iter_mut().enumerate().take(top + 1).skip(1) {
                let node = self.layers.get(at).map_or(0, Layer::len) + plan.members.len();
                plan.members.push(slot as u32);
                plan.below.push(below);
                below = node as u32;
            }
        }
        layers
    }

    /// Write a batch that was planned on the graph as it is now.
    pub(crate) fn commit(&mut self, plan: BatchPlan) {
        for (at, plan) in plan.layers.into_iter().enumerate() {
            if at == self.layers.len() {
                self.layers.push(Layer::new(self.m));
                // The first node of the highest level is where walks begin.
                self.entry = 0;
            }
            let layer = &mut self.layers[at];
            layer.links.extend_from_slice(&plan.forward);
            if at > 0 {
                layer.members.extend_from_slice(&plan.members);
                layer.below.extend_from_slice(&plan.below);
            }
            for (row, target) in plan.rows.chunks_exact(layer.stride()).zip(&plan.targets) {
                layer.links.row_mut(*target as usize).copy_from_slice(row);
            }
        }
    }
}

/// The current graph, and the levels that the batch adds.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) graph: &'a Graph,
    pub(super) rows: &'a Rows,
    pub(super) space: AnySpace<'a>,
    pub(super) empty: &'a [Layer],
    pub(super) effort: Effort,
}

/// Memory that a thread reuses from one vector to the next.
#[derive(Default)]
struct Workspace {
    scratch: Scratch,
    prepared: Kept,
    vector: Vec<f32>,
}

/// The part of [`Workspace`] that depends on the space.
#[derive(Default)]
struct Prepared<Q> {
    query: Q,
    selection: Selection<Q>,
}

impl Context<'_> {
    fn layer(&self, at: usize) -> &Layer {
        self.graph.layers.get(at).unwrap_or_else(|| &self.empty[at - self.graph.layers.len()])
    }

    /// Fill the rows of all new nodes.
    fn forward(&self, layers: &mut [LayerPlan], level: Level, work: &Work<'_>) -> Result<(), Interrupted> {
        let count = layers[0].members.len();
        let first = layers[0].members[0];
        // A vector fills one row in each of its levels; together these rows are one item of the
        // parallel loop.
        let width: usize = (0..layers.len()).map(|at| self.layer(at).stride() + 1).sum();
        let mut rows = vec![NONE; count * width];
        let members: Vec<&[u32]> = layers.iter().map(|plan| plan.members.as_slice()).collect();
        work.fill(&mut rows, width, CHUNK, Workspace::default, |workspace, item, out| {
            let slot = first + item as u32;
            self.space.run(level, Forward { context: self, members: &members, slot, workspace, out });
        })?;
        let mut start = 0;
        for (at, plan) in layers.iter_mut().enumerate() {
            let stride = self.layer(at).stride();
            for (node, slot) in plan.members.iter().enumerate() {
                let row = &rows[(slot - first) as usize * width + start..][..=stride];
                plan.forward[node * stride..][..stride].copy_from_slice(&row[..stride]);
                plan.diverse[node] = row[stride];
            }
            start += stride + 1;
        }
        Ok(())
    }

    /// Merge the links back to new nodes into the rows of their targets.
    fn backward(&self, at: usize, plan: &mut LayerPlan, level: Level, work: &Work<'_>) -> Result<(), Interrupted> {
        let layer = self.layer(at);
        let mut edges: Vec<(u32, u32)> = Vec::new();
        for (node, row) in plan.forward.chunks_exact(layer.stride()).enumerate() {
            let source = (layer.len() + node) as u32;
            edges.extend(row.iter().take(plan.diverse[node] as usize).map(|target| (*target, source)));
        }
        self.merge(at, plan, edges, Rounds::Strict, level, work)
    }

    /// Merge links, by target and source, into the rows of their targets. The caller has checked that
    /// every slot of the graph and of the batch is one of the space.
    pub(super) fn merge(
        &self,
        at: usize,
        plan: &mut LayerPlan,
        mut edges: Vec<(u32, u32)>,
        rounds: Rounds,
        level: Level,
        work: &Work<'_>,
    ) -> Result<(), Interrupted> {
        let layer = self.layer(at);
        edges.sort_unstable();
        let groups: Vec<&[(u32, u32)]> = edges.chunk_by(|a, b| a.0 == b.0).collect();
        plan.targets = groups.iter().map(|group| group[0].0).collect();
        let mut rows = vec![NONE; groups.len() * layer.stride()];
        let (members, forward) = (&plan.members, &plan.forward);
        work.fill(&mut rows, layer.stride(), CHUNK, Workspace::default, |workspace, item, out| {
            let coming = &groups[item + 1..groups.len().min(item + 3)];
            let edges = groups[item];
            self.space.run(level, Merge { layer, members, forward, edges, coming, rounds, workspace, out });
        })?;
        plan.rows = rows;
        Ok(())
    }
}

/// Find the neighbours of one new vector in all its levels.
struct Forward<'a> {
    context: &'a Context<'a>,
    /// New slots by level.
    members: &'a [&'a [u32]],
    slot: u32,
    workspace: &'a mut Workspace,
    /// A row and the number of its diverse neighbours, level by level.
    out: &'a mut [u32],
}

impl SpaceLoop for Forward<'_> {
    type Output = ();
    const LINKS: bool = true;

    #[inline(always)]
    fn run<I: Isa, S: Space>(self, space: S) {
        let Self { context, members, slot, workspace, out } = self;
        let Workspace { scratch, prepared, vector } = workspace;
        let Prepared { query, selection } = prepared.get::<Prepared<S::Query>>();
        let graph = context.graph;
        context.rows.direction(slot as usize, vector);
        space.prepare(vector, query);
        let top = graph.level(slot);
        let walked = if graph.len() == 0 { 0 } else { graph.layers.len() };
        // SAFETY: `Graph::plan` checked that every slot of the graph and of the batch is one of the
        // space, which prepared the query; `Level::run` checked the instruction set.
        unsafe {
            let mut start =
                if walked == 0 { (0, 0) } else { descend::<I, S>(graph, space, query, top.min(walked - 1)) };
            let mut end = out.len();
            for at in (0..members.len()).rev() {
                let layer = context.layer(at);
                let (row, diverse) = {
                    let out = &mut out[end - layer.stride() - 1..end];
                    end -= layer.stride() + 1;
                    out.split_at_mut(layer.stride())
                };
                if at > top {
                    continue;
                }
                if at < walked {
                    let meter = &mut Meter::unlimited();
                    walk::<I, S>(layer, space, query, start, context.effort, scratch, meter);
                } else {
                    scratch.pool.reset(context.effort.ef);
                }
                if at > 0
                    && let Some(nearest) = scratch.pool.entries().first()
                    && at < walked
                {
                    start = (layer.below(slot_of(*nearest)), key_of(*nearest));
                }
                for (new, &other) in members[at].iter().enumerate() {
                    let key = space.key::<I>(query, other);
                    if other != slot && key < scratch.pool.bound() {
                        scratch.pool.insert::<I>(candidate(key, (layer.len() + new) as u32));
                    }
                }
                selection.candidates.clear();
                selection.candidates.extend(
                    scratch.pool.entries().iter().map(|entry| (S::distance(query, key_of(*entry)), slot_of(*entry))),
                );
                let slot_of = |node| slot_in(layer, members[at], node);
                diverse[0] = selection.choose::<I, S>(layer.degree, Rounds::Relaxed, space, slot_of) as u32;
                row[..selection.chosen.len()].copy_from_slice(&selection.chosen);
            }
        }
    }
}

/// Return the slot of a node of a level, or of the batch that will follow it.
#[inline(always)]
fn slot_in(layer: &Layer, members: &[u32], node: u32) -> u32 {
    match (node as usize).checked_sub(layer.len()) {
        Some(new) => members[new],
        None => layer.slot(node),
    }
}

/// Add links to new nodes to the row of one target; select its neighbours again if they do not fit.
struct Merge<'a> {
    layer: &'a Layer,
    members: &'a [u32],
    forward: &'a [u32],
    /// Target and source; all have the same target.
    edges: &'a [(u32, u32)],
    /// The edges of the next targets, whose memory is prefetched meanwhile.
    coming: &'a [&'a [(u32, u32)]],
    rounds: Rounds,
    workspace: &'a mut Workspace,
    out: &'a mut [u32],
}

impl SpaceLoop for Merge<'_> {
    type Output = ();
    const LINKS: bool = true;

    #[inline(always)]
    fn run<I: Isa, S: Space>(self, space: S) {
        let Self { layer, members, forward, edges, coming, rounds, workspace, out } = self;
        let Prepared { query, selection } = workspace.prepared.get::<Prepared<S::Query>>();
        let target = edges[0].0;
        let row_of = |target: u32| match (target as usize).checked_sub(layer.len()) {
            Some(new) => &forward[new * layer.stride()..][..layer.stride()],
            None => layer.row(target),
        };
        let slot_of = |node| slot_in(layer, members, node);
        for (ahead, edges) in coming.iter().enumerate() {
            let row = row_of(edges[0].0);
            if ahead == 0 {
                // The merge before this one prefetched its row.
                for &node in filled(row) {
                    // SAFETY: `Graph::plan` or `Graph::plan_mutual` checked that every slot of the graph and of the batch
                    // is one of the space.
                    unsafe { space.prefetch::<I>(slot_of(node)) };
                }
            } else {
                prefetch_row::<I>(row);
            }
        }
        let old = filled(row_of(target));
        let new = edges.iter().map(|edge| edge.1).filter(|source| !old.contains(source));
        selection.candidates.clear();
        selection.candidates.extend(old.iter().copied().chain(new).map(|node| (0.0, node)));
        let nodes = selection.candidates.len();
        if nodes <= layer.degree {
            for (out, (_, node)) in out.iter_mut().zip(&selection.candidates) {
                *out = *node;
            }
            return;
        }
        space.prepare_slot(slot_of(target), query);
        // SAFETY: `Graph::plan` or `Graph::plan_mutual` checked that every slot of the graph and of the batch is one of the
        // space, which prepared the query; `Level::run` checked the instruction set.
        unsafe {
            for (_, node) in &selection.candidates {
                space.prefetch::<I>(slot_of(*node));
            }
            for (distance, node) in &mut selection.candidates {
                *distance = S::distance(query, space.key::<I>(query, slot_of(*node)));
            }
            selection.candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            selection.choose::<I, S>(layer.degree, rounds, space, slot_of);
        }
        out[..selection.chosen.len()].copy_from_slice(&selection.chosen);
    }
}
