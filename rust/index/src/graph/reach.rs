//! Make every node reachable: rows are limited, so all links to a node may have been crowded out.
//!
//! The reachable nodes form a tree, in which the parent of each is the node that it was first
//! reached from. A link outside the tree can give way to a link to an unreachable node without
//! losing anything.

use std::collections::BTreeMap;

use tiercel_simd::{Isa, Level};

use super::layers::{Graph, Layer, NONE};
use super::walk::{Effort, Scratch, descend, walk};
use crate::budget::Meter;
use crate::errors::Interrupted;
use crate::storage::any_space::{AnySpace, SpaceLoop};
use crate::storage::candidate::slot_of;
use crate::storage::rows::Rows;
use crate::storage::space::Space;
use crate::work::Work;

/// Candidates considered as the source of a link to an unreachable node.
const CANDIDATES: usize = 64;

/// Nodes of level 0 whose rows change, and their new rows.
pub(crate) type Links = BTreeMap<u32, Vec<u32>>;

impl Graph {
    /// Plan links to all nodes of level 0 that cannot be reached from the entry; return none if all
    /// can.
    pub(crate) fn plan_reach(
        &self,
        rows: &Rows,
        space: AnySpace<'_>,
        level: Level,
        work: &Work<'_>,
    ) -> Result<Links, Interrupted> {
        if self.len() == 0 {
            return Ok(Links::new());
        }
        assert!(self.len() <= space.slots(), "every slot of the graph can be compared");
        let layer = &self.layers[0];
        let mut tree = Tree { layer, parents: self.reachable(), changed: Links::new(), below: BTreeMap::new() };
        let mut scratch = Scratch::default();
        for node in 0..self.len() as u32 {
            if tree.parents[node as usize] == NONE {
                work.check()?;
                let near = space.run(level, Near { graph: self, rows, node, scratch: &mut scratch });
                tree.hang(node, &near);
            }
        }
        Ok(tree.changed)
    }

    /// Write planned links.
    pub(crate) fn commit_reach(&mut self, links: Links) {
        for (source, row) in links {
            self.layers[0].set_row(source, &row);
        }
    }

    /// Return, for each node of level 0 that can be reached from the entry, the node that it was
    /// first reached from, or itself.
    fn reachable(&self) -> Vec<u32> {
        let mut roots = vec![self.entry];
        for layer in self.layers[1..].iter().rev() {
            let mut parents = vec![NONE; layer.len()];
            for root in roots {
                spread(layer, root, root, &mut parents);
            }
            let below = layer.below.runs().flatten();
            let reached = parents.iter().zip(below).filter(|(parent, _)| **parent != NONE);
            roots = reached.map(|(_, below)| *below).collect();
        }
        let mut parents = vec![NONE; self.len()];
        for root in roots {
            spread(&self.layers[0], root, root, &mut parents);
        }
        parents
    }
}

/// Mark a node, reached from `parent`, and all nodes reachable from it.
fn spread(layer: &Layer, node: u32, parent: u32, parents: &mut [u32]) {
    let mut open = vec![(node, parent)];
    while let Some((node, parent)) = open.pop() {
        if parents[node as usize] == NONE {
            parents[node as usize] = parent;
            open.extend(layer.neighbours(node).iter().map(|other| (*other, node)));
        }
    }
}

/// The reachable nodes of level 0.
struct Tree<'a> {
    layer: &'a Layer,
    parents: Vec<u32>,
    changed: Links,
    /// For each full node, the descendant that last had room.
    below: BTreeMap<u32, u32>,
}

impl Tree<'_> {
    fn row(&self, node: u32) -> &[u32] {
        self.changed.get(&node).map_or_else(|| self.layer.neighbours(node), Vec::as_slice)
    }

    /// Return where a node has room for a link: after its last, or in place of one in the second
    /// half of its row that is not in the tree.
    fn room(&self, node: u32) -> Option<usize> {
        let (row, degree) = (self.row(node), self.layer.degree);
        if row.len() < degree {
            return Some(row.len());
        }
        (degree / 2..degree).rev().find(|at| self.parents[row[*at] as usize] != node)
    }

    /// Link a node from the nearest node with room, or from one below the nearest; a leaf of the
    /// tree has room.
    fn hang(&mut self, node: u32, near: &[u32]) {
        let Some(nearest) = near.first() else { return };
        let (source, at) = near.iter().find_map(|near| Some((*near, self.room(*near)?))).unwrap_or_else(|| {
            let mut below = self.below.get(nearest).copied().unwrap_or(*nearest);
            let at = loop {
                match self.room(below) {
                    Some(at) => break at,
                    None => below = self.row(below)[self.layer.degree - 1],
                }
            };
            self.below.insert(*nearest, below);
            (below, at)
        });
        let mut row = self.row(source).to_vec();
        row.truncate(self.layer.degree);
        if at < row.len() {
            row.remove(at);
        }
        row.push(node);
        self.changed.insert(source, row);
        spread(self.layer, node, source, &mut self.parents);
    }
}

/// Find the nodes where a walk towards a node ends.
struct Near<'a> {
    graph: &'a Graph,
    rows: &'a Rows,
    node: u32,
    scratch: &'a mut Scratch,
}

impl SpaceLoop for Near<'_> {
    type Output = Vec<u32>;
    const LINKS: bool = true;

    #[inline(always)]
    fn run<I: Isa, S: Space>(self, space: S) -> Vec<u32> {
        let (mut vector, mut query) = (Vec::new(), S::Query::default());
        self.rows.direction(self.node as usize, &mut vector);
        space.prepare(&vector, &mut query);
        // SAFETY: `plan_reach` checked that the slots of the graph are slots of the space, which
        // prepared the query; `Level::run` checked the instruction set.
        unsafe {
            let start = descend::<I, S>(self.graph, space, &query, 0);
            let effort = Effort { ef: CANDIDATES, breadth: CANDIDATES };
            let meter = &mut Meter::unlimited();
            walk::<I, S>(&self.graph.layers[0], space, &query, start, effort, self.scratch, meter);
        }
        self.scratch.pool.entries().iter().map(|entry| slot_of(*entry)).collect()
    }
}
