//! The codes of all vectors, row by row, each row on separate cache lines.

use std::borrow::Cow;
use std::sync::Arc;

use tiercel_quant::{AnyCodec, Codec, CodecKind, Geometry, Key, Rotation, Training, Visitor};
use tiercel_simd::tables::ROWS;
use tiercel_simd::{Buffer, Chunked, Isa, Level, Loop, Table};

use crate::errors::Interrupted;
use crate::options::{Metric, Options};
use crate::storage::ranks::Ranks;
use crate::storage::rows::Rows;
use crate::storage::space::Space;
use crate::work::Work;

/// Most rows that a codec is fitted to.
const SAMPLE: usize = 16_384;

/// How well codes rank, as measured when they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Trial {
    /// Recall@10 of the 20 nearest by code, over sampled rows, not counting the row itself.
    pub(crate) recall: f32,
    /// Root mean square error of a distance by code, over those nearest.
    pub(crate) error: f32,
    /// How far down the true neighbours rank by code.
    pub(crate) ranks: Ranks,
}

/// The codes of all vectors.
#[derive(Clone)]
pub(crate) struct Codes {
    pub(crate) codec: Arc<AnyCodec>,
    /// Rows of [`Codec::stride`] bytes.
    pub(crate) bytes: Chunked<u8>,
    pub(crate) trial: Trial,
}

/// Return the meaning of the kernels' integers under a metric.
pub(crate) const fn geometry(metric: Metric) -> Geometry {
    match metric {
        Metric::Cosine => Geometry::Product { base: 1.0 },
        Metric::Dot => Geometry::Product { base: 0.0 },
        Metric::L2 => Geometry::Square,
    }
}

impl Codes {
    /// Fit a codec to the rows, and code them all.
    pub(crate) fn train(
        kind: CodecKind,
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
        let training = Training { geometry: geometry(options.metric), rotation, sample: &sample, level, crew: work };
        let codec = kind.train(training);
        work.check()?;
        let bytes = Chunked::new(codec.stride()).append_zeros(rows.len());
        let mut codes = Self { codec: Arc::new(codec), bytes, trial: Trial::default() };
        let codec = &codes.codec;
        for (first, run) in codes.bytes.runs_mut() {
            encode(codec, rows, first, run, level, work)?;
        }
        Ok(codes)
    }

    /// Return the name of the storage.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.codec.kind().name()
    }

    /// Append the codes of the rows that have none yet.
    pub(crate) fn append(&mut self, rows: &Rows, level: Level, work: &Work<'_>) -> Result<(), Interrupted> {
        let first = self.bytes.len();
        let mut fresh = Buffer::zeroed((rows.len() - first) * self.bytes.width());
        encode(&self.codec, rows, first, &mut fresh, level, work)?;
        self.bytes.extend_from_slice(&fresh);
        Ok(())
    }
}

/// Code the rows from slot `first` on into `out`, one stride each.
fn encode(
    codec: &AnyCodec,
    rows: &Rows,
    first: usize,
    out: &mut [u8],
    level: Level,
    work: &Work<'_>,
) -> Result<(), Interrupted> {
    let row_bytes = codec.row_bytes();
    let scratch = || (Vec::new(), Vec::new());
    work.fill(out, codec.stride(), 256, scratch, |(row, rotated), item, out| {
        rows.direction(first + item, row);
        codec.accept(Encode { level, vector: row, rotated, row: &mut out[..row_bytes] });
    })
}

struct Encode<'a> {
    level: Level,
    vector: &'a [f32],
    rotated: &'a mut Vec<f32>,
    row: &'a mut [u8],
}

impl Visitor for Encode<'_> {
    type Output = ();

    fn visit<C: Codec, const DIM: usize>(self, codec: &C) {
        self.level.run(EncodeLoop { encode: self, codec });
    }
}

struct EncodeLoop<'a, 'b, C> {
    encode: Encode<'a>,
    codec: &'b C,
}

impl<C: Codec> Loop for EncodeLoop<'_, '_, C> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Encode { vector, rotated, row, .. } = self.encode;
        self.codec.encode(vector, rotated, row);
    }
}

/// Vectors compared by their codes; `DIM` is the dimension, or 0 for any. If the compiler knows it,
/// a row is compared without a loop and the query stays in registers from one row to the next.
pub(crate) struct CodeSpace<'a, C, const DIM: usize> {
    codes: &'a Codes,
    codec: &'a C,
    rows: Table<'a, u8>,
}

