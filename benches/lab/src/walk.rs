//! The variants of the walk, and what they count.

use crate::flat::Flat;
use crate::gate::gated;
use crate::plain::run;
use crate::pool::Pool;

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
    pub keys: Vec<i32>,
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
    // SAFETY: as the caller promises.
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
