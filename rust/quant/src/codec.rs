//! Scalar codecs: a rotated vector, less the mean, in steps of one global size.
//!
//! One step size for all coordinates and all vectors means that a distance is one chain of integer products with no metadata
//! beside the codes:
//!
//! ```text
//! code       u = clamp(round((x - mean) / step + zero))      4 bits: 0 to 15, zero 7.5;  8 bits: 1 to 255, zero 128
//! product    <q, x> = <q, mean> + step * (sum(q * u) - zero * sum(q))
//! square     |q - x|^2 = unit^2 * sum((c(u) - c(q))^2)       c(u) = 8 u - 60 (4 bits) or u - 128 (8 bits); unit likewise
//! ```

use tiercel_simd::{Buffer, packed};

use crate::Rotation;

/// Bits a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// Two codes a byte, 16 levels.
    Four,
    /// A code a byte, 255 levels.
    Eight,
}

/// What a distance between codes stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Geometry {
    /// `base - <q, x>`.
    Product {
        /// 1 for the cosine distance of unit vectors, 0 for the negated inner product.
        base: f32,
    },
    /// `|q - x|^2`.
    Square,
}

/// Half the range of 4-bit codes, in standard deviations: the uniform quantizer of a normal distribution with the least error
/// (Max 1960) has its outer levels there.
const FOUR_BIT_RANGE: f32 = 2.6;

/// Largest 8-bit code of the sample under [`Geometry::Square`], where a query must lie on the grid too: room to the limit of
/// 127 is for queries further out than any row.
const SQUARE_RANGE: f32 = 100.0;

/// Share of the squared length of a query that may lie beyond the grid.
const CLIPPED: f32 = 0.01;

/// A codec: how vectors become codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Codec {
    bits: Bits,
    geometry: Geometry,
    rotation: Rotation,
    mean: Vec<f32>,
    step: f32,
}

/// A vector to compare codes with. Reuse one for many: its memory is kept.
#[derive(Clone, Default)]
pub struct Query {
    codes: Buffer<i8>,
    rotated: Buffer<f32>,
    offset: f32,
    scale: f32,
    clipped: bool,
}

impl Query {
    /// Whether the query lies so far from the sample that its codes say little about it.
    pub const fn is_clipped(&self) -> bool {
        self.clipped
    }

    /// The codes that the integer kernels take.
    #[inline]
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The distance that an integer of the kernel stands for: smaller integers, smaller distances.
    #[inline(always)]
    pub fn distance(&self, key: i32) -> f32 {
        self.offset + self.scale * key as f32
    }

    /// The largest integer of the kernel whose distance is at most `distance`.
    #[inline(always)]
    pub fn key(&self, distance: f32) -> i32 {
        if self.scale > 0.0 { ((distance - self.offset) / self.scale).floor() as i32 } else { i32::MAX }
    }
}

impl Codec {
    /// Fit mean and step to a sample: `rows` values after values, `rotation.dim()` a row.
    pub fn train(bits: Bits, geometry: Geometry, rotation: Rotation, sample: &[f32]) -> Self {
        let dim = rotation.dim();
        let mut rotated = sample.to_vec();
        for row in rotated.chunks_exact_mut(dim) {
            rotation.apply(row);
        }
        let rows = (sample.len() / dim).max(1) as f64;
        let mut sums = vec![0.0f64; dim];
        for row in rotated.chunks_exact(dim) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        // Values near the largest overflow when they are rotated.
        let finite = |mean: f32| if mean.is_finite() { mean } else { 0.0 };
        let mean: Vec<f32> = sums.iter().map(|sum| finite((sum / rows) as f32)).collect();
        let (mut squares, mut largest) = (0.0f64, 0.0f32);
        for row in rotated.chunks_exact(dim) {
            for (value, mean) in row.iter().zip(&mean) {
                squares += f64::from(value - mean).powi(2);
                largest = largest.max((value - mean).abs());
            }
        }
        let deviation = (squares / (rows * dim as f64)).sqrt() as f32;
        let step = match (bits, geometry) {
            (Bits::Four, _) => 2.0 * FOUR_BIT_RANGE * deviation / 15.0,
            (Bits::Eight, Geometry::Product { .. }) => largest / 127.0,
            (Bits::Eight, Geometry::Square) => largest / SQUARE_RANGE,
        };
        Self::from_parts(bits, geometry, rotation, mean, step)
    }

