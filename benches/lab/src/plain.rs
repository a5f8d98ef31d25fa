//! The walk of the library over plain arrays, and its variants.

use core::arch::x86_64::_mm_storeu_si128;

use crate::flat::{Flat, NONE};
use crate::hop::{meet, prefetch_codes, prefetch_row};
use crate::kernels::Query;
use crate::pool::{Pool, candidate, node_of};
use crate::walk::{Counts, Scratch};

/// Codes prefetched ahead of the one being compared, as in the library.
const AHEAD: usize = 12;

/// Walk as the constants say; `WIDTH` candidates are expanded at a time.
///
/// # Safety
///
/// The machine has AVX-512 with VNNI; the codes of the query and of the graph have 128 values for
/// each block.
#[inline(always)]
pub unsafe fn run<
    const BLOCKS: usize,
    const FOURS: bool,
    const AT_ONCE: bool,
    const MERGE: bool,
    const WIDTH: usize,
>(
    flat: &Flat,
    codes: &[i8],
    start: (u32, i32),
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // SAFETY: as the caller promises.
    let query = unsafe { Query::<BLOCKS>::load(codes) };
    scratch.begin(flat, ef);
    let Scratch { pool, stamps, stamp, fresh, keys, passed } = scratch;
    let stamp = *stamp;
    stamps[start.0 as usize] = stamp;
    pool.insert(candidate(start.1, start.0));
    let mut likely = NONE;
    loop {
        let (mut count, mut expanded) = (0, 0);
        while expanded < WIDTH
            && let Some(next) = pool.expand_next()
        {
            count += meet(flat.row(node_of(next)), stamps, stamp, &mut fresh[count..]);
            expanded += 1;
        }
        if expanded == 0 {
            return;
        }
        counts.hops += expanded as u64;
        counts.distances += count as u64;
        let fresh = &fresh[..count];
        for &other in fresh.iter().take(if AT_ONCE { count } else { AHEAD }) {
            prefetch_codes::<BLOCKS>(flat, other);
        }
        prefetch_coming::<BLOCKS>(flat, pool, stamps, stamp, &mut likely);
        // SAFETY: as the caller promises; `keys` has room for all neighbours and three more.
        unsafe {
            if !FOURS {
                insert_each::<BLOCKS, AT_ONCE>(flat, &query, fresh, pool, counts);
                continue;
            }
            compare_fours::<BLOCKS, AT_ONCE>(flat, &query, fresh, keys);
        }
        if MERGE {
            merge_passed(flat, fresh, keys, passed, pool, counts);
        } else {
            insert_passed(flat, fresh, keys, pool, counts);
        }
    }
}

/// Prefetch the codes around the candidate that will most likely be expanded next, and the row of
/// the one after it.
#[inline(always)]
fn prefetch_coming<const BLOCKS: usize>(flat: &Flat, pool: &Pool, stamps: &[u8], stamp: u8, likely: &mut u32) {
    let mut coming = pool.unexpanded().map(node_of);
    if let Some(after) = coming.next().filter(|after| after != likely) {
        *likely = after;
        for &other in flat.row(after) {
            if stamps.get(other as usize).is_some_and(|met| *met != stamp) {
                prefetch_codes::<BLOCKS>(flat, other);
            }
        }
    }
    if let Some(after) = coming.next() {
        prefetch_row(flat, after);
    }
}

/// Compare neighbours one by one, and insert each that passes.
///
/// # Safety
///
/// As for [`run`].
#[inline(always)]
unsafe fn insert_each<const BLOCKS: usize, const AT_ONCE: bool>(
    flat: &Flat,
    query: &Query<BLOCKS>,
    fresh: &[u32],
    pool: &mut Pool,
    counts: &mut Counts,
) {
    let mut bound = pool.bound();
    for (at, &other) in fresh.iter().enumerate() {
        if let Some(&ahead) = fresh.get(at + AHEAD).filter(|_| !AT_ONCE) {
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

/// Write the products of all neighbours to `keys`, four at a time; the last ones may repeat.
///
/// # Safety
///
/// As for [`run`], and `keys` has room for all neighbours and three more.
#[inline(always)]
unsafe fn compare_fours<const BLOCKS: usize, const AT_ONCE: bool>(
    flat: &Flat,
    query: &Query<BLOCKS>,
    fresh: &[u32],
    keys: &mut [i32],
) {
    for at in (0..fresh.len()).step_by(4) {
        if !AT_ONCE {
            for &other in fresh.iter().skip(at + AHEAD).take(4) {
                prefetch_codes::<BLOCKS>(flat, other);
            }
        }
        let last = fresh.len() - 1;
        let rows = [
            flat.codes(fresh[at]),
            flat.codes(fresh[last.min(at + 1)]),
            flat.codes(fresh[last.min(at + 2)]),
            flat.codes(fresh[last.min(at + 3)]),
        ];
        // SAFETY: as the caller promises.
        unsafe { _mm_storeu_si128(keys.as_mut_ptr().add(at).cast(), query.four(rows)) };
    }
}

/// Insert the neighbours that pass the bound, which falls meanwhile.
#[inline(always)]
fn insert_passed(flat: &Flat, fresh: &[u32], products: &[i32], pool: &mut Pool, counts: &mut Counts) {
    let mut bound = pool.bound();
    for (other, product) in fresh.iter().zip(products) {
        if -product < bound {
            counts.inserted += 1;
            if pool.insert(candidate(-product, *other)) {
                prefetch_row(flat, *other);
            }
            bound = pool.bound();
        }
    }
}

/// Merge the neighbours that pass the bound at once.
#[inline(always)]
fn merge_passed(
    flat: &Flat,
    fresh: &[u32],
    products: &[i32],
    passed: &mut Vec<u64>,
    pool: &mut Pool,
    counts: &mut Counts,
) {
    passed.clear();
    let bound = pool.bound();
    for (other, product) in fresh.iter().zip(products) {
        if -product < bound {
            passed.push(candidate(-product, *other));
        }
    }
    counts.inserted += passed.len() as u64;
    pool.merge(passed);
    if let Some(soon) = pool.unexpanded().next() {
        prefetch_row(flat, node_of(soon));
    }
}
