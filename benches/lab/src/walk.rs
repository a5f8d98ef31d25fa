//! The variants of the walk, and what they count.

use core::arch::x86_64::*;

use crate::flat::{Flat, LINE, NONE};
use crate::gate::gated;
use crate::kernels::Query;
use crate::pool::{Pool, candidate, key_of, node_of};

/// Codes prefetched ahead of the one being compared, as in the library.
const AHEAD: usize = 12;

/// What a walk does differently from the library.
#[derive(Clone, Copy, Debug, Default)]
pub struct Variant {
    pub name: &'static str,
    /// Links in pages of 4 KiB.
    pub small_pages: bool,
    /// Compare four rows a call, and reduce their sums together.
    pub fours: bool,
    /// Prefetch the codes of all neighbours of a hop at once.
    pub all_at_once: bool,
    /// Expand two candidates at a time.
    pub two: bool,
    /// Collect the neighbours of a hop that pass the bound, and merge them once.
    pub merge: bool,
    /// Compare only the neighbours whose signs, one cache line a row, promise a key below the bound;
    /// this many root mean square errors may be missing. 0 compares all.
    pub gate: f32,
    /// Find those signs in the rows of links, beside each neighbour.
    pub fused: bool,
}

/// All variants, the library's own first.
pub const VARIANTS: [Variant; 14] = {
    let plain = Variant {
        name: "plain",
        small_pages: false,
        fours: false,
        all_at_once: false,
        two: false,
        merge: false,
        gate: 0.0,
        fused: false,
    };
    [
        plain,
        Variant { name: "links in small pages", small_pages: true, ..plain },
        Variant { name: "fours", fours: true, ..plain },
        Variant { name: "fours, prefetched", fours: true, all_at_once: true, ..plain },
        Variant { name: "fours, merged", fours: true, merge: true, ..plain },
        Variant { name: "fours, prefetched, merged", fours: true, all_at_once: true, merge: true, ..plain },
        Variant { name: "prefetched", all_at_once: true, ..plain },
        Variant { name: "two, fours", fours: true, two: true, ..plain },
        Variant { name: "two, fours, merged", fours: true, two: true, merge: true, ..plain },
        Variant { name: "gate 1.0", gate: 1.0, ..plain },
        Variant { name: "gate 1.5", gate: 1.5, ..plain },
        Variant { name: "gate 2.0", gate: 2.0, ..plain },
        Variant { name: "fused 1.0", gate: 1.0, fused: true, ..plain },
        Variant { name: "fused 1.5", gate: 1.5, fused: true, ..plain },
    ]
};

/// The work of walks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub hops: u64,
    pub distances: u64,
    pub inserted: u64,
    pub gated: u64,
}

/// The memory of walks, reused.
#[derive(Default)]
pub struct Scratch {
    pub pool: Pool,
    pub stamps: Vec<u8>,
    pub stamp: u8,
    pub fresh: Vec<u32>,
    keys: Vec<i32>,
    pub passed: Vec<u64>,
}

impl Scratch {
    pub fn begin(&mut self, flat: &Flat, ef: usize) {
        self.pool.reset(ef);
        self.stamps.resize(flat.len, 0);
        self.fresh.resize(2 * flat.degree + 4, 0);
        self.keys.resize(2 * flat.degree + 4, 0);
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.stamps.fill(0);
            self.stamp = 1;
        }
    }
}

/// Walk from a node with vectors of 128 times `BLOCKS` dimensions.
///
/// # Safety
///
/// The machine has AVX-512 with VNNI; the codes of the query and of the graph have that dimension.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,bmi1,bmi2,lzcnt,popcnt,fma")]
pub unsafe fn walk<const BLOCKS: usize>(
    flat: &Flat,
    variant: Variant,
    codes: &[i8],
    start: (u32, i32),
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    let Variant { gate, fused, .. } = variant;
    // SAFETY: as the caller promises.
    unsafe {
        if gate > 0.0 {
            return match fused {
                false => gated::<BLOCKS, false>(flat, gate, codes, start, ef, scratch, counts),
                true => gated::<BLOCKS, true>(flat, gate, codes, start, ef, scratch, counts),
            };
        }
    }
    // One compiled loop a variant.
    unsafe {
        match (variant.fours, variant.all_at_once, variant.merge, variant.two) {
            (false, false, ..) => run::<BLOCKS, false, false, false, 1>(flat, codes, start, ef, scratch, counts),
            (false, true, ..) => run::<BLOCKS, false, true, false, 1>(flat, codes, start, ef, scratch, counts),
            (true, false, false, false) => {
                run::<BLOCKS, true, false, false, 1>(flat, codes, start, ef, scratch, counts)
            }
            (true, false, true, false) => run::<BLOCKS, true, false, true, 1>(flat, codes, start, ef, scratch, counts),
            (true, true, false, false) => run::<BLOCKS, true, true, false, 1>(flat, codes, start, ef, scratch, counts),
            (true, true, true, false) => run::<BLOCKS, true, true, true, 1>(flat, codes, start, ef, scratch, counts),
            (true, _, false, true) => run::<BLOCKS, true, false, false, 2>(flat, codes, start, ef, scratch, counts),
            (true, _, true, true) => run::<BLOCKS, true, false, true, 2>(flat, codes, start, ef, scratch, counts),
        }
    }
}