    /// A codec from what [`Self::mean`] and [`Self::step`] gave.
    ///
    /// # Panics
    ///
    /// When the mean has another dimension than the rotation.
    pub fn from_parts(bits: Bits, geometry: Geometry, rotation: Rotation, mean: Vec<f32>, step: f32) -> Self {
        assert_eq!(mean.len(), rotation.dim(), "values of the mean");
        // Equal rows have no spread; any step codes them.
        let step = if is_step(step) { step } else { 1.0 };
        Self { bits, geometry, rotation, mean, step }
    }

    /// Bits a coordinate.
    pub const fn bits(&self) -> Bits {
        self.bits
    }

    /// The mean of the sample, rotated.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The size of a step.
    pub const fn step(&self) -> f32 {
        self.step
    }

    /// Bytes of the codes of a vector.
    pub const fn row_bytes(&self) -> usize {
        match self.bits {
            Bits::Four => packed::bytes(self.rotation.dim()),
            Bits::Eight => self.rotation.dim(),
        }
    }

    const fn zero(&self) -> f32 {
        match self.bits {
            Bits::Four => 7.5,
            Bits::Eight => 128.0,
        }
    }

    /// The distance that a difference of 1 on the grid of the square kernels stands for.
    fn unit(&self) -> f32 {
        match self.bits {
            Bits::Four => self.step / 8.0,
            Bits::Eight => self.step,
        }
    }

    /// Code a vector into [`Self::row_bytes`] bytes; `scratch` is memory to reuse.
    #[inline(always)]
    pub fn encode(&self, vector: &[f32], scratch: &mut Vec<f32>, codes: &mut [u8]) {
        scratch.clear();
        scratch.extend_from_slice(vector);
        self.rotation.apply(scratch);
        let inverse = 1.0 / self.step;
        let zero = self.zero();
        match self.bits {
            Bits::Eight => {
                for ((code, value), mean) in codes.iter_mut().zip(scratch.iter()).zip(&self.mean) {
                    *code = round(within((value - mean) * inverse + zero, 1.0, 255.0)) as u8;
                }
            }
            Bits::Four => {
                let mut unpacked = [0u8; packed::BLOCK];
                let blocks = scratch.chunks(packed::BLOCK).zip(self.mean.chunks(packed::BLOCK));
                for ((values, mean), codes) in blocks.zip(codes.chunks_mut(packed::BLOCK / 2)) {
                    let unpacked = &mut unpacked[..values.len()];
                    for ((code, value), mean) in unpacked.iter_mut().zip(values).zip(mean) {
                        *code = round(within((value - mean) * inverse + zero, 0.0, 15.0)) as u8;
                    }
                    packed::pack(unpacked, codes);
                }
            }
        }
    }

    /// The squared error that coding a vector makes; `scratch` is memory to reuse.
    pub fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64 {
        scratch.clear();
        scratch.extend_from_slice(vector);
        self.rotation.apply(scratch);
        let (low, high) = match self.bits {
            Bits::Four => (-7.5, 7.5),
            Bits::Eight => (-127.0, 127.0),
        };
        let error = |(value, mean): (&f32, &f32)| {
            let steps = (value - mean) / self.step;
            // Between the levels an error is as likely as any other up to half a step: a twelfth in the mean of squares.
            f64::from(steps - within(steps, low, high)).powi(2) + 1.0 / 12.0
        };
        scratch.iter().zip(&self.mean).map(error).sum::<f64>() * f64::from(self.step).powi(2)
    }

