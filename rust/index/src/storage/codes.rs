//! The codes of all vectors, row by row, each row on cache lines of its own.

use tiercel_quant::{Bits, Codec, Geometry, Rotation};
use tiercel_simd::{Buffer, Isa, Level, Loop, packed};

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
    pub(crate) codec: Codec,
    pub(crate) bytes: Buffer<u8>,
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
        let mut codes = Self { codec, bytes: Buffer::new(), stride, trial: Trial::default() };
        codes.bytes = codes.encode(rows, 0, level, work)?;
        Ok(codes)
    }

    /// The name of the storage.
    pub(crate) const fn name(&self) -> &'static str {
        match self.codec.bits() {
            Bits::Four => "sq4",
            Bits::Eight => "sq8",
        }
    }

    /// Code the rows from slot `first` on.
    pub(crate) fn encode(
        &self,
        rows: &Rows,
        first: usize,
        level: Level,
        work: &Work<'_>,
    ) -> Result<Buffer<u8>, Interrupted> {
        let mut bytes = Buffer::zeroed((rows.len() - first) * self.stride);
        let scratch = || (Vec::new(), Vec::new());
        work.fill(&mut bytes, self.stride, 256, scratch, |(row, rotated), item, out| {
            rows.direction(first + item, row);
            level.run(Encode { codec: &self.codec, row, rotated, out: &mut out[..self.codec.row_bytes()] });
        })?;
        Ok(bytes)
    }
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

    #[inline(always)]
    fn row(self, slot: u32) -> *const u8 {
        self.0.bytes.as_ptr().wrapping_add(slot as usize * self.stride())
    }
}

impl<const BITS: u8, const SQUARE: bool, const DIM: usize> Space for CodeSpace<'_, BITS, SQUARE, DIM> {
    #[inline(always)]
    fn prepare(self, direction: &[f32], query: &mut Query) {
        self.0.codec.prepare(direction, &mut query.coded);
    }

    #[inline(always)]
    fn prepare_slot(self, slot: u32, query: &mut Query) {
        let start = slot as usize * self.0.stride;
        self.0.codec.prepare_code(&self.0.bytes[start..start + self.0.codec.row_bytes()], &mut query.coded);
    }

    #[inline(always)]
    fn slots(self) -> usize {
        self.0.bytes.len() / self.0.stride
    }

    #[inline(always)]
    unsafe fn key<I: Isa>(self, query: &Query, slot: u32) -> i32 {
        debug_assert!((slot as usize + 1) * self.0.stride <= self.0.bytes.len());
        let codes = query.coded.codes();
        let n = if DIM == 0 { codes.len() } else { DIM };
        debug_assert_eq!(n, codes.len());
        let (row, codes) = (self.row(slot), codes.as_ptr());
        // SAFETY: the caller promises a slot with codes, and the instruction set; a row has codes for as many values as a query that
        // this space made ready.
        unsafe {
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
        for line in 0..self.stride() / 64 {
            I::prefetch(self.row(slot).wrapping_add(64 * line));
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
