//! The walk through a level: what a search and an insertion spend their time on.

use tiercel_simd::Isa;

use super::graph::{Graph, Layer, NONE};
use crate::pool::{Pool, candidate, key_of, slot_of};
use crate::space::{Query, Space};

/// Codes asked for ahead of the one being compared: enough to cover the latency of memory, few enough to be kept.
const AHEAD: usize = 12;

/// What a walk remembers; reused from one to the next.
#[derive(Clone, Default)]
pub(crate) struct Scratch {
    /// Candidates by node of the level walked through.
    pub(crate) pool: Pool,
    /// The walk that last met each node.
    stamps: Vec<u8>,
    /// The current walk.
    stamp: u8,
    /// Neighbours met for the first time.
    fresh: Vec<u32>,
}

impl Scratch {
    /// Begin a walk through a level of `nodes` nodes that keeps up to `ef` candidates.
    #[inline(always)]
    fn begin(&mut self, nodes: usize, stride: usize, ef: usize) {
        self.pool.reset(ef);
        if self.stamps.len() < nodes {
            self.stamps.resize(nodes.next_power_of_two(), 0);
        }
        if self.fresh.len() < stride {
            self.fresh.resize(stride, 0);
        }
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.stamps.fill(0);
            self.stamp = 1;
        }
    }
}

/// From the entry of the graph, walk greedily down to a level; gives the node reached there and its key.
#[inline(always)]
pub(crate) unsafe fn descend<I: Isa, S: Space>(graph: &Graph, space: S, query: &Query, level: usize) -> (u32, i32) {
    let mut at = graph.layers.len() - 1;
    let mut node = graph.entry;
    // SAFETY: nodes come from the graph, whose slots the caller promises are in the index, as it does the instruction set.
    let mut key = unsafe { space.key::<I>(query, graph.layers[at].slot(node)) };
    while at > level {
        let layer = &graph.layers[at];
        loop {
            let before = node;
            let row = layer.neighbours(before);
            for &other in row {
                space.prefetch::<I>(layer.slot(other));
            }
            for &other in row {
                // SAFETY: as above.
                let other_key = unsafe { space.key::<I>(query, layer.slot(other)) };
                if other_key < key {
                    (node, key) = (other, other_key);
                }
            }
            if node == before {
                break;
            }
        }
        node = layer.below[node as usize];
        at -= 1;
    }
    (node, key)
}

/// Walk through a level from a node: `scratch.pool` then holds the nearest nodes found, up to `ef`.
///
/// `patience(pool)` gives the key beyond which a candidate is no longer worth expanding.
///
/// # Safety
///
/// The slots of the level are in the index, and the machine has the instruction set.
#[inline(always)]
pub(crate) unsafe fn walk<I: Isa, S: Space>(
    layer: &Layer,
    space: S,
    query: &Query,
    start: (u32, i32),
    ef: usize,
    scratch: &mut Scratch,
    patience: impl Fn(&Pool) -> i32,
) {
    let nodes = layer.len();
    scratch.begin(nodes, layer.stride, ef);
    let Scratch { pool, stamps, stamp, fresh } = scratch;
    let (stamp, stamps) = (*stamp, &mut stamps[..nodes]);
    stamps[start.0 as usize] = stamp;
    pool.insert(candidate(start.1, start.0));
    while let Some(next) = pool.expand_next() {
        if key_of(next) > patience(pool) {
            break;
        }
        let node = slot_of(next);
        let mut count = 0;
        for &other in layer.row(node) {
            if other == NONE {
                break;
            }
            // SAFETY: rows hold nodes of the level alone (checked when a file is read), so a stamp is there; `fresh` has
            // room for a row.
            unsafe {
                let met = stamps.get_unchecked_mut(other as usize);
                *fresh.get_unchecked_mut(count) = other;
                count += usize::from(*met != stamp);
                *met = stamp;
            }
        }
        let fresh = &fresh[..count];
        for &other in fresh.iter().take(AHEAD) {
            space.prefetch::<I>(layer.slot(other));
        }
        let mut coming = pool.unexpanded();
        if let Some(after) = coming.next() {
            for &other in layer.row(slot_of(after)) {
                if other == NONE {
                    break;
                }
                if stamps[other as usize] != stamp {
                    space.prefetch::<I>(layer.slot(other));
                }
            }
        }
        if let Some(after) = coming.next() {
            prefetch_row::<I>(layer, slot_of(after));
        }
        drop(coming);
        for (at, &other) in fresh.iter().enumerate() {
            if let Some(&ahead) = fresh.get(at + AHEAD) {
                space.prefetch::<I>(layer.slot(ahead));
            }
            // SAFETY: the node is of the level, whose slots the caller promises are in the index.
            let key = unsafe { space.key::<I>(query, layer.slot(other)) };
            if key < pool.bound() && pool.insert(candidate(key, other)) {
                prefetch_row::<I>(layer, other);
            }
        }
    }
}

/// Ask for the neighbours of a node.
#[inline(always)]
fn prefetch_row<I: Isa>(layer: &Layer, node: u32) {
    let row = layer.links.as_ptr().wrapping_add(node as usize * layer.stride);
    for line in 0..layer.stride / 16 {
        I::prefetch(row.wrapping_add(16 * line).cast());
    }
}
