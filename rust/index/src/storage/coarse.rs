//! Exact scans of many queries by bytes first.
//!
//! Rows and queries are rounded to bytes, whose products take a quarter of the time. The lengths of
//! what rounding left over bound how far such a product may be off, so only pairs that may be near
//! enough are compared in full precision. No true neighbour is missed:
//!
//! ```text
//! <q, x> = <q', x'> + <q, x - x'> + <q - q', x'>     |<q, x - x'>| <= |q| |x - x'|, and so on
//! ```

use tiercel_simd::Isa;

use crate::options::Metric;

/// A number that f32 rounds to a whole one when it is added: 1.5 * 2^23.
const ROUNDER: f32 = 12_582_912.0;

/// Lanes of a loop that the compiler turns into vectors.
const LANES: usize = 16;

/// A vector in bytes: `scale` times the codes is nearly the vector.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rounded {
    pub(crate) scale: f32,
    /// Sum of the codes.
    pub(crate) sum: i32,
    /// Length of the vector, of the rounded one, and of their difference.
    norm: f32,
    coded_norm: f32,
    error: f32,
}

/// Round a vector to codes from -127 to 127.
#[inline(always)]
pub(crate) fn round(vector: &[f32], codes: &mut [i8]) -> Rounded {
    let (whole, rest) = vector.as_chunks::<LANES>();
    let mut largest = [0.0f32; LANES];
    for values in whole {
        for (largest, value) in largest.iter_mut().zip(values) {
            *largest = largest.max(value.abs());
        }
    }
    let largest = largest.iter().chain(rest).fold(0.0f32, |most, value| most.max(value.abs()));
    let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
    let inverse = 1.0 / scale;
    let (mut sums, mut squares, mut rounded, mut errors) =
        ([0i32; LANES], [0.0f32; LANES], [0.0f32; LANES], [0.0f32; LANES]);
    let mut put = |lane: usize, value: f32, code: &mut i8| {
        // All in units of codes, since the squares of small values would underflow.
        let exact = value * inverse;
        let shifted = exact + ROUNDER;
        let nearest = shifted - ROUNDER;
        *code = (shifted.to_bits() as i32 - ROUNDER.to_bits() as i32) as i8;
        let error = exact - nearest;
        sums[lane] += i32::from(*code);
        squares[lane] += exact * exact;
        rounded[lane] += nearest * nearest;
        errors[lane] += error * error;
    };
    let (coded, coded_rest) = codes[..vector.len()].as_chunks_mut::<LANES>();
    for (values, codes) in whole.iter().zip(coded) {
        for lane in 0..LANES {
            put(lane, values[lane], &mut codes[lane]);
        }
    }
    for (lane, (value, code)) in rest.iter().zip(coded_rest).enumerate() {
        put(lane, *value, code);
    }
    codes[vector.len()..].fill(0);
    let root = |squares: [f32; LANES]| squares.iter().sum::<f32>().sqrt();
    Rounded {
        scale,
        sum: sums.iter().sum(),
        norm: scale * root(squares),
        coded_norm: scale * root(rounded),
        error: scale * root(errors),
    }
}

/// Queries in bytes, laid out for tiles.
pub(crate) struct Queries {
    /// Values of a row of bytes: `dim`, or the next multiple of 4.
    n: usize,
    panels: Vec<u8>,
    scales: Vec<f32>,
    norms: Vec<f32>,
    errors: Vec<f32>,
}

impl Queries {
    /// Round queries of `dim` values, `wide` a panel; queries of zeros fill the last one.
    #[inline(always)]
    pub(crate) fn new(queries: &[f32], dim: usize, wide: usize) -> Self {
        let n = dim.next_multiple_of(4);
        let padded = (queries.len() / dim).next_multiple_of(wide);
        let mut all = Self {
            n,
            panels: vec![128; padded * n],
            scales: vec![1.0; padded],
            norms: vec![0.0; padded],
            errors: vec![0.0; padded],
        };
        let mut codes = vec![0i8; n];
        for (q, query) in queries.chunks_exact(dim).enumerate() {
            let Rounded { scale, norm, error, .. } = round(query, &mut codes);
            (all.scales[q], all.norms[q], all.errors[q]) = (scale, norm, error);
            let panel = &mut all.panels[q / wide * wide * n..];
            for (four, codes) in codes.as_chunks::<4>().0.iter().enumerate() {
                for (at, code) in codes.iter().enumerate() {
                    // Unsigned, as the kernel takes them.
                    panel[four * 4 * wide + q % wide * 4 + at] = (i16::from(*code) + 128) as u8;
                }
            }
        }
        all
    }
}

