//! The variants of the walk, and what they count.

use crate::flat::Flat;
use crate::gate::gated;
use crate::plain::{in_bursts, streamed};
use crate::pool::Pool;
use crate::stream::Stream;

/// A walk to time.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub name: &'static str,
    pub form: Form,
}

/// What a walk does differently from the library.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Nothing.
    Streamed,
    /// Compare four rows a call, and reduce their sums together.
    Fours,
    /// Prefetch all neighbours of the likely next node at once.
    Bursts,
    /// Compare only the neighbours whose signs, one cache line a row, promise a key below the bound;
    /// this many root mean square errors may be missing.
    Gate(f32),
}

/// All variants, the library's own first.
pub const VARIANTS: [Variant; 5] = [
    Variant { name: "streamed", form: Form::Streamed },
    Variant { name: "fours", form: Form::Fours },
    Variant { name: "in bursts", form: Form::Bursts },
    Variant { name: "gate 0.8", form: Form::Gate(0.8) },
    Variant { name: "gate 1.2", form: Form::Gate(1.2) },
];

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
    pub passed: Vec<u32>,
    pub stream: Stream,
}

impl Scratch {
    pub fn begin(&mut self, flat: &Flat, ef: usize) {
        self.pool.reset(ef);
        self.stamps.resize(flat.len, 0);
        self.fresh.resize(flat.degree, 0);
        self.keys.resize(flat.degree + 16, 0);
        self.stream.begin(flat.degree);
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
/// The machine has AVX-512 with VNNI and VPOPCNTDQ; the codes of the query and of the graph have
/// that dimension.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,bmi1,bmi2,lzcnt,popcnt,fma")]
pub unsafe fn walk<const BLOCKS: usize>(
    flat: &Flat,
    variant: Variant,
    codes: &[i8],
    start: (u32, i32),
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // One compiled loop a variant.
    // SAFETY: as the caller promises.
    unsafe {
        match variant.form {
            Form::Streamed => streamed::<BLOCKS, false>(flat, codes, start, ef, scratch, counts),
            Form::Fours => streamed::<BLOCKS, true>(flat, codes, start, ef, scratch, counts),
            Form::Bursts => in_bursts::<BLOCKS>(flat, codes, start, ef, scratch, counts),
            Form::Gate(errors) => gated::<BLOCKS>(flat, errors, codes, start, ef, scratch, counts),
        }
    }
}