impl<C, const DIM: usize> Clone for CodeSpace<'_, C, DIM> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, const DIM: usize> Copy for CodeSpace<'_, C, DIM> {}

impl<'a, C: Codec, const DIM: usize> CodeSpace<'a, C, DIM> {
    /// Make the space of `codes`; `codec` is their codec under its concrete type.
    #[inline(always)]
    pub(crate) fn new(codes: &'a Codes, codec: &'a C) -> Self {
        assert!(DIM == 0 || DIM == codec.dim(), "the dimension that the space is compiled for");
        let stride = codec.stride(codec.dim());
        assert_eq!(stride, codes.bytes.width(), "bytes from one row of codes to the next");
        assert_eq!(Chunked::<u8>::shift_of(stride), codes.bytes.shift(), "rows of codes in a chunk");
        Self { codes, codec, rows: codes.bytes.table() }
    }

    #[inline(always)]
    fn dim(self) -> usize {
        if DIM == 0 { self.codec.dim() } else { DIM }
    }

    #[inline(always)]
    fn stride(self) -> usize {
        if DIM == 0 { self.codes.bytes.width() } else { self.codec.stride(DIM) }
    }

    /// Return the shift of the rows, which the compiler knows if it knows the dimension.
    #[inline(always)]
    fn shift(self) -> u32 {
        if DIM == 0 { self.codes.bytes.shift() } else { Chunked::<u8>::shift_of(self.stride()) }
    }
}

impl<C: Codec, const DIM: usize> Space for CodeSpace<'_, C, DIM> {
    type Query = C::Query;

    #[inline(always)]
    fn prepare(self, direction: &[f32], query: &mut C::Query) {
        self.codec.prepare(direction, query);
    }

    #[inline(always)]
    fn prepare_slot(self, slot: u32, query: &mut C::Query) {
        let row = self.codes.bytes.row(slot as usize);
        self.codec.prepare_row(&row[..self.codec.row_bytes(self.dim())], query);
    }

    #[inline(always)]
    fn slots(self) -> usize {
        self.codes.bytes.len()
    }

    #[inline(always)]
    fn row_bytes(self) -> usize {
        self.stride()
    }

    #[inline(always)]
    unsafe fn key<I: Isa>(self, query: &C::Query, slot: u32) -> i32 {
        // SAFETY: the caller promises a slot with codes, a query that this space prepared, and the
        // instruction set; `new` checked that the stride and the shift are those of the array, and
        // a row takes at most as many bytes as the stride.
        unsafe {
            let address = self.rows.address(slot as usize, self.stride(), self.shift());
            let row = std::slice::from_raw_parts(address, self.codec.row_bytes(self.dim()));
            self.codec.key::<I>(query, row, self.dim()).order()
        }
    }

    const COMPARES_TOGETHER: bool = C::COMPARES_TOGETHER;

    #[inline(always)]
    unsafe fn keys<I: Isa>(self, query: &C::Query, slots: &[u32; ROWS], count: usize) -> [i32; ROWS] {
        let mut rows = [std::ptr::null(); ROWS];
        for (row, slot) in rows.iter_mut().zip(slots) {
            // SAFETY: the caller promises slots with codes; `new` checked the stride and the shift.
            *row = unsafe { self.rows.address(*slot as usize, self.stride(), self.shift()) };
        }
        let mut found = [C::Key::from_order(0); ROWS];
        // SAFETY: each row of the array takes a whole stride; the caller promises the rest.
        unsafe { self.codec.keys::<I>(query, &rows, count, self.dim(), &mut found) };
        let mut keys = [0; ROWS];
        for (key, found) in keys.iter_mut().zip(found) {
            *key = found.order();
        }
        keys
    }

    #[inline(always)]
    unsafe fn prefetch<I: Isa>(self, slot: u32) {
        // SAFETY: the caller promises a slot with codes; `new` checked the stride and the shift.
        let row = unsafe { self.rows.address(slot as usize, self.stride(), self.shift()) };
        for line in 0..self.stride().div_ceil(64) {
            I::prefetch(row.wrapping_add(64 * line));
        }
    }

    #[inline(always)]
    fn distance(query: &C::Query, key: i32) -> f32 {
        C::distance(query, C::Key::from_order(key))
    }

    #[inline(always)]
    fn key_within(query: &C::Query, distance: f32) -> i32 {
        C::key_within(query, distance).order()
    }

    #[inline(always)]
    fn error(self) -> f32 {
        self.codes.trial.error
    }

    #[inline(always)]
    fn can_compare(self, query: &C::Query) -> bool {
        C::can_compare(query)
    }
}
