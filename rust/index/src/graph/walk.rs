//! The walk through a level, where searches and insertions spend their time.
//!
//! A walk waits for memory more than it computes, so it prefetches codes well before it compares
//! them, one node for each that it compares (see [`Stream`]). The row of the candidate after the
//! likely next one is prefetched while the next is expanded, or when it became likely.

use tiercel_simd::Isa;
use tiercel_simd::tables::ROWS;

use super::layers::{Graph, Layer, NONE};
use super::pool::Pool;
use super::stream::{AHEAD, Met, Stream};
use crate::budget::Meter;
use crate::storage::candidate::{candidate, slot_of};
use crate::storage::space::Space;

/// The memory of a walk; reused from one to the next.
#[derive(Clone, Default)]
pub(crate) struct Scratch {
    /// Candidates, by their node in the current level.
    pub(crate) pool: Pool,
    /// The stamp of the walk that last met each node.
    stamps: Vec<u8>,
    /// The stamp of the current walk.
    stamp: u8,
    /// The nodes to compare.
    stream: Stream,
}

impl Scratch {
    /// Begin a walk through a level of `nodes` nodes that keeps up to `ef` candidates.
    #[inline(always)]
    fn begin(&mut self, nodes: usize, stride: usize, ef: usize) {
        self.pool.reset(ef);
        if self.stamps.len() < nodes {
            self.stamps.resize(nodes.next_power_of_two(), 0);
        }
        self.stream.begin(stride);
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
                    prefetch_row::<I>(layer.row(other));
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
    let Scratch { pool, stamps, stamp, stream } = scratch;
    let mut met = Met { stamps: &mut stamps[..nodes], stamp: *stamp };
    met.stamps[start.0 as usize] = *stamp;
    pool.insert::<I>(candidate(start.1, start.0));
    let mut likely = NONE;
    while let Some(next) = pool.expand_next(effort.breadth) {
        let was_likely = go_on::<I>(layer, slot_of(next), &mut likely, pool, stream, &mut met);
        let fresh = stream.nodes();
        let count = fresh.len() - AHEAD;
        if !was_likely {
            for &other in &fresh[..AHEAD] {
                // SAFETY: a node of the level; the caller vouches for its slot.
                unsafe { space.prefetch::<I>(slots.of(other)) };
            }
        }
        if S::COMPARES_TOGETHER {
            // SAFETY: `AHEAD` nodes follow the current ones. All are nodes of the level; the caller vouches
            // for their slots, the query and the instruction set.
            unsafe { compare_together::<I, S>(layer, space, query, fresh, pool) };
        } else {
            let mut bound = pool.bound();
            for at in 0..count {
                // SAFETY: as above.
                let (other, key) = unsafe {
                    let (other, ahead) = (*fresh.get_unchecked(at), *fresh.get_unchecked(at + AHEAD));
                    space.prefetch::<I>(slots.of(ahead));
                    (other, space.key::<I>(query, slots.of(other)))
                };
                if key < bound {
                    if pool.insert::<I>(candidate(key, other)) {
                        prefetch_row::<I>(layer.row(other));
                    }
                    bound = pool.bound();
                }
            }
        }
        if meter.node(count) {
            break;
        }
    }
}

/// Compare nodes, sixteen at a time, and keep the near ones. [`AHEAD`] more are only prefetched.
///
/// # Safety
///
/// They are nodes of the level, whose slots are slots of the space, which prepared the query, and the
/// machine has the instruction set.
#[inline(always)]
unsafe fn compare_together<I: Isa, S: Space>(
    layer: &Layer,
    space: S,
    query: &S::Query,
    nodes: &[u32],
    pool: &mut Pool,
) {
    let slots = layer.slots();
    let count = nodes.len() - AHEAD;
    for first in (0..count).step_by(ROWS) {
        let some = &nodes[first..count.min(first + ROWS)];
        // SAFETY: as the caller promises.
        let keys = unsafe {
            let mut compared = [slots.of(some[0]); ROWS];
            for (compared, node) in compared.iter_mut().zip(some) {
                *compared = slots.of(*node);
            }
            for &ahead in &nodes[first + some.len()..][..AHEAD] {
                space.prefetch::<I>(slots.of(ahead));
            }
            space.keys::<I>(query, &compared, some.len())
        };
        for (key, node) in keys.into_iter().zip(some) {
            if key < pool.bound() && pool.insert::<I>(candidate(key, *node)) {
                prefetch_row::<I>(layer.row(*node));
            }
        }
    }
}

/// Go on to the neighbours of `next`, let those of the likely next node follow, and prefetch the row
/// of the one after that. Return whether `next` was the likely one: then the stream has prefetched
/// its first neighbours.
#[inline(always)]
fn go_on<I: Isa>(
    layer: &Layer,
    next: u32,
    likely: &mut u32,
    pool: &Pool,
    stream: &mut Stream,
    met: &mut Met<'_>,
) -> bool {
    let was_likely = next == *likely;
    if was_likely {
        stream.expand_likely(layer.stride(), met);
    } else {
        stream.expand(layer.row(next), met);
    }
    *likely = NONE;
    let mut coming = pool.unexpanded().map(slot_of);
    if let Some(after) = coming.next() {
        *likely = after;
        stream.follow(layer.row(after), met);
    }
    if let Some(after) = coming.next() {
        prefetch_row::<I>(layer.row(after));
    }
    was_likely
}

/// Prefetch a row of neighbours.
#[inline(always)]
pub(crate) fn prefetch_row<I: Isa>(row: &[u32]) {
    for line in row.chunks_exact(16) {
        I::prefetch(line.as_ptr().cast());
    }
}
