//! Codecs that keep every value as a float of 16 bits.
//!
//! Values are first multiplied by a power of two, which rounds none of them, so that the largest of
//! the sample lies well within the range of half precision, if it is between 1e-22 and 7e22. Values a
//! million times smaller than that lose digits as `f16`, not as `bf16`. Comparisons widen the values without
//! instructions of their own, so that a distance has the same bits everywhere.
//!
//! ```text
//! row        x' = half(x * scale), 2 bytes per value, little-endian
//! product    base - <q, x> = base - <q', x'> / scale^2
//! square     |q - x|^2 = |q' - x'|^2 / scale^2
//!
//! f16        | sign | 5 bits of exponent | 10 bits of fraction |
//! bf16       | sign | 8 bits of exponent |  7 bits of fraction |   the upper half of an f32
//! ```

use std::borrow::Cow;
use std::marker::PhantomData;

use tiercel_simd::{Buffer, Isa};

use crate::codec::{Codec, Geometry, Parameters, ParametersError, Training};
use crate::lanes::{max_abs, within};

/// Where the largest value of the sample lies, at most: vectors that are a few times larger, and
/// values that are far smaller, still have codes of full precision.
const TARGET: f32 = 64.0;

/// Largest value of a code.
const LARGEST: f32 = 65_504.0;

/// Largest value of a query: its products with rows have finite sums.
const LARGEST_QUERY: f32 = 1e28;

/// Exponents of a scale: its square, and the inverse of that, are normal numbers.
const EXPONENTS: i32 = 60;

/// Sums of a comparison: two of the widest registers, so that one addition need not wait for the
/// one before.
const SUMS: usize = 32;

/// Half precision (IEEE 754): 11 significant bits.
pub type F16<const SQUARE: bool> = <ByOne<Half<false>, SQUARE> as Same>::Type;

/// The upper half of a float: 8 significant bits.
pub type Bf16<const SQUARE: bool> = <ByOne<Half<true>, SQUARE> as Same>::Type;

/// Values of 16 bits: bfloat16 if `BRAIN`, else half precision. One type does for both geometries,
/// which every loop over codes would be compiled for again: rows are read for longer than it takes to
/// choose between two.
#[derive(Clone, Debug, PartialEq)]
pub struct Half<const BRAIN: bool> {
    geometry: Geometry,
    dim: usize,
    /// A power of two.
    scale: f32,
}

/// Gives both geometries one type.
pub struct ByOne<T, const SQUARE: bool>(PhantomData<T>);

/// What [`ByOne`] is for.
pub trait Same {
    /// The type of both.
    type Type;
}

impl<T, const SQUARE: bool> Same for ByOne<T, SQUARE> {
    type Type = T;
}

/// A vector to compare with codes. Reuse one for many vectors, since it keeps its memory.
#[derive(Clone, Default)]
pub struct HalfQuery {
    values: Buffer<f32>,
    /// The distance of a sum of 0, and what a sum of 1 adds.
    offset: f32,
    unit: f32,
    is_comparable: bool,
}

impl<const BRAIN: bool> Half<BRAIN> {
    /// Return the code of a value.
    #[inline(always)]
    fn code(&self, value: f32) -> u16 {
        let value = within(value * self.scale, -LARGEST, LARGEST);
        if BRAIN {
            // To nearest, ties to even.
            let bits = value.to_bits();
            ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
        } else {
            half::f16::from_f32_const(value).to_bits()
        }
    }

    /// Return the value of a code, times the scale.
    #[inline(always)]
    fn widened(code: u16) -> f32 {
        let bits = u32::from(code);
        if BRAIN {
            f32::from_bits(bits << 16)
        } else {
            // With its exponent in the place of that of a float, a code is 2^112 times too small;
            // a product with a power of two is exact, also where one of them is subnormal.
            let size = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
            f32::from_bits(size.to_bits() | (bits & 0x8000) << 16)
        }
    }

    fn finish(&self, query: &mut HalfQuery) {
        query.offset = if let Geometry::Product { base } = self.geometry { base } else { 0.0 };
        query.unit = 1.0 / (self.scale * self.scale);
        // NaN is not comparable either.
        query.is_comparable = query.values.iter().all(|value| value.abs() <= LARGEST_QUERY / self.dim as f32);
        if !query.is_comparable {
            query.values.fill(0.0);
        }
    }

    /// Return the sum of products, or with `SQUARE` of squared differences, in an order of its own.
    #[inline(always)]
    fn sum<const SQUARE: bool>(query: &[f32], row: &[u8]) -> f32 {
        let term = |query: f32, code: [u8; 2]| {
            let value = Self::widened(u16::from_le_bytes(code));
            if SQUARE { (query - value) * (query - value) } else { query * value }
        };
        let mut sums = [0.0f32; SUMS];
        let (codes, codes_tail) = row.as_chunks::<2>().0.as_chunks::<SUMS>();
        let (values, values_tail) = query.as_chunks::<SUMS>();
        for (codes, values) in codes.iter().zip(values) {
            for (sum, (code, value)) in sums.iter_mut().zip(codes.iter().zip(values)) {
                *sum += term(*value, *code);
            }
        }
        for (sum, (code, value)) in sums.iter_mut().zip(codes_tail.iter().zip(values_tail)) {
            *sum += term(*value, *code);
        }
        let mut half = SUMS / 2;
        while half > 0 {
            for at in 0..half {
                sums[at] += sums[at + half];
            }
            half /= 2;
        }
        sums[0]
    }
}

