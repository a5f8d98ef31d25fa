//! Scalar codecs: a rotated vector, minus the mean, in steps of one global size.
//!
//! With one step size for all coordinates and all vectors, a distance is one chain of integer
//! products without metadata beside the codes:
//!
//! ```text
//! code       u = clamp(round((x - mean) / step + zero))      4 bits: 0 to 15, zero 7.5;  8 bits: 1 to 255, zero 128
//! product    <q, x> = <q, mean> + step * (sum(q * u) - zero * sum(q))
//! square     |q - x|^2 = unit^2 * sum((c(u) - c(q))^2)       c(u) = 8 u - 60 (4 bits) or u - 128 (8 bits); unit likewise
//! ```

use std::borrow::Cow;

use tiercel_simd::{Buffer, Isa, packed};

use crate::codec::{Codec, Geometry, Parameters, ParametersError, Training, Visitor};
use crate::lanes::{dot, max_abs, round, within};
use crate::mean;
use crate::rotation::Rotation;

/// Half the range of 4-bit codes, in standard deviations: the place of the outer levels of the
/// uniform quantizer with the least error for a normal distribution (Max 1960).
const FOUR_BIT_RANGE: f32 = 2.6;

/// Largest 8-bit code of the sample under [`Geometry::Square`], where a query must lie on the grid
/// too. The room up to the limit of 127 is for queries farther out than any row.
const SQUARE_RANGE: f32 = 100.0;

/// Fewest dimensions for which 4-bit codes are chosen: the errors of few coordinates do not cancel,
/// and far vectors, which a filter may ask for, lie beyond the range.
const FOUR_BIT_DIM: usize = 64;

/// Share of the squared length of a query that may lie beyond the grid.
const CLIPPED: f32 = 0.01;

/// 4 bits per value, two codes per byte, 16 levels; `SQUARE` for [`Geometry::Square`].
pub type Sq4<const SQUARE: bool> = Scalar<4, SQUARE>;

/// 8 bits per value, one code per byte, 255 levels; `SQUARE` for [`Geometry::Square`].
pub type Sq8<const SQUARE: bool> = Scalar<8, SQUARE>;

/// Codes of `BITS` bits per value, 4 or 8, for [`Geometry::Square`] or for [`Geometry::Product`].
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar<const BITS: u8, const SQUARE: bool> {
    /// The base of [`Geometry::Product`].
    base: f32,
    rotation: Rotation,
    mean: Vec<f32>,
    step: f32,
}

/// A vector to compare with codes. Reuse one for many vectors, since it keeps its memory.
#[derive(Clone, Default)]
pub struct ScalarQuery {
    codes: Buffer<i8>,
    rotated: Buffer<f32>,
    offset: f32,
    scale: f32,
    clipped: bool,
}

impl ScalarQuery {
    /// The codes that the integer kernels take.
    #[inline]
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }
}

impl<const BITS: u8, const SQUARE: bool> Scalar<BITS, SQUARE> {
    const IS_FOUR: bool = {
        assert!(BITS == 4 || BITS == 8, "bits of a code");
        BITS == 4
    };

    /// The code of a value at the mean.
    const ZERO: f32 = if Self::IS_FOUR { 7.5 } else { 128.0 };

    /// Make a codec from the results of [`Self::mean`] and [`Self::step`].
    ///
    /// # Panics
    ///
    /// If the mean has another dimension than the rotation, or the geometry is not that of the
    /// type.
    pub fn from_parts(geometry: Geometry, rotation: Rotation, mean: Vec<f32>, step: f32) -> Self {
        assert_eq!(mean.len(), rotation.dim(), "values of the mean");
        let base = match geometry {
            Geometry::Product { base } if !SQUARE => base,
            Geometry::Square if SQUARE => 0.0,
            _ => panic!("a codec for another geometry than {geometry:?}"),
        };
        // Equal rows have no spread, so that any step codes them.
        let step = if is_step(step) { step } else { 1.0 };
        Self { base, rotation, mean, step }
    }

    /// Return the mean of the sample, rotated.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Return the size of a step.
    pub const fn step(&self) -> f32 {
        self.step
    }

    /// Return the distance that a difference of 1 on the grid of the square kernels stands for.
    fn unit(&self) -> f32 {
        if Self::IS_FOUR { self.step / 8.0 } else { self.step }
    }

    /// Return the value that a code stands for, where the mean has another value.
    #[inline(always)]
    fn value(&self, code: u8, mean: f32) -> f32 {
        mean + self.step * (f32::from(code) - Self::ZERO)
    }

