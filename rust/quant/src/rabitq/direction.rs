//! The codes whose direction is nearest to that of a vector.
//!
//! Codes `u` stand for the levels `w = 2 u - top`, the odd numbers from `-top` to `top`, where `top`
//! is `2^bits - 1`. The levels of a vector `r` that minimize the angle are those nearest to `r / s`
//! for some step `s`, so it suffices to search for the step. Of the levels of one step, the best
//! step is that of the projection, `<r, w> / |w|^2`, whose levels are in turn at least as good.

use crate::lanes::{LANES, dot, round, within};

/// Steps tried first, as multiples of the best step for a normal distribution.
const TRIED: [f32; 5] = [0.8, 0.9, 1.0, 1.15, 1.35];

/// How often the best of these is improved by projection.
const IMPROVED: usize = 3;

/// The levels of a vector, by the inverse of their step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction {
    inverse: f32,
    /// `<r, w>`.
    pub(super) product: f32,
    /// `|w|^2`.
    pub(super) square: f32,
}

impl Direction {
    /// Find the levels of a vector of finite values, at most 1 in size.
    #[inline(always)]
    pub(super) fn nearest<const BITS: u8>(vector: &[f32]) -> Self {
        if BITS == 1 {
            // Every step has the same levels.
            return Self::of::<BITS>(vector, 1.0);
        }
        let square = dot(vector, vector);
        let deviation = (square / vector.len() as f32).sqrt();
        let mut best = Self::of::<BITS>(vector, 1.0);
        for tried in TRIED {
            best = best.better(Self::of::<BITS>(vector, 1.0 / (tried * half_step::<BITS>() * deviation)));
        }
        for _ in 0..IMPROVED {
            best = best.better(Self::of::<BITS>(vector, best.square / best.product));
        }
        best
    }

    /// Compute the levels nearest to the vector times `inverse`.
    #[inline(always)]
    fn of<const BITS: u8>(vector: &[f32], inverse: f32) -> Self {
        let (mut products, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
        let (chunks, tail) = vector.as_chunks::<LANES>();
        for chunk in chunks {
            for ((product, square), value) in products.iter_mut().zip(&mut squares).zip(chunk) {
                let level = level::<BITS>(*value, inverse);
                *product += level * value;
                *square += level * level;
            }
        }
        for ((product, square), value) in products.iter_mut().zip(&mut squares).zip(tail) {
            let level = level::<BITS>(*value, inverse);
            *product += level * value;
            *square += level * level;
        }
        Self { inverse, product: products.iter().sum(), square: squares.iter().sum() }
    }

    /// Return the one with the smaller angle.
    #[inline(always)]
    fn better(self, other: Self) -> Self {
        // Both products are positive.
        let (own, others) = (self.product * self.product * other.square, other.product * other.product * self.square);
        if others > own { other } else { self }
    }

    /// Write the codes of a part of the vector.
    #[inline(always)]
    pub(super) fn codes<const BITS: u8>(self, vector: &[f32], codes: &mut [u8]) {
        for (code, value) in codes.iter_mut().zip(vector) {
            *code = code_of::<BITS>(*value, self.inverse) as u8;
        }
    }
}

/// The largest level.
pub(super) const fn top<const BITS: u8>() -> i32 {
    (1 << BITS) - 1
}

/// Half the distance between the levels of the uniform quantizer with the least error for a normal
/// distribution of deviation 1 (Max 1960): the step, since levels are 2 apart.
const fn half_step<const BITS: u8>() -> f32 {
    match BITS {
        2 => 0.9957 / 2.0,
        3 => 0.5860 / 2.0,
        _ => 0.3352 / 2.0,
    }
}

#[inline(always)]
fn code_of<const BITS: u8>(value: f32, inverse: f32) -> i32 {
    if BITS == 1 {
        return i32::from(value > 0.0);
    }
    let top = top::<BITS>() as f32;
    round(within((value * inverse + top) * 0.5, 0.0, top))
}

#[inline(always)]
fn level<const BITS: u8>(value: f32, inverse: f32) -> f32 {
    (2 * code_of::<BITS>(value, inverse) - top::<BITS>()) as f32
}
