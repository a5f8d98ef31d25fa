//! The walk of the library over plain arrays, and its variants.

use core::arch::x86_64::{_mm_storeu_si128, _mm512_cmpgt_epi32_mask, _mm512_loadu_si512, _mm512_set1_epi32};

use crate::ends::{End, K};
use crate::flat::{Flat, NONE};
use crate::hop::{Met, gather, prefetch_codes, prefetch_row};
use crate::kernels::{Product, Query};
use crate::pool::{Pool, candidate, node_of};
use crate::stream::{PADDING, Stream};
use crate::walk::{Counts, Scratch};

/// Nodes prefetched ahead of the one being compared, as in the library.
const AHEAD: usize = 8;

/// The same for a walk without a stream.
const BURST: usize = 12;

/// Walk with a steady stream of prefetches until an end; compare one row a call.
///
/// # Safety
///
/// The machine has AVX-512 with VNNI; the codes of the query and of the graph have 128 values for
/// each block.
#[inline(always)]
pub unsafe fn streamed<const BLOCKS: usize, P: Product, E: End>(
    flat: &Flat,
    codes: &[i8],
    ef: usize,
    mut end: E,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // SAFETY: as the caller promises.
    let query = unsafe { P::load(codes) };
    scratch.begin(flat, ef);
    let Scratch { pool, stamps, stamp, stream, .. } = scratch;
    let mut met = Met { stamps, stamp: *stamp };
    while let Some(next) = pool.expand_next() {
        if !end.goes_on(pool, pool.place(), next) {
            // What was not expanded need not be rescored.
            pool.keep(pool.place().max(K));
            return;
        }
        let (nodes, count) = go_on::<BLOCKS>(flat, next, stream, pool, &mut met, counts);
        let mut bound = pool.bound();
        for at in 0..count {
            // SAFETY: as the caller promises; `PADDING` nodes follow the current ones.
            let (other, key) = unsafe {
                let (other, ahead) = (*nodes.get_unchecked(at), *nodes.get_unchecked(at + AHEAD));
                prefetch_codes::<BLOCKS>(flat, ahead);
                (other, -query.one(flat.codes(other)))
            };
            if key < bound {
                counts.inserted += 1;
                if pool.insert(candidate(key, other)) {
                    prefetch_row(flat, other);
                }
                bound = pool.bound();
            }
        }
    }
}

/// The same with four rows a call.
///
/// # Safety
///
/// As for [`streamed`].
#[inline(always)]
pub unsafe fn in_fours<const BLOCKS: usize>(
    flat: &Flat,
    codes: &[i8],
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // SAFETY: as the caller promises.
    let query = unsafe { Query::<BLOCKS>::load(codes) };
    scratch.begin(flat, ef);
    let Scratch { pool, stamps, stamp, stream, keys, .. } = scratch;
    let mut met = Met { stamps, stamp: *stamp };
    while let Some(next) = pool.expand_next() {
        let (nodes, count) = go_on::<BLOCKS>(flat, next, stream, pool, &mut met, counts);
        // SAFETY: as the caller promises; enough nodes follow the current ones, and `keys` has room
        // for all and a register more.
        unsafe {
            compare_fours::<BLOCKS>(flat, &query, nodes, count, keys);
            insert_passed(flat, nodes, count, keys, pool, counts);
        }
    }
}

/// Go on to the neighbours of `next`. Return them with [`PADDING`] more, and their number.
#[inline(always)]
fn go_on<'a, const BLOCKS: usize>(
    flat: &Flat,
    next: u64,
    stream: &'a mut Stream,
    pool: &Pool,
    met: &mut Met<'_>,
    counts: &mut Counts,
) -> (&'a [u32], usize) {
    let was_likely = stream.expand(flat, Some(node_of(next)), pool, met);
    let (nodes, count) = stream.nodes();
    counts.hops += 1;
    counts.distances += count as u64;
    if !was_likely {
        for &other in &nodes[..AHEAD] {
            prefetch_codes::<BLOCKS>(flat, other);
        }
    }
    (nodes, count)
}

