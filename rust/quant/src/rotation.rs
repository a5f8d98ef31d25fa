//! A fast random rotation: random signs and Hadamard transforms.
//!
//! It makes every coordinate of a vector a mix of all, so that one scale fits all coordinates. If
//! the dimension is not a power of two, two overlapping transforms of the largest power of two
//! below it cover it, twice over. The result has the same bits on every machine: sums and products
//! have a fixed order, and operations are not fused.

use tiercel_simd::{Isa, Level, Loop};

/// How often signs and transforms are applied. After two rounds, every coordinate depends on every
/// other.
const ROUNDS: usize = 2;

/// A rotation of vectors of one dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// `ROUNDS` signs per coordinate.
    signs: Vec<f32>,
    dim: usize,
    /// Length of a transform: the largest power of two up to `dim`.
    block: usize,
    /// The compiler knows no good instructions for a transform within a register, so the kernel is
    /// chosen here, whatever loop calls it.
    level: Level,
}

impl Rotation {
    /// Make the rotation of a seed.
    pub fn new(dim: usize, seed: u64) -> Self {
        let block = if dim == 0 { 1 } else { 1 << dim.ilog2() };
        let mut state = seed;
        let signs = (0..ROUNDS * dim).map(|_| if split_mix(&mut state) >> 63 == 0 { 1.0 } else { -1.0 }).collect();
        Self { signs, dim, block, level: Level::active().unwrap_or(Level::Scalar) }
    }

    /// Length of the vectors it rotates.
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Rotate a vector in place.
    ///
    /// # Panics
    ///
    /// If the vector has another dimension.
    #[inline]
    pub fn apply(&self, vector: &mut [f32]) {
        assert_eq!(vector.len(), self.dim, "values of a vector to rotate");
        self.level.run(Apply { rotation: self, vector });
    }

    /// Undo [`Self::apply`], but for rounding.
    ///
    /// # Panics
    ///
    /// If the vector has another dimension.
    pub fn undo(&self, vector: &mut [f32]) {
        assert_eq!(vector.len(), self.dim, "values of a vector to rotate back");
        self.level.run(Undo { rotation: self, vector });
    }
}

struct Apply<'a> {
    rotation: &'a Rotation,
    vector: &'a mut [f32],
}

impl Loop for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { rotation: Rotation { signs, dim, block, .. }, vector } = self;
        let scale = 1.0 / (*block as f32).sqrt();
        for signs in signs.chunks_exact(*dim) {
            for (value, sign) in vector.iter_mut().zip(signs) {
                *value *= sign;
            }
            // SAFETY: a block is within the vector; `Level::run` checked the instruction set.
            unsafe {
                I::hadamard(vector.as_mut_ptr(), *block, scale);
                if block < dim {
                    I::hadamard(vector[dim - block..].as_mut_ptr(), *block, scale);
                }
            }
        }
    }
}

struct Undo<'a> {
    rotation: &'a Rotation,
    vector: &'a mut [f32],
}

impl Loop for Undo<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self) {
        let Self { rotation: Rotation { signs, dim, block, .. }, vector } = self;
        let scale = 1.0 / (*block as f32).sqrt();
        for signs in signs.chunks_exact(*dim).rev() {
            // Each transform is its own inverse.
            // SAFETY: a block is within the vector; `Level::run` checked the instruction set.
            unsafe {
                if block < dim {
                    I::hadamard(vector[dim - block..].as_mut_ptr(), *block, scale);
                }
                I::hadamard(vector.as_mut_ptr(), *block, scale);
            }
            for (value, sign) in vector.iter_mut().zip(signs) {
                *value *= sign;
            }
        }
    }
}

/// Return the next number of a `SplitMix64` sequence (Steele, Lea and Flood 2014).
#[inline]
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_inner_products() {
        for dim in [1, 2, 3, 15, 16, 17, 31, 100, 128, 384, 768, 1000] {
            let rotation = Rotation::new(dim, 7);
            let make = |seed: u64| -> Vec<f32> {
                let mut state = seed;
                (0..dim).map(|_| split_mix(&mut state) as f32 / u64::MAX as f32 - 0.5).collect()
            };
            let (mut a, mut b) = (make(1), make(2));
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            let (before, norm) = (dot(&a, &b), dot(&a, &a));
            rotation.apply(&mut a);
            rotation.apply(&mut b);
            assert!((dot(&a, &b) - before).abs() < 1e-4, "dimension {dim}");
            assert!((dot(&a, &a) - norm).abs() < 1e-4, "dimension {dim}");
        }
    }

    #[test]
    fn can_be_undone() {
        for dim in [1, 2, 3, 15, 16, 17, 31, 100, 128, 384, 1000] {
            let vector: Vec<f32> = (0..dim).map(|at| at as f32 - 0.5).collect();
            let (rotation, mut rotated) = (Rotation::new(dim, 7), vector.clone());
            rotation.apply(&mut rotated);
            rotation.undo(&mut rotated);
            let largest = vector.iter().zip(&rotated).fold(0.0f32, |largest, (a, b)| largest.max((a - b).abs()));
            assert!(largest < 1e-3, "dimension {dim}: {largest}");
        }
    }

    #[test]
    fn spreads_a_single_coordinate() {
        for dim in [64, 100, 384, 768] {
            for at in [0, dim / 2, dim - 1] {
                let mut vector = vec![0.0; dim];
                vector[at] = 1.0;
                Rotation::new(dim, 3).apply(&mut vector);
                let largest = vector.iter().fold(0.0f32, |m, x| m.max(x.abs()));
                assert!(largest < 0.51, "dimension {dim}, coordinate {at}: {largest}");
            }
        }
    }
}
