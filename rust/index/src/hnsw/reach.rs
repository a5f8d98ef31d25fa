//! Every node must be reachable: a row holds so many neighbours and no more, so links to a node can all be crowded out.

use tiercel_simd::{Isa, Level, Loop};

use super::graph::{Graph, Layer, NONE};
use super::walk::{Reach, Scratch, descend, walk};
use crate::bitset::Bitset;
use crate::errors::Interrupted;
use crate::pool::slot_of;
use crate::rows::Rows;
use crate::space::{Query, Space};
use crate::work::Work;

/// Candidates looked at for a link to an unreachable node.
const CANDIDATES: usize = 64;

/// New links to nodes that no walk could reach: source, and the row it is to have.
pub(crate) type Links = Vec<(u32, Vec<u32>)>;

impl Graph {
    /// Nodes of level 0 that can be reached from the entry.
    fn reachable(&self) -> Bitset {
        let mut node = self.entry;
        for layer in self.layers[1..].iter().rev() {
            node = layer.below[node as usize];
        }
        let mut reached = Bitset::new(self.len());
        spread(&self.layers[0], node, &mut reached);
        reached
    }

    /// Plan links to all nodes of level 0 that cannot be reached from the entry; empty when all can.
    pub(crate) fn plan_reach<S: Space>(
        &self,
        rows: &Rows,
        space: S,
        level: Level,
        work: &Work<'_>,
    ) -> Result<Links, Interrupted> {
        if self.len() == 0 {
            return Ok(Links::new());
        }
        let mut reached = self.reachable();
        let mut links = Links::new();
        let mut scratch = Scratch::default();
        let mut taken = Bitset::new(self.len());
        for node in 0..self.len() {
            if reached.contains(node) {
                continue;
            }
            work.check()?;
            let node = node as u32;
            let search = Near { graph: self, rows, space, node, scratch: &mut scratch };
            let near = level.run(search);
            // A row that a link of this plan replaced must keep it.
            let Some(source) = near.into_iter().find(|near| !taken.contains(*near as usize)) else { continue };
            taken.insert(source as usize);
            let layer = &self.layers[0];
            let mut row = layer.neighbours(source).to_vec();
            // The last neighbour is the farthest of those that were only filled in.
            row.truncate(layer.degree - 1);
            row.push(node);
            links.push((source, row));
            spread(layer, node, &mut reached);
        }
        Ok(links)
    }

    /// Put planned links in.
    pub(crate) fn commit_reach(&mut self, links: Links) {
        for (source, row) in links {
            self.layers[0].set_row(source, &row);
        }
    }
}

/// Mark everything that can be reached from a node.
fn spread(layer: &Layer, from: u32, reached: &mut Bitset) {
    let mut open = vec![from];
    reached.insert(from as usize);
    while let Some(node) = open.pop() {
        for &other in layer.row(node).iter().take_while(|other| **other != NONE) {
            if !reached.contains(other as usize) {
                reached.insert(other as usize);
                open.push(other);
            }
        }
    }
}

/// The nodes that a walk towards a node ends at.
struct Near<'a, S> {
    graph: &'a Graph,
    rows: &'a Rows,
    space: S,
    node: u32,
    scratch: &'a mut Scratch,
}

impl<S: Space> Loop for Near<'_, S> {
    type Output = Vec<u32>;

    #[inline(always)]
    fn run<I: Isa>(self) -> Vec<u32> {
        let (mut vector, mut query) = (Vec::new(), Query::default());
        self.rows.direction(self.node as usize, &mut vector);
        self.space.prepare(&vector, &mut query);
        // SAFETY: the slots of the graph are in the index; `Level::run` checked the instruction set.
        unsafe {
            let start = descend::<I, S>(self.graph, self.space, &query, 0);
            walk::<I, S>(
                &self.graph.layers[0],
                self.space,
                &query,
                start,
                Reach { ef: CANDIDATES, breadth: CANDIDATES },
                self.scratch,
            );
        }
        let found = self.scratch.pool.entries().iter().map(|entry| slot_of(*entry));
        found.filter(|found| *found != self.node).collect()
    }
}
