//! The graph: levels of fixed-size rows of neighbours.
//!
//! Every level is a separate graph with its own node numbers, so that the sparse upper levels are
//! as dense in memory as level 0, where node numbers are slots:
//!
//! ```text
//! level 2   members [slot, ..]   below [node of level 1, ..]   links [m neighbours | NONE ..] per node
//! level 1   members [slot, ..]   below [node of level 0, ..]   links [m neighbours | NONE ..] per node
//! level 0   node = slot                                        links [2 m neighbours | NONE ..] per node, on 64-byte lines
//! ```
//!
//! Rows lie in small chunks, because a batch of insertions changes rows all over a level, and each
//! changed chunk is copied while a search holds the old graph.

use tiercel_quant::split_mix;
use tiercel_simd::{Chunked, Table};

/// Ends a row that is not full.
pub(crate) const NONE: u32 = u32::MAX;

/// Bytes of a chunk of links.
const CHUNK: usize = 4 << 10;

/// The highest level of a node; with m = 2, one node in 2^32 reaches it.
pub(crate) const MAX_LEVEL: usize = 32;

/// One level of the graph.
#[derive(Clone)]
pub(crate) struct Layer {
    /// Maximum number of neighbours of a node.
    pub(crate) degree: usize,
    /// Rows of neighbours, by node of this level.
    pub(crate) links: Chunked<u32>,
    /// Slot of each node; empty at level 0.
    pub(crate) members: Chunked<u32>,
    /// Number of each node in the level below; empty at level 0.
    pub(crate) below: Chunked<u32>,
}

impl Layer {
    pub(crate) fn new(degree: usize) -> Self {
        let stride = degree.next_multiple_of(16);
        let links = Chunked::with_chunk_bytes(stride, CHUNK);
        Self { degree, links, members: Chunked::new(1), below: Chunked::new(1) }
    }

    /// Values from one row to the next.
    #[inline(always)]
    pub(crate) const fn stride(&self) -> usize {
        self.links.width()
    }

    /// Number of values in all rows.
    pub(crate) const fn values(&self) -> usize {
        self.links.len() * self.stride()
    }

    /// Bytes of one row.
    pub(crate) const fn row_bytes(&self) -> u64 {
        (self.stride() * size_of::<u32>()) as u64
    }

    /// Number of nodes in this level.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// The row of a node, padding included.
    #[inline(always)]
    pub(crate) fn row(&self, node: u32) -> &[u32] {
        self.links.row(node as usize)
    }

    /// The neighbours of a node.
    #[inline(always)]
    pub(crate) fn neighbours(&self, node: u32) -> &[u32] {
        filled(self.row(node))
    }

    /// Replace the neighbours of a node.
    pub(crate) fn set_row(&mut self, node: u32, neighbours: &[u32]) {
        let row = self.links.row_mut(node as usize);
        row[..neighbours.len()].copy_from_slice(neighbours);
        row[neighbours.len()..].fill(NONE);
    }

    /// The slot of a node.
    #[inline(always)]
    pub(crate) fn slot(&self, node: u32) -> u32 {
        if self.members.is_empty() { node } else { self.members.row(node as usize)[0] }
    }

    /// The same, for a loop.
    #[inline(always)]
    pub(crate) fn slots(&self) -> Slots<'_> {
        Slots { members: (!self.members.is_empty()).then(|| self.members.table()), shift: self.members.shift() }
    }

    /// The number that a node of a level above 0 has in the level below.
    #[inline(always)]
    pub(crate) fn below(&self, node: u32) -> u32 {
        self.below.row(node as usize)[0]
    }

    /// Memory taken, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.links.bytes() + self.links.table_bytes() + self.members.bytes() + self.below.bytes()
    }
}

/// Return the neighbours in a row, without its padding.
#[inline(always)]
pub(crate) fn filled(row: &[u32]) -> &[u32] {
    &row[..row.iter().position(|other| *other == NONE).unwrap_or(row.len())]
}

/// The slots of the nodes of a level.
#[derive(Clone, Copy)]
pub(crate) struct Slots<'a> {
    /// None at level 0.
    members: Option<Table<'a, u32>>,
    shift: u32,
}

impl Slots<'_> {
    /// The slot of a node.
    ///
    /// # Safety
    ///
    /// The node is in the level.
    #[inline(always)]
    pub(crate) unsafe fn of(self, node: u32) -> u32 {
        // SAFETY: the caller promises a node of the level, each of which has a slot.
        self.members.map_or(node, |members| unsafe { *members.address(node as usize, 1, self.shift) })
    }
}

/// The graph over the first slots of an index.
#[derive(Clone)]
pub(crate) struct Graph {
    pub(crate) m: usize,
    pub(crate) seed: u64,
    /// Level 0 first; not empty.
    pub(crate) layers: Vec<Layer>,
    /// The entry point: a node of the last layer. Meaningless while the graph is empty.
    pub(crate) entry: u32,
}

impl Graph {
    pub(crate) fn new(m: usize, seed: u64) -> Self {
        Self { m, seed, layers: vec![Layer::new(2 * m)], entry: 0 }
    }

    /// Number of slots in the graph, which are those below it.
    pub(crate) fn len(&self) -> usize {
        self.layers[0].len()
    }

    /// Return the highest level of a slot, drawn from seed and slot alone: level l holds one slot
    /// in m^l.
    pub(crate) fn level(&self, slot: u32) -> usize {
        let mut state = self.seed ^ (u64::from(slot) << 32 | 0x6c65_7665);
        let random = split_mix(&mut state);
        let mut level = 0;
        let mut share = u64::MAX / self.m as u64;
        while random < share && level < MAX_LEVEL {
            level += 1;
            share /= self.m as u64;
        }
        level
    }

    /// Whether every number names an existing node. Walks rely on this without another check.
    pub(crate) fn is_sound(&self) -> bool {
        let slots = self.len();
        let entry = if slots == 0 {
            // The first node to be linked becomes the entry and adds its own levels.
            self.layers.len() == 1 && self.entry == 0
        } else {
            (self.entry as usize) < self.layers[self.layers.len() - 1].len()
        };
        entry
            && self.layers.iter().enumerate().all(|(level, layer)| {
                let nodes = layer.len();
                let below = level.checked_sub(1).map_or(0, |below| self.layers[below].len());
                let linked = |at: usize, node: u32| node == NONE || ((node as usize) < nodes && node as usize != at);
                (0..nodes).all(|at| layer.links.row(at).iter().all(|node| linked(at, *node)))
                    && layer.members.runs().flatten().all(|slot| (*slot as usize) < slots)
                    && layer.below.runs().flatten().all(|node| (*node as usize) < below)
            })
    }

    /// Memory taken, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.layers.iter().map(Layer::bytes).sum()
    }

    /// Mean number of neighbours at level 0.
    pub(crate) fn mean_degree(&self) -> f64 {
        let links = self.layers[0].links.runs().flatten().filter(|other| **other != NONE).count();
        links as f64 / self.len().max(1) as f64
    }

    /// Free spare memory.
    pub(crate) fn shrink(&mut self) {
        for layer in &mut self.layers {
            layer.links.shrink();
            layer.members.shrink();
            layer.below.shrink();
        }
    }
}