/// Write the products of the current nodes to `keys`, four at a time; the last may be others'.
///
/// # Safety
///
/// As for [`streamed`]; [`PADDING`] nodes follow the current ones.
#[inline(always)]
unsafe fn compare_fours<const BLOCKS: usize>(
    flat: &Flat,
    query: &Query<BLOCKS>,
    nodes: &[u32],
    count: usize,
    keys: &mut [i32],
) {
    assert!(nodes.len() >= count + PADDING && keys.len() >= count + 16);
    for at in (0..count).step_by(4) {
        for &other in &nodes[at + AHEAD..][..4] {
            prefetch_codes::<BLOCKS>(flat, other);
        }
        let rows = [nodes[at], nodes[at + 1], nodes[at + 2], nodes[at + 3]];
        let rows = [flat.codes(rows[0]), flat.codes(rows[1]), flat.codes(rows[2]), flat.codes(rows[3])];
        // SAFETY: as the caller promises; there is room, as checked above.
        unsafe { _mm_storeu_si128(keys.as_mut_ptr().add(at).cast(), query.four(rows)) };
    }
}

/// Insert the nodes that pass the bound, which are found sixteen at a time.
///
/// # Safety
///
/// The machine has AVX-512; `products` has room for a register past the current ones.
#[inline(always)]
unsafe fn insert_passed(
    flat: &Flat,
    nodes: &[u32],
    count: usize,
    products: &[i32],
    pool: &mut Pool,
    counts: &mut Counts,
) {
    let mut bound = pool.bound();
    for at in (0..count).step_by(16) {
        let current = ((1_u32 << (count - at).min(16)) - 1) as u16;
        // SAFETY: as the caller promises.
        let mut passed = unsafe {
            let some = _mm512_loadu_si512(products.as_ptr().add(at).cast());
            if bound == i32::MAX { current } else { _mm512_cmpgt_epi32_mask(some, _mm512_set1_epi32(-bound)) & current }
        };
        while passed != 0 {
            let here = at + passed.trailing_zeros() as usize;
            passed &= passed - 1;
            if -products[here] < bound {
                counts.inserted += 1;
                if pool.insert(candidate(-products[here], nodes[here])) {
                    prefetch_row(flat, nodes[here]);
                }
                bound = pool.bound();
            }
        }
    }
}

/// Walk as the library did before: prefetch all neighbours of the likely next node at once.
///
/// # Safety
///
/// As for [`streamed`].
#[inline(always)]
pub unsafe fn in_bursts<const BLOCKS: usize>(
    flat: &Flat,
    codes: &[i8],
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // SAFETY: as the caller promises.
    let query = unsafe { Query::<BLOCKS>::load(codes) };
    scratch.begin(flat, ef);
    let Scratch { pool, stamps, stamp, fresh, .. } = scratch;
    let mut met = Met { stamps, stamp: *stamp };
    let mut likely = NONE;
    while let Some(next) = pool.expand_next() {
        let count = gather(flat.row(node_of(next)), &mut met, fresh, true);
        let fresh = &fresh[..count];
        counts.hops += 1;
        counts.distances += count as u64;
        for &other in fresh.iter().take(BURST) {
            prefetch_codes::<BLOCKS>(flat, other);
        }
        prefetch_coming::<BLOCKS>(flat, pool, &met, &mut likely);
        let mut bound = pool.bound();
        for (at, &other) in fresh.iter().enumerate() {
            if let Some(&ahead) = fresh.get(at + BURST) {
                prefetch_codes::<BLOCKS>(flat, ahead);
            }
            // SAFETY: as the caller promises.
            let key = -unsafe { query.one(flat.codes(other)) };
            if key < bound {
                counts.inserted += 1;
                if pool.insert(candidate(key, other)) {
                    prefetch_row(flat, other);
                }
                bound = pool.bound();
            }
        }
    }
}

/// Prefetch the codes around the candidate that will most likely be expanded next, and the row of
/// the one after it.
#[inline(always)]
fn prefetch_coming<const BLOCKS: usize>(flat: &Flat, pool: &Pool, met: &Met<'_>, likely: &mut u32) {
    let mut coming = pool.unexpanded().map(node_of);
    if let Some(after) = coming.next().filter(|after| after != likely) {
        *likely = after;
        for &other in flat.row(after) {
            if met.stamps.get(other as usize).is_some_and(|stamp| *stamp != met.stamp) {
                prefetch_codes::<BLOCKS>(flat, other);
            }
        }
    }
    if let Some(after) = coming.next() {
        prefetch_row(flat, after);
    }
}
