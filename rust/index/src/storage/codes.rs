//! The codes of all vectors, row by row, each row on cache lines of its own.

use std::sync::Arc;

use tiercel_quant::{Bits, Codec, Geometry, Rotation};
use tiercel_simd::{Buffer, Chunked, Isa, Level, Loop, packed};

use crate::errors::Interrupted;
use crate::options::{Metric, Options};
use crate::storage::rows::Rows;
use crate::storage::space::{Query, Space};
use crate::work::Work;

/// Most rows that a codec is fitted to.
const SAMPLE: usize = 16_384;

/// How well codes rank, as measured when they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Trial {
    /// Share of the true nearest of some rows, themselves left out, that are among twice as many nearest by code.
    pub(crate) recall: f32,
    /// Root mean square error of a distance by code, over those nearest.
    pub(crate) error: f32,
}

/// The codes of all vectors.
#[derive(Clone)]
pub(crate) struct Codes {
    pub(crate) codec: Arc<Codec>,
    pub(crate) bytes: Chunked<u8>,
    pub(crate) stride: usize,
    pub(crate) trial: Trial,
}

/// What the integers of the kernels stand for under a metric.
pub(crate) const fn geometry(metric: Metric) -> Geometry {
    match metric {
        Metric::Cosine => Geometry::Product { base: 1.0 },
        Metric::Dot => Geometry::Product { base: 0.0 },
        Metric::L2 => Geometry::Square,
    }
}

/// Bytes from one row to the next: whole cache lines, so that a row never straddles one more than it must.
pub(crate) const fn stride(codec: &Codec) -> usize {
    codec.row_bytes().next_multiple_of(64)
}

impl Codes {
    /// Fit a codec to the rows, and code them all.
    pub(crate) fn train(
        bits: Bits,
        options: &Options,
        rows: &Rows,
        level: Level,
        work: &Work<'_>,
    ) -> Result<Self, Interrupted> {
        let step = rows.len().div_ceil(SAMPLE).max(1);
        let (mut sample, mut row) = (Vec::new(), Vec::new());
        for slot in (0..rows.len()).step_by(step) {
            rows.direction(slot, &mut row);
            sample.extend_from_slice(&row);
        }
        let rotation = Rotation::new(options.dim, options.seed);
        let codec = Codec::train(bits, geometry(options.metric), rotation, &sample);
        let stride = stride(&codec);
        let bytes = Chunked::new(stride).with_zeros(rows.len());
        let mut codes = Self { codec: Arc::new(codec), bytes, stride, trial: Trial::default() };
        let codec = &codes.codec;
        for (first, run) in codes.bytes.runs_mut() {
            encode(codec, rows, first, run, level, work)?;
        }
        Ok(codes)
    }

    /// The name of the storage.
    pub(crate) fn name(&self) -> &'static str {
        match self.codec.bits() {
            Bits::Four => "sq4",
            Bits::Eight => "sq8",
        }
    }

    /// Append the codes of the rows that have none yet.
    pub(crate) fn append(&mut self, rows: &Rows, level: Level, work: &Work<'_>) -> Result<(), Interrupted> {
        let first = self.bytes.len();
        let mut fresh = Buffer::zeroed((rows.len() - first) * self.stride);
        encode(&self.codec, rows, first, &mut fresh, level, work)?;
        self.bytes.extend_from_slice(&fresh);
        Ok(())
    }
}

/// Code rows from slot `first` on into `out`, a stride each.
fn encode(
    codec: &Codec,
    rows: &Rows,
    first: usize,
    out: &mut [u8],
    level: Level,
    work: &Work<'_>,
) -> Result<(), Interrupted> {
    let scratch = || (Vec::new(), Vec::new());
    work.fill(out, stride(codec), 256, scratch, |(row, rotated), item, out| {
        rows.direction(first + item, row);
        level.run(Encode { codec, row, rotated, out: &mut out[..codec.row_bytes()] });
    })
}

struct Encode<'a> {
    codec: &'a Codec,
    row: &'a [f32],
    rotated: &'a mut Vec<f32>,
    out: &'a mut [u8],
}

impl Loop for Encode<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self) {
        self.codec.encode(self.row, self.rotated, self.out);
    }
}

/// Vectors compared by their codes: `BITS` 4 or 8, `SQUARE` for the l2 metric, `DIM` the dimension or 0 for any. With the
/// dimension known, a row is compared without a loop and the query stays in registers from one row to the next.
#[derive(Clone, Copy)]
pub(crate) struct CodeSpace<'a, const BITS: u8, const SQUARE: bool, const DIM: usize>(pub(crate) &'a Codes);

impl<const BITS: u8, const SQUARE: bool, const DIM: usize> CodeSpace<'_, BITS, SQUARE, DIM> {
    #[inline(always)]
    const fn stride(self) -> usize {
        match (DIM, BITS) {
            (0, _) => self.0.stride,
            (_, 4) => packed::bytes(DIM).next_multiple_of(64),
            _ => DIM.next_multiple_of(64),
        }
    }

    /// The shift of the rows: known when this is compiled where the dimension is.
    #[inline(always)]
    const fn shift(self) -> u32 {
        if DIM == 0 { self.0.bytes.shift() } else { Chunked::<u8>::shift_of(self.stride()) }
    }
}

impl<const BITS: u8, const SQUARE: bool, const DIM: usize> Space for CodeSpace<'_, BITS, SQUARE, DIM> {
    #[inline(always)]
    fn prepare(self, direction: &[f32], query: &mut Query) {
        self.0.codec.prepare(direction, &mut query.coded);
    }

    #[inline(always)]
    fn prepare_slot(self, slot: u32, query: &mut Query) {
        let row = self.0.bytes.row(slot as usize);
        self.0.codec.prepare_code(&row[..self.0.codec.row_bytes()], &mut query.coded);
    }

    #[inline(always)]
    fn slots(self) -> usize {
        self.0.bytes.len()
    }

    #[inline(always)]
    fn row_bytes(self) -> usize {
        self.stride()
    }

    #[inline(always)]
    unsafe fn key<I: Isa>(self, query: &Query, slot: u32) -> i32 {
        let codes = query.coded.codes();
        let n = if DIM == 0 { codes.len() } else { DIM };
        debug_assert_eq!(n, codes.len());
        // SAFETY: the caller promises a slot with codes, and the instruction set; a row has codes for as many values as a query that
        // this space made ready.
        unsafe {
            let row = self.0.bytes.address_unchecked(slot as usize, self.stride(), self.shift());
            let codes = codes.as_ptr();
            match (BITS, SQUARE) {
                (4, false) => -I::dot_u4i8(row, codes, n),
                (4, true) => I::l2_u4i8(row, codes, n),
                (_, false) => -I::dot_u8i8(row, codes, n),
                (_, true) => I::l2_u8i8(row, codes, n),
            }
        }
    }

    #[inline(always)]
    fn prefetch<I: Isa>(self, slot: u32) {
        let row = self.0.bytes.address(slot as usize, self.stride(), self.shift());
        for line in 0..self.stride() / 64 {
            I::prefetch(row.wrapping_add(64 * line));
        }
    }

    #[inline(always)]
    fn distance(query: &Query, key: i32) -> f32 {
        query.coded.distance(key)
    }

    #[inline(always)]
    fn key_within(query: &Query, distance: f32) -> i32 {
        query.coded.key(distance)
    }

    #[inline(always)]
    fn error(self) -> f32 {
        self.0.trial.error
    }

    #[inline(always)]
    fn can_compare(self, query: &Query) -> bool {
        !query.coded.is_clipped()
    }
}