/// Rows in bytes.
#[derive(Default)]
pub(crate) struct Block {
    n: usize,
    codes: Vec<i8>,
    rows: Vec<Rounded>,
}

impl Block {
    /// Round rows of `dim` values.
    #[inline(always)]
    pub(crate) fn fill(&mut self, rows: &[f32], dim: usize) {
        let count = rows.len() / dim;
        self.n = dim.next_multiple_of(4);
        self.codes.resize(count * self.n, 0);
        self.rows.clear();
        let codes = self.codes.chunks_exact_mut(self.n);
        self.rows.extend(rows.chunks_exact(dim).zip(codes).map(|(row, codes)| round(row, codes)));
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Return the codes of a row, which zeros may follow, and what they stand for.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> (&[i8], Rounded) {
        (&self.codes[row * self.n..][..self.n], self.rows[row])
    }

    /// Compare up to `HIGH` rows from `first` on with panel `panel`.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn tile<I: Isa>(&self, first: usize, queries: &Queries, panel: usize, sums: &mut [i32]) -> usize {
        let count = I::HIGH.min(self.len() - first);
        assert!(self.n == queries.n && sums.len() >= count * I::WIDE, "bytes of rows and queries, and room for sums");
        let rows = &self.codes[first * self.n..(first + count) * self.n];
        let panel = &queries.panels[panel * I::WIDE * self.n..][..I::WIDE * self.n];
        // SAFETY: there are `count` rows and `WIDE` queries of `n` codes each, and room for their
        // sums; the caller promises the instruction set.
        unsafe { I::tile_i8(rows.as_ptr(), count, panel.as_ptr(), self.n, sums.as_mut_ptr()) };
        count
    }

    /// Return the bounds of a row's closeness to the queries of a panel. `scale` makes a product a
    /// closeness.
    #[inline(always)]
    pub(crate) fn bounds<'a, I: Isa>(
        &self,
        row: usize,
        scale: f32,
        queries: &'a Queries,
        panel: usize,
        metric: Metric,
    ) -> Bounds<'a> {
        let panel = panel * I::WIDE..(panel + 1) * I::WIDE;
        let (scales, norms) = (&queries.scales[panel.clone()], &queries.norms[panel.clone()]);
        // A margin for the rounding of sums in single precision.
        let slack = (self.n as f32 + 16.0) * f32::EPSILON;
        Bounds { row: self.rows[row], scale, scales, norms, errors: &queries.errors[panel], slack, metric }
    }
}

/// What a row's products with the queries of a panel allow.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'a> {
    row: Rounded,
    scale: f32,
    scales: &'a [f32],
    norms: &'a [f32],
    errors: &'a [f32],
    slack: f32,
    metric: Metric,
}

impl Bounds<'_> {
    /// Return the most that the closeness to a query can be, by the sum of its products.
    #[inline(always)]
    fn most(&self, q: usize, sum: i32) -> f32 {
        let Rounded { scale, sum: of_row, norm, coded_norm, error } = self.row;
        // Codes of queries are 128 more than their values.
        let product = self.scales[q] * (scale * (sum - 128 * of_row) as f32);
        let rounding = self.slack * self.norms[q] * (norm + coded_norm);
        let most = product + self.norms[q] * error + self.errors[q] * coded_norm + rounding;
        if self.metric == Metric::L2 {
            let squares = self.norms[q] * self.norms[q] + norm * norm;
            2.0 * most - squares + self.slack * squares
        } else {
            most * self.scale
        }
    }

    /// Whether the row may be as close to a query as `least`. What overflowed to NaN may be.
    #[inline(always)]
    pub(crate) fn may_reach(&self, q: usize, sum: i32, least: f32) -> bool {
        let most = self.most(q, sum);
        most >= least || most.is_nan()
    }

    /// Whether [`Self::may_reach`] holds for any query.
    #[inline(always)]
    pub(crate) fn any_may_reach(&self, sums: &[i32], least: &[f32]) -> bool {
        let lanes = self.scales.len();
        let (sums, least) = (&sums[..lanes], &least[..lanes]);
        // Check all rather than stop at the first, so that the compiler vectorizes the loop. NaN is
        // not less.
        let mut far = true;
        for q in 0..lanes {
            far &= self.most(q, sums[q]) < least[q];
        }
        !far
    }
}

#[cfg(test)]
mod tests {
    use tiercel_simd::{Level, Loop};

    use super::*;