impl<const BRAIN: bool> Codec for Half<BRAIN> {
    type Query = HalfQuery;
    type Key = f32;
    type Shape = ();

    const AUTO_MIN_DIM: Option<usize> = None;

    fn train((): (), training: Training<'_>) -> Self {
        let largest = max_abs(training.sample);
        let exponent = if largest > 0.0 { (TARGET / largest).log2().floor() } else { 0.0 };
        let scale = exp2(exponent.clamp(-EXPONENTS as f32, EXPONENTS as f32) as i32);
        Self { geometry: training.geometry, dim: training.rotation.dim(), scale }
    }

    #[inline(always)]
    fn dim(&self) -> usize {
        self.dim
    }

    #[inline(always)]
    fn row_bytes(&self, dim: usize) -> usize {
        2 * dim
    }

    #[inline(always)]
    fn encode(&self, vector: &[f32], _: &mut Vec<f32>, row: &mut [u8]) {
        for (code, value) in row.as_chunks_mut().0.iter_mut().zip(vector) {
            *code = self.code(*value).to_le_bytes();
        }
    }

    fn decode(&self, row: &[u8], vector: &mut Vec<f32>) {
        let values = row.as_chunks().0.iter().map(|code| Self::widened(u16::from_le_bytes(*code)) / self.scale);
        vector.clear();
        vector.extend(values);
    }

    fn error(&self, vector: &[f32], _: &mut Vec<f32>) -> f64 {
        let error = |value: &f32| f64::from(Self::widened(self.code(*value)) / self.scale) - f64::from(*value);
        vector.iter().map(|value| error(value).powi(2)).sum()
    }

    #[inline(always)]
    fn prepare(&self, vector: &[f32], query: &mut HalfQuery) {
        assert_eq!(vector.len(), self.dim, "values of a vector to compare with codes");
        query.values.resize(vector.len(), 0.0);
        for (value, given) in query.values.iter_mut().zip(vector) {
            *value = given * self.scale;
        }
        self.finish(query);
    }

    #[inline(always)]
    fn prepare_row(&self, row: &[u8], query: &mut HalfQuery) {
        query.values.resize(self.dim, 0.0);
        for (value, code) in query.values.iter_mut().zip(row.as_chunks().0) {
            *value = Self::widened(u16::from_le_bytes(*code));
        }
        self.finish(query);
    }

    #[inline(always)]
    unsafe fn key<I: Isa>(&self, query: &HalfQuery, row: &[u8], dim: usize) -> f32 {
        debug_assert!(query.values.len() == dim && row.len() == self.row_bytes(dim));
        match self.geometry {
            Geometry::Square => Self::sum::<true>(&query.values, row),
            Geometry::Product { .. } => -Self::sum::<false>(&query.values, row),
        }
    }

    #[inline(always)]
    fn distance(query: &HalfQuery, key: f32) -> f32 {
        query.offset + query.unit * key
    }

    #[inline(always)]
    fn key_within(query: &HalfQuery, distance: f32) -> f32 {
        let key = (distance - query.offset) / query.unit;
        if key.is_nan() { f32::INFINITY } else { key }
    }

    #[inline(always)]
    fn can_compare(query: &HalfQuery) -> bool {
        query.is_comparable
    }

    fn parameters(&self) -> Parameters<'_> {
        Parameters { step: self.scale, section: Cow::Borrowed(&[]) }
    }

    fn section_bytes((): (), _: usize) -> usize {
        0
    }

    fn from_parameters(
        (): (),
        geometry: Geometry,
        rotation: crate::Rotation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, ParametersError> {
        let scale = parameters.step;
        let exponent = (scale.to_bits() >> 23) as i32 - 127;
        let is_scale = (-EXPONENTS..=EXPONENTS).contains(&exponent) && scale.to_bits() == exp2(exponent).to_bits();
        if is_scale { Ok(Self { geometry, dim: rotation.dim(), scale }) } else { Err(ParametersError::Step(scale)) }
    }
}

/// Return the power of two of an exponent from -126 to 127.
fn exp2(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_widened_to_its_value() {
        for bits in 0..=u16::MAX {
            let (half, brain) = (half::f16::from_bits(bits), half::bf16::from_bits(bits));
            if half.is_finite() {
                assert_eq!(Half::<false>::widened(bits).to_bits(), half.to_f32().to_bits(), "{bits:#x}");
            }
            if brain.is_finite() {
                assert_eq!(Half::<true>::widened(bits).to_bits(), brain.to_f32().to_bits(), "{bits:#x}");
            }
        }
    }

    #[test]
    fn codes_are_the_nearest() {
        let f16 = Half::<false> { geometry: Geometry::Square, dim: 1, scale: 1.0 };
        let bf16 = Half::<true> { geometry: Geometry::Square, dim: 1, scale: 1.0 };
        for at in 0..200_000u32 {
            let value = (at as f32 - 100_000.0) * 0.37 / 7.0;
            assert_eq!(f16.code(value), half::f16::from_f32(value).to_bits(), "{value}");
            assert_eq!(bf16.code(value), half::bf16::from_f32(value).to_bits(), "{value}");
        }
        assert_eq!(Half::<false>::widened(f16.code(1e9)).to_bits(), LARGEST.to_bits());
    }
}
