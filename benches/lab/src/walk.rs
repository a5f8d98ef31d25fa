//! The variants of the walk, and what they count.

use crate::ends::{Behind, Far, Growing, Last, Ratio};
use crate::entries::descend;
use crate::flat::Flat;
use crate::gate::gated;
use crate::kernels::{Halves, Product, Query};
use crate::plain::{in_bursts, in_fours, streamed};
use crate::pool::{Pool, candidate, node_of};
use crate::sketch::sketched;
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
    /// Registers of 256 bits.
    Halves,
    /// Descend through plain arrays, and start from this many of the nodes that the last level saw.
    Descent(usize),
    /// Start from the best medoids: how many medoids there are, and how many of them to start from.
    Entries(usize, usize),
    /// The same beside a descent.
    Beside(usize, usize),
    /// See [`Far`].
    Far(f32),
    /// See [`Behind`].
    Behind(f32),
    /// See [`Ratio`].
    Ratio(i32),
    /// See [`Growing`].
    Growing(usize),
    /// Compare only the neighbours that bits of edges do not rule out, see [`sketched`]. For counts:
    /// it is slow.
    Sketch(usize, f32),
}

impl Form {
    /// Whether the walk starts where the library's descent ends.
    pub const fn descends(self) -> bool {
        !matches!(self, Self::Descent(_) | Self::Entries(..))
    }
}

const fn named(name: &'static str, form: Form) -> Variant {
    Variant { name, form }
}

/// All variants, the library's own first.
pub const VARIANTS: [Variant; 32] = [
    named("streamed", Form::Streamed),
    named("fours", Form::Fours),
    named("in bursts", Form::Bursts),
    named("gate 0.8", Form::Gate(0.8)),
    named("gate 1.2", Form::Gate(1.2)),
    named("256 bits", Form::Halves),
    named("start: descent, 1", Form::Descent(1)),
    named("start: descent, 4", Form::Descent(4)),
    named("start: 64 medoids, 1", Form::Entries(64, 1)),
    named("start: 64 medoids, 4", Form::Entries(64, 4)),
    named("start: 256 medoids, 1", Form::Entries(256, 1)),
    named("start: 256 medoids, 4", Form::Entries(256, 4)),
    named("start: beside 64 medoids, 4", Form::Beside(64, 4)),
    named("end: far 1.02", Form::Far(1.02)),
    named("end: far 1.03", Form::Far(1.03)),
    named("end: far 1.05", Form::Far(1.05)),
    named("end: behind 0.5", Form::Behind(0.5)),
    named("end: behind 1", Form::Behind(1.0)),
    named("end: ratio", Form::Ratio(1)),
    named("end: ratio squared", Form::Ratio(2)),
    named("end: ratio cubed", Form::Ratio(3)),
    named("end: growing, 1", Form::Growing(1)),
    named("end: growing, 2", Form::Growing(2)),
    named("sketch: 16 bits, 0.5", Form::Sketch(0, 0.5)),
    named("sketch: 16 bits, 1", Form::Sketch(0, 1.0)),
    named("sketch: 16 bits, 1.5", Form::Sketch(0, 1.5)),
    named("sketch: 32 bits, 0.5", Form::Sketch(1, 0.5)),
    named("sketch: 32 bits, 1", Form::Sketch(1, 1.0)),
    named("sketch: 32 bits, 1.5", Form::Sketch(1, 1.5)),
    named("sketch: 64 bits, 0.5", Form::Sketch(2, 0.5)),
    named("sketch: 64 bits, 1", Form::Sketch(2, 1.0)),
    named("sketch: 64 bits, 1.5", Form::Sketch(2, 1.5)),
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
    /// Where the walk starts.
    pub starts: Pool,
    pub stamps: Vec<u8>,
    pub stamp: u8,
    pub fresh: Vec<u32>,
    pub keys: Vec<i32>,
    pub passed: Vec<u32>,
    pub stream: Stream,
}

impl Scratch {
    #[inline(always)]
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
        for &start in self.starts.entries() {
            let stamp = &mut self.stamps[node_of(start) as usize];
            if *stamp != self.stamp {
                *stamp = self.stamp;
                self.pool.insert(start);
            }
        }
    }
}

/// Walk with vectors of 128 times `BLOCKS` dimensions from where a descent ended, or from where the
/// variant starts.
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
    descended: Option<(u32, i32)>,
    ef: usize,
    scratch: &mut Scratch,
    counts: &mut Counts,
) {
    // One compiled loop a variant, but for those that only start elsewhere.
    // SAFETY: as the caller promises.
    unsafe {
        start::<BLOCKS>(flat, variant.form, codes, descended, &mut scratch.starts);
        match variant.form {
            Form::Fours => in_fours::<BLOCKS>(flat, codes, ef, scratch, counts),
            Form::Bursts => in_bursts::<BLOCKS>(flat, codes, ef, scratch, counts),
            Form::Gate(errors) => gated::<BLOCKS>(flat, errors, codes, ef, scratch, counts),
            Form::Sketch(width, slack) => sketched::<BLOCKS>(flat, (width, slack), codes, ef, scratch, counts),
            Form::Halves => streamed::<BLOCKS, Halves<BLOCKS>, _>(flat, codes, ef, Last, scratch, counts),
            Form::Far(factor) => {
                let end = Far::new(flat, codes, ef, factor);
                streamed::<BLOCKS, Query<BLOCKS>, _>(flat, codes, ef, end, scratch, counts);
            }
            Form::Behind(factor) => {
                streamed::<BLOCKS, Query<BLOCKS>, _>(flat, codes, ef, Behind::new(ef, factor), scratch, counts);
            }
            Form::Ratio(power) => {
                let end = Ratio::new(flat, codes, ef, power);
                streamed::<BLOCKS, Query<BLOCKS>, _>(flat, codes, ef, end, scratch, counts);
            }
            Form::Growing(patience) => {
                streamed::<BLOCKS, Query<BLOCKS>, _>(flat, codes, ef, Growing::new(ef, patience), scratch, counts);
            }
            Form::Streamed | Form::Descent(_) | Form::Entries(..) | Form::Beside(..) => {
                streamed::<BLOCKS, Query<BLOCKS>, _>(flat, codes, ef, Last, scratch, counts);
            }
        }
    }
}

/// Put the nodes that a walk starts from into a pool.
///
/// # Safety
///
/// As for [`walk`].
#[inline(always)]
unsafe fn start<const BLOCKS: usize>(
    flat: &Flat,
    form: Form,
    codes: &[i8],
    descended: Option<(u32, i32)>,
    starts: &mut Pool,
) {
    // SAFETY: as the caller promises.
    unsafe {
        match form {
            Form::Descent(best) => {
                starts.reset(best);
                descend::<BLOCKS>(flat, &Query::load(codes), starts);
            }
            Form::Entries(count, best) | Form::Beside(count, best) => {
                starts.reset(best);
                flat.entries(count).nearest::<BLOCKS>(flat, &Query::load(codes), starts);
            }
            _ => starts.reset(1),
        }
    }
    if let Some((node, key)) = descended {
        starts.insert(candidate(key, node));
    }
}
