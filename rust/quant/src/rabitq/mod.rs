//! `RaBitQ` codecs: the direction of a rotated vector from the mean, in 1 to 4 bits per value, and
//! two floats per row with which a comparison of directions estimates a distance without bias (Gao
//! and Long 2024; Gao et al. 2025).
//!
//! ```text
//! row        r = x - mean, of levels w = 2 u - top with nearly its direction
//! rest       q - t mean, where t mean is the part of the query along the mean; t = 1 for squares
//! product    <q, x> = <q, mean> + t <mean, r> + <q - t mean, r>
//! square     |q - x|^2 = |q - mean|^2 + |r|^2 - 2 <q - mean, r>
//! estimate   <q - t mean, r> = |r|^2 / <r, w> * <q - t mean, w>
//!
//! bytes      | codes | constant: -<mean, r> or |r|^2, f32 | factor: |r|^2 / <r, w>, or twice that, f32 |
//! distance   (offset + t constant) - factor * <q - t mean, w>
//! ```
//!
//! The rest of the query is rounded to bytes, so that its products with the levels are integers. With
//! t = 1, the error of a product would be that of a rest as long as the mean, however short the query.

mod direction;
mod planes;

use std::borrow::Cow;

use tiercel_simd::{Buffer, Isa};

use crate::codec::{Codec, Geometry, Parameters, ParametersError, Training};
use crate::factors;
use crate::lanes::{dot, max_abs, round, within};
use crate::mean;
use crate::rotation::Rotation;
use direction::{Direction, top};

/// Bits from which on rows are compared well enough with rows to link a graph.
const LINKING_BITS: u8 = 3;

/// Largest offset and constant of a distance: their sum is finite.
const LARGEST: f32 = 1e38;

/// Largest factor of a row and scale of a query: products with sums of codes are finite.
const LARGEST_FACTOR: f32 = 1e30;

/// 1 bit per value; `SQUARE` for [`Geometry::Square`].
pub type Rabitq1<const SQUARE: bool> = Rabitq<1, SQUARE>;

/// 2 bits per value; `SQUARE` for [`Geometry::Square`].
pub type Rabitq2<const SQUARE: bool> = Rabitq<2, SQUARE>;

/// 3 bits per value; `SQUARE` for [`Geometry::Square`].
pub type Rabitq3<const SQUARE: bool> = Rabitq<3, SQUARE>;

/// 4 bits per value; `SQUARE` for [`Geometry::Square`].
pub type Rabitq4<const SQUARE: bool> = Rabitq<4, SQUARE>;

/// Directions in `BITS` bits per value, 1 to 4, for [`Geometry::Square`] or for
/// [`Geometry::Product`].
#[derive(Clone, Debug, PartialEq)]
pub struct Rabitq<const BITS: u8, const SQUARE: bool> {
    /// The base of [`Geometry::Product`].
    base: f32,
    rotation: Rotation,
    mean: Vec<f32>,
}

/// A vector to compare with codes. Reuse one for many vectors, since it keeps its memory.
#[derive(Clone, Default)]
pub struct RabitqQuery {
    /// The vector less `share` times the mean, in units of `scale`.
    codes: Buffer<i8>,
    rotated: Buffer<f32>,
    offset: f32,
    share: f32,
    scale: f32,
    /// The largest level times the sum of the codes, which makes a sum over codes of a row one over
    /// levels.
    shift: i32,
    is_comparable: bool,
}

impl<const BITS: u8, const SQUARE: bool> Rabitq<BITS, SQUARE> {
    fn new(geometry: Geometry, rotation: Rotation, mean: Vec<f32>) -> Self {
        assert_eq!(mean.len(), rotation.dim(), "values of the mean");
        let base = match geometry {
            Geometry::Product { base } if !SQUARE => base,
            Geometry::Square if SQUARE => 0.0,
            _ => panic!("a codec for another geometry than {geometry:?}"),
        };
        Self { base, rotation, mean }
    }

    /// Rotate a vector and subtract the mean, in place.
    #[inline(always)]
    fn centre(&self, vector: &mut [f32]) {
        self.rotation.apply(vector);
        for (value, mean) in vector.iter_mut().zip(&self.mean) {
            *value -= mean;
        }
    }