    /// Compute codes, offset and scale from the rotated vector.
    #[inline(always)]
    fn quantize(&self, query: &mut ScalarQuery) {
        let rotated: &[f32] = &query.rotated;
        query.codes.resize(rotated.len(), 0);
        if SQUARE {
            let inverse = 1.0 / self.unit();
            let (mut size, mut excess) = (0.0f32, 0.0f32);
            for ((code, value), mean) in query.codes.iter_mut().zip(rotated).zip(&self.mean) {
                let steps = (value - mean) * inverse;
                let kept = within(steps, -128.0, 127.0);
                *code = round(kept) as i8;
                size += steps * steps;
                excess += (steps - kept) * (steps - kept);
            }
            query.clipped = excess > CLIPPED * size || !size.is_finite();
            (query.offset, query.scale) = (0.0, self.unit() * self.unit());
        } else {
            let largest = max_abs(rotated);
            let scale = if largest.is_normal() { largest / 127.0 } else { 1.0 };
            let inverse = 1.0 / scale;
            let mut sum = 0i32;
            for (code, value) in query.codes.iter_mut().zip(rotated) {
                let rounded = round(within(value * inverse, -127.0, 127.0));
                *code = rounded as i8;
                sum += rounded;
            }
            let shift = dot(rotated, &self.mean) - self.step * scale * Self::ZERO * sum as f32;
            (query.offset, query.scale) = (self.base - shift, self.step * scale);
        }
    }
}

impl<const BITS: u8, const SQUARE: bool> Codec for Scalar<BITS, SQUARE> {
    type Query = ScalarQuery;
    type Key = i32;
    type Shape = ();

    const AUTO_MIN_DIM: Option<usize> = Some(if Self::IS_FOUR { FOUR_BIT_DIM } else { 1 });
    const LINKS: bool = true;

    fn train((): (), training: Training<'_>) -> Self {
        let Training { geometry, rotation, sample, .. } = training;
        let dim = rotation.dim();
        let rotated = mean::rotated(&rotation, sample);
        let mean = mean::mean(&rotated, dim);
        let (mut squares, mut largest) = (0.0f64, 0.0f32);
        for row in rotated.chunks_exact(dim) {
            for (value, mean) in row.iter().zip(&mean) {
                squares += f64::from(value - mean).powi(2);
                largest = largest.max((value - mean).abs());
            }
        }
        let deviation = (squares / rotated.len().max(dim) as f64).sqrt() as f32;
        let step = match (Self::IS_FOUR, SQUARE) {
            (true, _) => 2.0 * FOUR_BIT_RANGE * deviation / 15.0,
            (false, false) => largest / 127.0,
            (false, true) => largest / SQUARE_RANGE,
        };
        Self::from_parts(geometry, rotation, mean, step)
    }

    #[inline(always)]
    fn dim(&self) -> usize {
        self.mean.len()
    }

    #[inline(always)]
    fn row_bytes(&self, dim: usize) -> usize {
        if Self::IS_FOUR { packed::bytes(dim) } else { dim }
    }

    #[inline(always)]
    fn encode(&self, vector: &[f32], scratch: &mut Vec<f32>, row: &mut [u8]) {
        scratch.clear();
        scratch.extend_from_slice(vector);
        self.rotation.apply(scratch);
        let inverse = 1.0 / self.step;
        let zero = Self::ZERO;
        if Self::IS_FOUR {
            let mut unpacked = [0u8; packed::BLOCK];
            let blocks = scratch.chunks(packed::BLOCK).zip(self.mean.chunks(packed::BLOCK));
            for ((values, mean), codes) in blocks.zip(row.chunks_mut(packed::BLOCK / 2)) {
                let unpacked = &mut unpacked[..values.len()];
                for ((code, value), mean) in unpacked.iter_mut().zip(values).zip(mean) {
                    *code = round(within((value - mean) * inverse + zero, 0.0, 15.0)) as u8;
                }
                packed::pack(unpacked, codes);
            }
        } else {
            for ((code, value), mean) in row.iter_mut().zip(scratch.iter()).zip(&self.mean) {
                *code = round(within((value - mean) * inverse + zero, 1.0, 255.0)) as u8;
            }
        }
    }

    fn decode(&self, row: &[u8], vector: &mut Vec<f32>) {
        let mut codes = vec![0; self.mean.len()];
        if Self::IS_FOUR {
            packed::unpack(row, &mut codes);
        } else {
            codes.copy_from_slice(row);
        }
        vector.clear();
        vector.extend(codes.iter().zip(&self.mean).map(|(code, mean)| self.value(*code, *mean)));
        self.rotation.undo(vector);
    }

    fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64 {
        scratch.clear();
        scratch.extend_from_slice(vector);
        self.rotation.apply(scratch);
        let (low, high) = if Self::IS_FOUR { (-7.5, 7.5) } else { (-127.0, 127.0) };
        let error = |(value, mean): (&f32, &f32)| {
            let steps = (value - mean) / self.step;
            // Between the levels, errors up to half a step are equally likely, with a mean square
            // of a twelfth.
            f64::from(steps - within(steps, low, high)).powi(2) + 1.0 / 12.0
        };
        scratch.iter().zip(&self.mean).map(error).sum::<f64>() * f64::from(self.step).powi(2)
    }

