//! Let links lead back once a graph is finished.
//!
//! While vectors are added, only the links that the strict round chose lead back at once, since
//! each link back makes its target choose its neighbours again. The others of level 0 follow here,
//! all of a target in one choice.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tiercel_simd::Level;

use super::insert::{BatchPlan, Context, LayerPlan};
use super::layers::{Graph, NONE};
use super::select::Rounds;
use super::walk::Effort;
use crate::errors::Interrupted;
use crate::storage::any_space::AnySpace;
use crate::storage::rows::Rows;
use crate::work::Work;

/// About the most links considered at once; a link takes 8 bytes.
const LINKS: usize = 8 << 20;

/// The most parts: each goes through all links.
const PARTS: usize = 32;

/// Nodes whose links a thread goes through before it looks for more.
const SOURCES: usize = 4096;

/// The most links that a target chooses from beside its own, so that no choice takes long.
const CHOICE: usize = 256;

impl Graph {
    /// Return ranges of nodes to let links lead back to, one after the other, from the nodes after
    /// the first `before`.
    pub(crate) fn mutual_parts(&self, before: usize) -> impl Iterator<Item = Range<u32>> + use<> {
        parts(self.len(), (self.len() - before) * self.layers[0].degree)
    }

    /// Plan to let the links of level 0 from the nodes after the first `before` to `targets` lead
    /// back.
    pub(crate) fn plan_mutual(
        &self,
        rows: &Rows,
        space: AnySpace<'_>,
        level: Level,
        before: usize,
        targets: Range<u32>,
        work: &Work<'_>,
    ) -> Result<BatchPlan, Interrupted> {
        assert!(self.len() <= space.slots(), "every slot of the graph can be compared");
        let layer = &self.layers[0];
        let edges = Mutex::new(Vec::new());
        work.each_range(self.len() - before, SOURCES, Vec::new, |some, range| {
            some.clear();
            for source in range.map(|at| (before + at) as u32) {
                let links = layer.neighbours(source).iter().filter(|target| targets.contains(target));
                let one_way = links.filter(|target| !layer.neighbours(**target).contains(&source));
                some.extend(one_way.map(|target| (*target, source)));
            }
            edges.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(some);
        })?;
        let mut edges = edges.into_inner().unwrap_or_else(PoisonError::into_inner);
        edges.sort_unstable();
        let (mut last, mut count) = (NONE, 0);
        edges.retain(|(target, _)| {
            count = if *target == last { count + 1 } else { 1 };
            last = *target;
            count <= CHOICE
        });
        let mut plan = LayerPlan::default();
        let context = Context { graph: self, rows, space, empty: &[], effort: Effort { ef: 0, breadth: 0 } };
        context.merge(0, &mut plan, edges, Rounds::Relaxed, level, work)?;
        Ok(BatchPlan { layers: vec![plan] })
    }
}

/// Divide `nodes` nodes into ranges to which about [`LINKS`] of all `links` lead.
fn parts(nodes: usize, links: usize) -> impl Iterator<Item = Range<u32>> {
    let parts = links.div_ceil(LINKS).clamp(1, PARTS);
    (0..parts).map(move |part| (nodes * part / parts) as u32..(nodes * (part + 1) / parts) as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;

    use tiercel_quant::split_mix;

    use super::*;
    use crate::options::{Metric, Options};

    const DIM: usize = 4;

    fn rows(count: usize) -> Rows {
        let mut state = 7;
        let vectors: Vec<f32> = (0..count * DIM).map(|_| (split_mix(&mut state) % 1000) as f32).collect();
        let mut rows = Rows::new(&Options::new(DIM, Metric::L2));
        rows.append(&vectors, &Work::quiet(1, &AtomicBool::new(false))).expect("memory");
        rows
    }

    fn link(graph: &mut Graph, rows: &Rows, count: usize, work: &Work<'_>) {
        while graph.len() < count {
            let batch = graph.next_batch(count - graph.len());
            let plan = graph.plan(rows, AnySpace::Raw(rows), Level::Scalar, batch, 40, work).expect("no stop");
            graph.commit(plan);
        }
    }

    /// Number of links from the nodes after the first `before` that lead back.
    fn mutual(graph: &Graph, before: usize) -> usize {
        let layer = &graph.layers[0];
        let links = (before as u32..graph.len() as u32)
            .flat_map(|node| layer.neighbours(node).iter().map(move |target| (node, layer.neighbours(*target))));
        links.filter(|(node, back)| back.contains(node)).count()
    }

    fn assert_sound(graph: &Graph) {
        assert!(graph.is_sound());
        for node in 0..graph.len() as u32 {
            let row = graph.layers[0].neighbours(node);
            assert_eq!(row.iter().collect::<BTreeSet<_>>().len(), row.len(), "{node}: {row:?}");
        }
    }

    #[test]
    fn more_links_lead_back() {
        let (rows, stop) = (rows(900), AtomicBool::new(false));
        let work = Work::quiet(2, &stop);
        let mut graph = Graph::new(16, 1);
        for (before, count) in [(0, 600), (600, 900)] {
            link(&mut graph, &rows, count, &work);
            let few = mutual(&graph, before);
            for targets in graph.mutual_parts(before) {
                let plan = graph.plan_mutual(&rows, AnySpace::Raw(&rows), Level::Scalar, before, targets, &work);
                graph.commit(plan.expect("no stop"));
            }
            assert!(mutual(&graph, before) > few + few / 4, "{few}, then {}", mutual(&graph, before));
            assert_sound(&graph);
        }
        // There are no new links.
        let plan = graph.plan_mutual(&rows, AnySpace::Raw(&rows), Level::Scalar, 900, 0..900, &work);
        assert!(plan.is_ok_and(|plan| plan.layers[0].targets.is_empty()));
    }

    #[test]
    fn the_parts_cover_every_node_once() {
        let (rows, stop) = (rows(50), AtomicBool::new(false));
        let mut graph = Graph::new(2, 1);
        link(&mut graph, &rows, 50, &Work::quiet(1, &stop));
        assert!(graph.mutual_parts(0).eq(std::iter::once(0..50)));
        assert_eq!(parts(50, 3 * LINKS - 1).collect::<Vec<_>>(), [0..16, 16..33, 33..50]);
    }
}