    /// Centre a vector into `scratch`, and divide it by its largest value. Return that value, or
    /// `None` if no code has a direction like it: if it is the mean, or too large to be rotated.
    #[inline(always)]
    fn scaled(&self, vector: &[f32], scratch: &mut Vec<f32>) -> Option<f32> {
        scratch.clear();
        scratch.extend_from_slice(vector);
        self.centre(scratch);
        let largest = max_abs(scratch);
        let inverse = 1.0 / largest;
        if !(largest.is_normal() && inverse.is_normal()) {
            return None;
        }
        for value in &mut *scratch {
            // A rotation that overflows both ways returns NaN.
            *value = within(*value * inverse, -1.0, 1.0);
        }
        Some(largest)
    }

    /// How much of the mean a rotated query with this product with it has.
    #[inline(always)]
    fn share(&self, product: f32) -> f32 {
        let share = product / dot(&self.mean, &self.mean);
        // A mean too small or too large to be squared.
        if share.is_finite() { share } else { 0.0 }
    }

    /// Compute the part of the distance that is the same for all rows. `product` is `<q, mean>`
    /// under [`Geometry::Product`], and `|q - mean|^2` under [`Geometry::Square`].
    #[inline(always)]
    fn offset(&self, product: f32) -> f32 {
        if SQUARE { product } else { self.base - product }
    }
}

impl<const BITS: u8, const SQUARE: bool> Codec for Rabitq<BITS, SQUARE> {
    type Query = RabitqQuery;
    type Key = f32;
    type Shape = ();

    const AUTO_MIN_DIM: Option<usize> = None;
    const LINKS: bool = BITS >= LINKING_BITS;

    fn train((): (), training: Training<'_>) -> Self {
        let Training { geometry, rotation, sample, .. } = training;
        let mean = mean::mean(&mean::rotated(&rotation, sample), rotation.dim());
        Self::new(geometry, rotation, mean)
    }

    #[inline(always)]
    fn dim(&self) -> usize {
        self.mean.len()
    }

    #[inline(always)]
    fn row_bytes(&self, dim: usize) -> usize {
        factors::row_bytes(planes::bytes::<BITS>(dim), 2)
    }

    #[inline(always)]
    fn encode(&self, vector: &[f32], scratch: &mut Vec<f32>, row: &mut [u8]) {
        let Some(largest) = self.scaled(vector, scratch) else {
            // At the mean, nothing depends on the direction; of one too large, nothing is known.
            let is_mean = scratch.iter().all(|value| value.abs() < 1.0);
            factors::put(row, [if is_mean { 0.0 } else { LARGEST }, 0.0]).fill(0);
            return;
        };
        let direction = Direction::nearest::<BITS>(scratch);
        let square = dot(scratch, scratch);
        let factor = largest * (square / direction.product);
        let constant = if SQUARE { largest * largest * square } else { -largest * dot(&self.mean, scratch) };
        let twice = if SQUARE { 2.0 } else { 1.0 };
        let factors = [within(constant, -LARGEST, LARGEST), within(twice * factor, 0.0, LARGEST_FACTOR)];
        let codes = factors::put(row, factors);
        planes::pack::<BITS>(vector.len(), codes, |first, codes| {
            direction.codes::<BITS>(&scratch[first..first + codes.len()], codes);
        });
    }

    fn decode(&self, row: &[u8], vector: &mut Vec<f32>) {
        let (codes, [_, factor]) = factors::split::<2>(row);
        let factor = if SQUARE { 0.5 * factor } else { factor };
        let mut unpacked = vec![0; self.mean.len()];
        planes::unpack::<BITS>(codes, &mut unpacked);
        let value = |(code, mean): (&u8, &f32)| mean + factor * (2 * i32::from(*code) - top::<BITS>()) as f32;
        vector.clear();
        vector.extend(unpacked.iter().zip(&self.mean).map(value));
        self.rotation.undo(vector);
    }

    fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64 {
        let Some(largest) = self.scaled(vector, scratch) else { return 0.0 };
        let Direction { product, square, .. } = Direction::nearest::<BITS>(scratch);
        let length = f64::from(dot(scratch, scratch));
        let kept = f64::from(product).powi(2) / f64::from(square);
        (length - kept).max(0.0) * f64::from(largest).powi(2)
    }