#[inline(always)]
unsafe fn run<const BLOCKS: usize, const FOURS: bool, const AT_ONCE: bool, const MERGE: bool, const WIDTH: usize>(
    flat: &Flat,
    codes: &[i8],
    start: (u32, i32),
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
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
            break;
        }
        let ahead = if AT_ONCE { count } else { count.min(AHEAD) };
        for &other in &fresh[..ahead] {
            prefetch_codes::<BLOCKS>(flat, other);
        }
        let mut coming = pool.unexpanded().map(node_of);
        if let Some(after) = coming.next().filter(|after| *after != likely) {
            likely = after;
            for &other in flat.row(after) {
                if stamps.get(other as usize).is_some_and(|met| *met != stamp) {
                    prefetch_codes::<BLOCKS>(flat, other);
                }
            }
        }
        if let Some(after) = coming.next() {
            prefetch_row(flat, after);
        }
        drop(coming);
        counts.hops += expanded as u64;
        counts.distances += count as u64;
        if FOURS {
            // Rows past the end are compared, too, and ignored.
            for at in (0..count).step_by(4) {
                if !AT_ONCE {
                    for &other in &fresh[(at + AHEAD).min(count)..(at + AHEAD + 4).min(count)] {
                        prefetch_codes::<BLOCKS>(flat, other);
                    }
                }
                let last = count - 1;
                let rows = [
                    flat.codes(fresh[at]),
                    flat.codes(fresh[last.min(at + 1)]),
                    flat.codes(fresh[last.min(at + 2)]),
                    flat.codes(fresh[last.min(at + 3)]),
                ];
                // SAFETY: the caller promises the instruction set; `keys` has room for a row and
                // three more.
                unsafe { _mm_storeu_si128(keys.as_mut_ptr().add(at).cast(), query.four(rows)) };
            }
            if MERGE {
                passed.clear();
                let bound = pool.bound();
                for (other, product) in fresh[..count].iter().zip(&*keys) {
                    if -product < bound {
                        passed.push(candidate(-product, *other));
                    }
                }
                counts.inserted += passed.len() as u64;
                pool.merge(passed);
                if let Some(soon) = pool.unexpanded().next() {
                    prefetch_row(flat, node_of(soon));
                }
            } else {
                let mut bound = pool.bound();
                for (other, product) in fresh[..count].iter().zip(&*keys) {
                    if -product < bound {
                        counts.inserted += 1;
                        if pool.insert(candidate(-product, *other)) {
                            prefetch_row(flat, *other);
                        }
                        bound = pool.bound();
                    }
                }
            }
        } else {
            let mut bound = pool.bound();
            for at in 0..count {
                if !AT_ONCE && at + AHEAD < count {
                    prefetch_codes::<BLOCKS>(flat, fresh[at + AHEAD]);
                }
                let key = -unsafe { query.one(flat.codes(fresh[at])) };
                if key < bound {
                    counts.inserted += 1;
                    if pool.insert(candidate(key, fresh[at])) {
                        prefetch_row(flat, fresh[at]);
                    }
                    bound = pool.bound();
                }
            }
        }
    }
    debug_assert!(pool.entries().iter().all(|entry| key_of(*entry) < i32::MAX));
}

/// Gather the neighbours that the walk meets for the first time; return their number.
#[inline(always)]
pub fn meet(row: &[u32], stamps: &mut [u8], stamp: u8, fresh: &mut [u32]) -> usize {
    let mut count = 0;
    for &other in row {
        if other == NONE {
            break;
        }
        // SAFETY: links are nodes, each of which has a stamp; `fresh` has room for a row.
        unsafe {
            let met = stamps.get_unchecked_mut(other as usize);
            *fresh.get_unchecked_mut(count) = other;
            count += usize::from(*met != stamp);
            *met = stamp;
        }
    }
    count
}

#[inline(always)]
pub fn prefetch_codes<const BLOCKS: usize>(flat: &Flat, node: u32) {
    for line in 0..BLOCKS {
        prefetch(flat.codes(node).wrapping_add(line * LINE));
    }
}

#[inline(always)]
pub fn prefetch_row(flat: &Flat, node: u32) {
    for line in flat.row(node).chunks_exact(16) {
        prefetch(line.as_ptr().cast());
    }
}

#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address is harmless.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}
