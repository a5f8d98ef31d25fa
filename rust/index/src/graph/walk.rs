//! The walk through a level, where searches and insertions spend their time.
//!
//! A walk waits for memory more than it computes, so it prefetches codes well before it compares
//! them: those of new neighbours, a few ahead of the current one, and those of the neighbours of
//! the candidate that will most likely be expanded next. The row of that candidate was prefetched
//! when it became likely.

use tiercel_simd::Isa;

use super::layers::{Graph, Layer, NONE};
use super::pool::Pool;
use crate::budget::Meter;
use crate::storage::candidate::{candidate, slot_of};
use crate::storage::space::Space;

/// Codes prefetched ahead of the one being compared: enough to cover the latency of memory, few
/// enough to stay in the cache.
const AHEAD: usize = 12;

/// The memory of a walk; reused from one to the next.
#[derive(Clone, Default)]
pub(crate) struct Scratch {
    /// Candidates, by their node in the current level.
    pub(crate) pool: Pool,
    /// The stamp of the walk that last met each node.
    stamps: Vec<u8>,
    /// The stamp of the current walk.
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

/// Walk greedily from the entry of the graph down to a level. Return the node reached there, and
/// its key.
///
/// # Safety
///
/// The slots of the graph are slots of the space, which prepared the query, and the machine has the
/// instruction set.
#[inline(always)]
pub(crate) unsafe fn descend<I: Isa, S: Space>(graph: &Graph, space: S, query: &S::Query, level: usize) -> (u32, i32) {
    let mut at = graph.layers.len() - 1;
    let mut node = graph.entry;
    // SAFETY: nodes come from the graph; the caller vouches for its slots, the query and the
    // instruction set.
    let mut key = unsafe { space.key::<I>(query, graph.layers[at].slot(node)) };
    while at > level {
        let layer = &graph.layers[at];
        loop {
            let before = node;
            let row = layer.neighbours(before);
            for &other in row {
                // SAFETY: as above.
                unsafe { space.prefetch::<I>(layer.slot(other)) };
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
        node = layer.below(node);
        at -= 1;
    }
    (node, key)
}

/// How much a walk does.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Candidates kept.
    pub(crate) ef: usize,
    /// How many of the nearest of these are expanded.
    pub(crate) breadth: usize,
}

/// Walk through a level from a node and its key; `scratch.pool` then holds the nearest nodes found.
/// Stop early when the meter says so.
///
/// # Safety
///
/// The slots of the level are slots of the space, which prepared the query, and the machine has the
/// instruction set.
#[inline(always)]
pub(crate) unsafe fn walk<I: Isa, S: Space>(
    layer: &Layer,
    space: S,
    query: &S::Query,
    start: (u32, i32),
    effort: Effort,
    scratch: &mut Scratch,
    meter: &mut Meter<'_>,
) {
    let (nodes, slots) = (layer.len(), layer.slots());
    scratch.begin(nodes, layer.stride(), effort.ef);
    let Scratch { pool, stamps, stamp, fresh } = scratch;
    let (stamp, stamps, fresh) = (*stamp, &mut stamps[..nodes], &mut fresh[..layer.stride()]);
    stamps[start.0 as usize] = stamp;
    pool.insert(candidate(start.1, start.0));
    let mut likely = NONE;
    while let Some(next) = pool.expand_next(effort.breadth) {
        let count = meet(layer.row(slot_of(next)), stamps, stamp, fresh);
        let fresh = &fresh[..count];
        for &other in fresh.iter().take(AHEAD) {
            // SAFETY: a node of the level; the caller vouches for its slot.
            unsafe { space.prefetch::<I>(slots.of(other)) };
        }
        let mut coming = pool.unexpanded().map(slot_of);
        if let Some(after) = coming.next().filter(|after| *after != likely) {
            likely = after;
            for &other in layer.row(after) {
                // The padding of a row has no stamp and is skipped.
                if stamps.get(other as usize).is_some_and(|met| *met != stamp) {
                    // SAFETY: it has a stamp, so it is a node of the level.
                    unsafe { space.prefetch::<I>(slots.of(other)) };
                }
            }
        }
        if let Some(after) = coming.next() {
            prefetch_row::<I>(layer.row(after));
        }
        drop(coming);
        let mut bound = pool.bound();
        for (at, &other) in fresh.iter().enumerate() {
            if let Some(&ahead) = fresh.get(at + AHEAD) {
                // SAFETY: as above.
                unsafe { space.prefetch::<I>(slots.of(ahead)) };
            }
            // SAFETY: as above; the caller vouches for the query and the instruction set, too.
            let key = unsafe { space.key::<I>(query, slots.of(other)) };
            if key < bound {
                if pool.insert(candidate(key, other)) {
                    prefetch_row::<I>(layer.row(other));
                }
                bound = pool.bound();
            }
        }
        if meter.node(count) {
            break;
        }
    }
}

/// Gather the neighbours in a row that the walk meets for the first time at the front of `fresh`.
/// Return their number.
#[inline(always)]
fn meet(row: &[u32], stamps: &mut [u8], stamp: u8, fresh: &mut [u32]) -> usize {
    let mut count = 0;
    for &other in row {
        if other == NONE {
            break;
        }
        debug_assert!((other as usize) < stamps.len() && count < fresh.len());
        // SAFETY: a row holds only nodes of its level, each of which has a stamp: `Graph::commit`
        // and `Graph::commit_reach` write no others, and `Graph::is_sound` is checked when a file
        // is read. `fresh` has room for a row.
        unsafe {
            let met = stamps.get_unchecked_mut(other as usize);
            *fresh.get_unchecked_mut(count) = other;
            count += usize::from(*met != stamp);
            *met = stamp;
        }
    }
    count
}

/// Prefetch a row of neighbours.
#[inline(always)]
pub(crate) fn prefetch_row<I: Isa>(row: &[u32]) {
    for line in row.chunks_exact(16) {
        I::prefetch(line.as_ptr().cast());
    }
}
