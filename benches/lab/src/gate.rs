//! A walk with a gate: it compares only the neighbours whose signs promise a key below the bound.
//!
//! The signs of a vector and their factor are one cache line, in an array of their own or in the row
//! of links, beside each neighbour.

use crate::flat::{FACTOR, Flat, LINE, NODE, NONE};
use crate::hop::{meet, prefetch, prefetch_codes, prefetch_row};
use crate::kernels::Query;
use crate::pool::{candidate, node_of};
use crate::walk::{Counts, Scratch};

/// A query, and the estimate that a neighbour must exceed.
struct Gate<const BLOCKS: usize> {
    query: Query<BLOCKS>,
    /// The sum of the codes of the query.
    sum: i32,
    /// How far an estimate may fall short of the product of codes.
    margin: f32,
}

impl<const BLOCKS: usize> Gate<BLOCKS> {
    /// # Safety
    ///
    /// The machine has AVX-512, and there are 128 codes for each block.
    #[inline(always)]
    unsafe fn new(codes: &[i8], errors: f32) -> Self {
        let (mut sum, mut square) = (0_i32, 0_i32);
        for code in codes {
            sum += i32::from(*code);
            square += i32::from(*code) * i32::from(*code);
        }
        // SAFETY: as the caller promises.
        Self { query: unsafe { Query::load(codes) }, sum, margin: errors * (square as f32).sqrt() }
    }

    /// The least estimate that may belong to a key below the bound. A key is minus the product of
    /// the codes, which are 7.5 more than what the signs estimate.
    #[inline(always)]
    fn needed(&self, bound: i32) -> f32 {
        -(bound as f32) - 7.5 * self.sum as f32 - self.margin
    }

    /// Estimate the product with the codes, less their middle, from a line of signs.
    ///
    /// # Safety
    ///
    /// The machine has AVX-512 with VNNI, and the line has 64 bytes.
    #[inline(always)]
    unsafe fn estimate(&self, line: *const u8) -> f32 {
        // SAFETY: as the caller promises; the factor is within the line.
        unsafe { self.query.sign(line, self.sum) as f32 * line.add(FACTOR).cast::<f32>().read_unaligned() }
    }
}

/// Walk with a gate that lets `errors` root mean square errors be missing; `FUSED` finds the signs in
/// the rows of links.
///
/// # Safety
///
/// The machine has AVX-512 with VNNI; the codes of the query and of the graph have 128 values for
/// each block.
#[inline(always)]
pub unsafe fn gated<const BLOCKS: usize, const FUSED: bool>(
    flat: &Flat,
    errors: f32,
    codes: &[i8],
    start: (u32, i32),
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // SAFETY: as the caller promises.
    let gate = unsafe { Gate::<BLOCKS>::new(codes, errors * flat.sign_error) };
    scratch.begin(flat, ef);
    let Scratch { pool, stamps, stamp, fresh, passed, .. } = scratch;
    let stamp = *stamp;
    stamps[start.0 as usize] = stamp;
    pool.insert(candidate(start.1, start.0));
    let mut likely = NONE;
    while let Some(next) = pool.expand_next() {
        let next = node_of(next);
        let count = if FUSED { flat.degree } else { meet(flat.row(next), stamps, stamp, fresh) };
        if !FUSED {
            for &other in &fresh[..count] {
                prefetch(flat.signs(other));
            }
        }
        if let Some(after) = pool.unexpanded().map(node_of).next().filter(|after| *after != likely) {
            likely = after;
            prefetch_next::<FUSED>(flat, after, stamps, stamp);
        }
        let mut bound = pool.bound();
        let needed = gate.needed(bound);
        passed.clear();
        let row = flat.fused(next);
        for (at, &other) in fresh.iter().enumerate().take(count) {
            let line = if FUSED { row.wrapping_add(at * LINE) } else { flat.signs(other) };
            // SAFETY: a fused row has a line for each neighbour, with its node.
            let node = if FUSED { unsafe { line.add(NODE).cast::<u32>().read() } } else { other };
            if node == NONE {
                break;
            }
            if FUSED && std::mem::replace(&mut stamps[node as usize], stamp) == stamp {
                continue;
            }
            counts.gated += 1;
            // SAFETY: the caller promises the instruction set.
            let estimate = unsafe { gate.estimate(line) };
            if estimate > needed {
                prefetch_codes::<BLOCKS>(flat, node);
                passed.push(u64::from(node));
            }
        }
        counts.hops += 1;
        counts.distances += passed.len() as u64;
        for &node in &*passed {
            let node = node as u32;
            // SAFETY: as the caller promises.
            let key = -unsafe { gate.query.one(flat.codes(node)) };
            if key < bound {
                counts.inserted += 1;
                if pool.insert(candidate(key, node)) {
                    prefetch_next::<FUSED>(flat, node, stamps, stamp);
                }
                bound = pool.bound();
            }
        }
    }
}

/// Prefetch what the expansion of a node begins with.
#[inline(always)]
fn prefetch_next<const FUSED: bool>(flat: &Flat, node: u32, stamps: &[u8], stamp: u8) {
    if FUSED {
        for line in 0..flat.degree {
            prefetch(flat.fused(node).wrapping_add(line * LINE));
        }
        return;
    }
    prefetch_row(flat, node);
    for &other in flat.row(node) {
        if stamps.get(other as usize).is_some_and(|met| *met != stamp) {
            prefetch(flat.signs(other));
        }
    }
}