    /// Make ready to compare a vector with codes.
    ///
    /// # Panics
    ///
    /// When the vector has another dimension than the codec. A query is as long as the codec's rows, then.
    #[inline(always)]
    pub fn prepare(&self, vector: &[f32], query: &mut Query) {
        assert_eq!(vector.len(), self.mean.len(), "values of a vector to compare with codes");
        query.rotated.resize(vector.len(), 0.0);
        query.rotated.copy_from_slice(vector);
        self.rotation.apply(&mut query.rotated);
        self.quantize(query);
    }

    /// Make ready to compare a coded vector with others.
    #[inline(always)]
    pub fn prepare_code(&self, codes: &[u8], query: &mut Query) {
        let dim = self.mean.len();
        query.codes.resize(dim, 0);
        let signs: &mut [u8] = bytes_of(&mut query.codes);
        match self.bits {
            Bits::Four => {
                packed::unpack(codes, signs);
                if self.geometry == Geometry::Square {
                    for code in signs {
                        *code = (*code * 8).wrapping_sub(60);
                    }
                    (query.offset, query.scale) = (0.0, self.unit() * self.unit());
                    return;
                }
            }
            Bits::Eight => {
                if self.geometry == Geometry::Square {
                    for (sign, code) in signs.iter_mut().zip(codes) {
                        *sign = code ^ 0x80;
                    }
                    (query.offset, query.scale) = (0.0, self.unit() * self.unit());
                    return;
                }
                signs.copy_from_slice(codes);
            }
        }
        query.rotated.resize(dim, 0.0);
        let (step, zero) = (self.step, self.zero());
        let decoded = query.rotated.iter_mut().zip(bytes_of(&mut query.codes).iter()).zip(&self.mean);
        for ((value, code), mean) in decoded {
            *value = mean + step * (f32::from(*code) - zero);
        }
        self.quantize(query);
    }

    /// Fill codes, offset and scale from the rotated vector.
    #[inline(always)]
    fn quantize(&self, query: &mut Query) {
        let rotated: &[f32] = &query.rotated;
        query.codes.resize(rotated.len(), 0);
        match self.geometry {
            Geometry::Product { base } => {
                let largest = max_abs(rotated);
                let scale = if largest.is_normal() { largest / 127.0 } else { 1.0 };
                let inverse = 1.0 / scale;
                let mut sum = 0i32;
                for (code, value) in query.codes.iter_mut().zip(rotated) {
                    let rounded = round(within(value * inverse, -127.0, 127.0));
                    *code = rounded as i8;
                    sum += rounded;
                }
                let shift = dot(rotated, &self.mean) - self.step * scale * self.zero() * sum as f32;
                (query.offset, query.scale) = (base - shift, self.step * scale);
            }
            Geometry::Square => {
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
            }
        }
    }
}

/// Whether a codec can have a step of this size.
pub fn is_step(step: f32) -> bool {
    step > 0.0 && step.is_normal() && (1.0 / step).is_normal()
}

/// A value, or the bound that it is beyond. What is not a number, as sums that overflow both ways are not, is the lower one.
#[inline(always)]
fn within(value: f32, low: f32, high: f32) -> f32 {
    // Not `clamp`, which gives back what is not a number.
    value.max(low).min(high)
}

/// The nearest integer of a value below 2^22 in size, ties to even: adding this constant leaves no bit for a fraction.
#[inline(always)]
fn round(value: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32
}

const LANES: usize = 16;

/// Lanes in a fixed order: the same bits on every machine.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += x * y;
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *lane += x * y;
    }
    lanes.iter().sum()
}

#[inline(always)]
fn max_abs(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, tail) = values.as_chunks::<LANES>();
    for chunk in chunks.iter().chain(&[padded(tail)]) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if value.abs() > *lane { value.abs() } else { *lane };
        }
    }
    lanes.iter().fold(0.0, |m, lane| m.max(*lane))
}

#[inline(always)]
fn padded(tail: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    lanes[..tail.len()].copy_from_slice(tail);
    lanes
}

/// The same memory as unsigned bytes.
fn bytes_of(signed: &mut [i8]) -> &mut [u8] {
    bytemuck::cast_slice_mut(signed)
}