    #[inline(always)]
    fn prepare(&self, vector: &[f32], query: &mut ScalarQuery) {
        assert_eq!(vector.len(), self.mean.len(), "values of a vector to compare with codes");
        query.rotated.resize(vector.len(), 0.0);
        query.rotated.copy_from_slice(vector);
        self.rotation.apply(&mut query.rotated);
        self.quantize(query);
    }

    #[inline(always)]
    fn prepare_row(&self, row: &[u8], query: &mut ScalarQuery) {
        let dim = self.mean.len();
        query.codes.resize(dim, 0);
        let codes = bytes_of(&mut query.codes);
        if Self::IS_FOUR {
            packed::unpack(row, codes);
        } else {
            codes.copy_from_slice(row);
        }
        if SQUARE {
            // A code is already a point of the grid.
            for code in codes {
                *code = if Self::IS_FOUR { (*code * 8).wrapping_sub(60) } else { *code ^ 0x80 };
            }
            (query.offset, query.scale) = (0.0, self.unit() * self.unit());
            return;
        }
        query.rotated.resize(dim, 0.0);
        let decoded = query.rotated.iter_mut().zip(bytes_of(&mut query.codes).iter()).zip(&self.mean);
        for ((value, code), mean) in decoded {
            *value = self.value(*code, *mean);
        }
        self.quantize(query);
    }

    #[inline(always)]
    unsafe fn key<I: Isa>(&self, query: &ScalarQuery, row: &[u8], dim: usize) -> i32 {
        debug_assert!(query.codes.len() == dim && row.len() == self.row_bytes(dim));
        let (row, codes) = (row.as_ptr(), query.codes.as_ptr());
        // SAFETY: a query that this codec prepared has `dim` codes, and so does a row; the caller
        // promises the rest.
        unsafe {
            match (Self::IS_FOUR, SQUARE) {
                (true, false) => -I::dot_u4i8(row, codes, dim),
                (true, true) => I::l2_u4i8(row, codes, dim),
                (false, false) => -I::dot_u8i8(row, codes, dim),
                (false, true) => I::l2_u8i8(row, codes, dim),
            }
        }
    }

    #[inline(always)]
    fn distance(query: &ScalarQuery, key: i32) -> f32 {
        query.offset + query.scale * key as f32
    }

    #[inline(always)]
    fn key_within(query: &ScalarQuery, distance: f32) -> i32 {
        if query.scale > 0.0 { ((distance - query.offset) / query.scale).floor() as i32 } else { i32::MAX }
    }

    #[inline(always)]
    fn can_compare(query: &ScalarQuery) -> bool {
        !query.clipped
    }

    fn parameters(&self) -> Parameters<'_> {
        Parameters { step: self.step, section: Cow::Borrowed(bytemuck::cast_slice(&self.mean)) }
    }

    fn section_bytes((): (), dim: usize) -> usize {
        dim * size_of::<f32>()
    }

    fn from_parameters(
        (): (),
        geometry: Geometry,
        rotation: Rotation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, ParametersError> {
        let Parameters { step, section } = parameters;
        if !is_step(*step) {
            return Err(ParametersError::Step(*step));
        }
        let mean = mean::from_section(section)?;
        Ok(Self::from_parts(geometry, rotation, mean, *step))
    }

    /// The usual dimensions of text embeddings are compiled separately. Test builds have one of
    /// them, since the others are the same code again and would take a third of the compile time.
    #[inline(always)]
    fn accept<V: Visitor>(&self, visitor: V) -> V::Output {
        if SQUARE {
            return visitor.visit::<Self, 0>(self);
        }
        if Self::IS_FOUR {
            match self.mean.len() {
                384 => visitor.visit::<Self, 384>(self),
                #[cfg(not(debug_assertions))]
                768 => visitor.visit::<Self, 768>(self),
                #[cfg(not(debug_assertions))]
                1024 => visitor.visit::<Self, 1024>(self),
                _ => visitor.visit::<Self, 0>(self),
            }
        } else {
            match self.mean.len() {
                #[cfg(not(debug_assertions))]
                384 => visitor.visit::<Self, 384>(self),
                #[cfg(not(debug_assertions))]
                768 => visitor.visit::<Self, 768>(self),
                _ => visitor.visit::<Self, 0>(self),
            }
        }
    }
}

/// Whether a codec can have a step of this size.
fn is_step(step: f32) -> bool {
    step > 0.0 && step.is_normal() && (1.0 / step).is_normal()
}

/// View the same memory as unsigned bytes.
fn bytes_of(signed: &mut [i8]) -> &mut [u8] {
    bytemuck::cast_slice_mut(signed)
}