    #[inline(always)]
    fn prepare(&self, vector: &[f32], query: &mut RabitqQuery) {
        assert_eq!(vector.len(), self.mean.len(), "values of a vector to compare with codes");
        query.rotated.resize(vector.len(), 0.0);
        query.rotated.copy_from_slice(vector);
        self.rotation.apply(&mut query.rotated);
        let of_mean = if SQUARE { 0.0 } else { dot(&query.rotated, &self.mean) };
        query.share = if SQUARE { 1.0 } else { self.share(of_mean) };
        for (value, mean) in query.rotated.iter_mut().zip(&self.mean) {
            *value -= query.share * mean;
        }
        let rotated: &[f32] = &query.rotated;
        let offset = self.offset(if SQUARE { dot(rotated, rotated) } else { of_mean });
        let largest = max_abs(rotated);
        let scale = if largest.is_normal() { largest / 127.0 } else { 1.0 };
        let inverse = 1.0 / scale;
        query.codes.resize(rotated.len(), 0);
        let mut sum = 0i32;
        for (code, value) in query.codes.iter_mut().zip(rotated) {
            let rounded = round(within(value * inverse, -127.0, 127.0));
            *code = rounded as i8;
            sum += rounded;
        }
        query.shift = top::<BITS>() * sum;
        // NaN is not comparable either.
        (query.offset, query.scale) = (offset, scale);
        query.is_comparable = offset.abs() <= LARGEST && scale <= LARGEST_FACTOR;
        if !query.is_comparable {
            (query.offset, query.share, query.scale) = (0.0, 0.0, 0.0);
        }
    }

    #[inline(always)]
    fn prepare_row(&self, row: &[u8], query: &mut RabitqQuery) {
        let (codes, [constant, factor]) = factors::split::<2>(row);
        query.codes.resize(self.mean.len(), 0);
        planes::unpack::<BITS>(codes, bytemuck::cast_slice_mut(&mut query.codes));
        let mut sum = 0i32;
        for code in query.codes.iter_mut() {
            let level = 2 * i32::from(*code) - top::<BITS>();
            *code = level as i8;
            sum += level;
        }
        query.shift = top::<BITS>() * sum;
        // The row is mean + r, and its factor times its levels estimate r.
        query.scale = if SQUARE { 0.5 * factor } else { factor };
        query.offset = within(
            if SQUARE { constant } else { self.base - (dot(&self.mean, &self.mean) - constant) },
            -LARGEST,
            LARGEST,
        );
        query.share = 1.0;
        query.is_comparable = true;
    }

    #[inline(always)]
    unsafe fn key<I: Isa>(&self, query: &RabitqQuery, row: &[u8], dim: usize) -> f32 {
        debug_assert!(query.codes.len() == dim && row.len() == self.row_bytes(dim));
        let (codes, [constant, factor]) = factors::split::<2>(row);
        // SAFETY: a query that this codec prepared has `dim` values, and a row as many codes; the
        // caller promises the rest.
        let product = unsafe { planes::dot::<I, BITS>(codes.as_ptr(), query.codes.as_ptr(), dim) };
        let constant = if SQUARE { constant } else { within(query.share * constant, -LARGEST, LARGEST) };
        (query.offset + constant) - factor * (query.scale * (2 * product - query.shift) as f32)
    }

    #[inline(always)]
    fn distance(_: &RabitqQuery, key: f32) -> f32 {
        key
    }

    #[inline(always)]
    fn key_within(_: &RabitqQuery, distance: f32) -> f32 {
        distance
    }

    #[inline(always)]
    fn can_compare(query: &RabitqQuery) -> bool {
        query.is_comparable
    }

    fn parameters(&self) -> Parameters<'_> {
        Parameters { step: 0.0, section: Cow::Borrowed(bytemuck::cast_slice(&self.mean)) }
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
        if *step != 0.0 {
            return Err(ParametersError::Step(*step));
        }
        Ok(Self::new(geometry, rotation, mean::from_section(section)?))
    }
}