    /// Vectors of many lengths, some with a value that dwarfs the others.
    fn vectors(count: usize, dim: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count * dim)
            .map(|at| {
                let dwarfs = at / dim % 5 == 3 && at % dim == 7;
                next() * 2.0f32.powi((at / dim % 9) as i32 - 4) * if dwarfs { 50.0 } else { 1.0 }
            })
            .collect()
    }

    struct Check<'a>(&'a [f32], &'a [f32], usize, Metric);

    impl Loop for Check<'_> {
        /// The share of pairs that a bound of the true closeness, and a little more, excludes.
        type Output = f64;

        #[inline(always)]
        fn run<I: Isa>(self) -> f64 {
            let Self(rows, queries, dim, metric) = self;
            let mut block = Block::default();
            block.fill(rows, dim);
            let coded = Queries::new(queries, dim, I::WIDE);
            let (mut sums, mut excluded, mut pairs) = (vec![0; I::HIGH * I::WIDE], 0u32, 0u32);
            for panel in 0..(queries.len() / dim).div_ceil(I::WIDE) {
                for first in (0..block.len()).step_by(I::HIGH) {
                    // SAFETY: `Level::run` checked the instruction set.
                    let count = unsafe { block.tile::<I>(first, &coded, panel, &mut sums) };
                    for r in 0..count {
                        let row = &rows[(first + r) * dim..][..dim];
                        let bounds = block.bounds::<I>(first + r, 1.0, &coded, panel, metric);
                        let queries = queries.chunks_exact(dim).skip(panel * I::WIDE).take(I::WIDE);
                        for (q, query) in queries.enumerate() {
                            let terms = query.iter().zip(row).map(|(a, b)| (f64::from(*a), f64::from(*b)));
                            let close = match metric {
                                Metric::L2 => -terms.clone().map(|(a, b)| (a - b).powi(2)).sum::<f64>(),
                                _ => terms.clone().map(|(a, b)| a * b).sum::<f64>(),
                            };
                            let length: f64 = terms.map(|(a, b)| a * a + b * b).sum();
                            let sum = sums[r * I::WIDE + q];
                            assert!(bounds.may_reach(q, sum, close as f32), "{metric:?}, row {r}, query {q}");
                            excluded += u32::from(!bounds.may_reach(q, sum, (close + 0.05 * length) as f32));
                            pairs += 1;
                        }
                    }
                }
            }
            f64::from(excluded) / f64::from(pairs)
        }
    }

    #[test]
    fn a_bound_is_never_below_the_closeness_and_rarely_far_above() {
        for dim in [32, 33, 50, 127, 384] {
            let (rows, queries) = (vectors(40, dim, 1), vectors(50, dim, 2));
            for metric in [Metric::Dot, Metric::L2] {
                for level in Level::available() {
                    let excluded = level.run(Check(&rows, &queries, dim, metric));
                    assert!(excluded > 0.7, "{level:?}, {metric:?}, dim {dim}: {excluded}");
                }
            }
        }
    }

    #[test]
    fn a_bound_holds_for_vectors_whose_squares_underflow() {
        let dim = 64;
        for tiny in [1e-18f32, 1e-22, 1e-25, 1e-30] {
            // One value sets the scale, and the others lie halfway between two codes.
            let mut rows = vec![0.49 / 127.0 * tiny; 3 * dim];
            rows[0] = tiny;
            rows[dim..2 * dim].fill(0.0);
            let mut queries = vec![1.0f32; 2 * dim];
            queries[0] = 0.0;
            queries[dim..].fill(tiny);
            for level in Level::available() {
                level.run(Check(&rows, &queries, dim, Metric::Dot));
                level.run(Check(&rows, &queries, dim, Metric::L2));
            }
        }
    }

    #[test]
    fn vectors_that_overflow_are_never_excluded() {
        let dim = 32;
        let mut rows = vec![1e30f32; 3 * dim];
        rows[..dim].fill(f32::MIN_POSITIVE / 4.0);
        rows[dim] = f32::MAX;
        let queries = vec![1e25f32; dim];
        for level in Level::available() {
            struct Any<'a>(&'a [f32], &'a [f32]);
            impl Loop for Any<'_> {
                type Output = Vec<bool>;

                #[inline(always)]
                fn run<I: Isa>(self) -> Vec<bool> {
                    let (mut block, coded) = (Block::default(), Queries::new(self.1, 32, I::WIDE));
                    block.fill(self.0, 32);
                    let mut sums = vec![0; I::HIGH * I::WIDE];
                    // SAFETY: `Level::run` checked the instruction set.
                    let count = unsafe { block.tile::<I>(0, &coded, 0, &mut sums) };
                    let bounds = |row| block.bounds::<I>(row, 1.0, &coded, 0, Metric::Dot);
                    (0..count).map(|row| bounds(row).may_reach(0, sums[row * I::WIDE], f32::INFINITY)).collect()
                }
            }
            assert_eq!(level.run(Any(&rows, &queries))[1..], [true, true], "{level:?}");
        }
    }
}
