//! Many vectors side by side, compared with one at a time.
//!
//! ```text
//!            column 0   column 1   column 2  ...            16 or more columns at a time are in registers,
//! value 0  [    .          .          .     ...             and a value of the one vector meets all of them
//! value 1       .          .          .     ...
//! ...                                          ]
//! ```
//!
//! Each column is summed from its first value to its last, so that the results have the same bits
//! under every instruction set.

use tiercel_simd::{Isa, Level, Loop};

/// Columns in one register on the widest machines; the number of columns is a multiple.
pub(crate) const LANES: usize = 16;

/// Columns summed together, to keep several sums of a machine in flight.
const TOGETHER: usize = 4 * LANES;

/// Largest value, and largest sum of a column: sums of them stay finite.
pub(crate) const LIMIT: f32 = 1e33;

/// Limit a value to [`LIMIT`]; NaN, as from sums that overflow both ways, becomes the lower bound.
#[inline(always)]
pub(crate) fn limited(value: f32) -> f32 {
    // `clamp` returns NaN for NaN.
    let above = if value > -LIMIT { value } else { -LIMIT };
    if above < LIMIT { above } else { LIMIT }
}

/// Vectors as columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panel {
    /// Number of columns, a multiple of [`LANES`].
    columns: usize,
    /// Row by row, [`Self::columns`] values each.
    values: Vec<f32>,
}

impl Panel {
    /// Make a panel of `height` rows of `columns` zeros.
    pub(crate) fn zeros(height: usize, columns: usize) -> Self {
        assert!(columns.is_multiple_of(LANES), "columns of a panel");
        Self { columns, values: vec![0.0; height * columns] }
    }

    /// Make a panel of its values.
    pub(crate) fn of(values: Vec<f32>, columns: usize) -> Self {
        assert!(columns.is_multiple_of(LANES) && values.len().is_multiple_of(columns), "values of a panel");
        Self { columns, values }
    }

    /// Make a panel of vectors, one after the other, `height` values each; columns of zeros follow.
    pub(crate) fn transposed(vectors: &[f32], height: usize) -> Self {
        let columns = (vectors.len() / height).next_multiple_of(LANES);
        let mut values = vec![0.0; height * columns];
        for (row, values) in values.chunks_exact_mut(columns).enumerate() {
            for (value, vector) in values.iter_mut().zip(vectors.chunks_exact(height)) {
                *value = vector[row];
            }
        }
        Self { columns, values }
    }

    /// Number of columns.
    #[inline(always)]
    pub(crate) const fn columns(&self) -> usize {
        self.columns
    }

    /// Number of values in a column.
    #[inline(always)]
    pub(crate) const fn height(&self) -> usize {
        self.values.len() / self.columns
    }

    /// All values, row by row.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Write a column.
    pub(crate) fn set(&mut self, column: usize, values: impl IntoIterator<Item = f32>) {
        for (row, value) in self.values.chunks_exact_mut(self.columns).zip(values) {
            row[column] = value;
        }
    }

    /// Iterate over the values of a column.
    #[inline(always)]
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = f32> + '_ {
        self.values.chunks_exact(self.columns).map(move |row| row[column])
    }

    /// Write the squared distance of each column from a vector.
    #[inline(always)]
    pub(crate) fn squares(&self, vector: &[f32], out: &mut [f32]) {
        self.sums(vector, out, |a, b| (a - b) * (a - b));
    }

    /// Write the inner product of each column with a vector.
    #[inline(always)]
    pub(crate) fn products(&self, vector: &[f32], out: &mut [f32]) {
        self.sums(vector, out, |a, b| a * b);
    }

    #[inline(always)]
    fn sums(&self, vector: &[f32], out: &mut [f32], term: impl Fn(f32, f32) -> f32 + Copy) {
        assert_eq!((vector.len(), out.len()), (self.height(), self.columns), "values of a vector, and sums");
        let (together, rest) = out.as_chunks_mut::<TOGETHER>();
        let done = TOGETHER * together.len();
        for (at, sums) in together.iter_mut().enumerate() {
            self.block(vector, TOGETHER * at, sums, term);
        }
        for (at, sums) in rest.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            self.block(vector, done + LANES * at, sums, term);
        }
    }

    #[inline(always)]
    fn block<const N: usize>(
        &self,
        vector: &[f32],
        first: usize,
        out: &mut [f32; N],
        term: impl Fn(f32, f32) -> f32 + Copy,
    ) {
        let mut sums = [0.0f32; N];
        for (value, row) in vector.iter().zip(self.values.chunks_exact(self.columns)) {
            for (sum, other) in sums.iter_mut().zip(&row[first..first + N]) {
                *sum += term(*value, *other);
            }
        }
        *out = sums;
    }

    /// Return the column nearest to a vector, the first of equal ones, and its squared distance;
    /// `squares` is memory for the distances.
    #[inline(always)]
    pub(crate) fn nearest(&self, vector: &[f32], squares: &mut [f32]) -> (usize, f32) {
        self.squares(vector, squares);
        least(squares)
    }
}

/// Return the place of the least of a multiple of [`LANES`] of values, the first of equal ones, and
/// the value.
#[inline(always)]
pub(crate) fn least(values: &[f32]) -> (usize, f32) {
    let (mut best, mut at) = ([f32::INFINITY; LANES], [0u32; LANES]);
    for (chunk, values) in values.as_chunks::<LANES>().0.iter().enumerate() {
        for ((best, at), value) in best.iter_mut().zip(&mut at).zip(values) {
            let is_less = *value < *best;
            *best = if is_less { *value } else { *best };
            *at = if is_less { chunk as u32 } else { *at };
        }
    }
    let places = at.iter().enumerate().map(|(lane, chunk)| *chunk as usize * LANES + lane);
    let nearer = |a: (usize, f32), b: (usize, f32)| if (b.1, b.0) < (a.1, a.0) { b } else { a };
    places.zip(best).reduce(nearer).unwrap_or_default()
}

/// Writes the inner products of vectors, one after the other, with all columns.
pub(crate) struct Products<'a> {
    pub(crate) panel: &'a Panel,
    pub(crate) vectors: &'a [f32],
}

impl Products<'_> {
    /// Return the products of each vector, one after the other.
    pub(crate) fn all(self, level: Level) -> Vec<f32> {
        level.run(self)
    }
}

impl Loop for Products<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<I: Isa>(self) -> Vec<f32> {
        let Self { panel, vectors } = self;
        let mut out = vec![0.0; vectors.len() / panel.height() * panel.columns()];
        for (vector, out) in vectors.chunks_exact(panel.height()).zip(out.chunks_exact_mut(panel.columns())) {
            panel.products(vector, out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotation::split_mix;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..count).map(|_| split_mix(&mut state) as f32 / u64::MAX as f32 - 0.5).collect()
    }

    struct Squares<'a>(&'a Panel, &'a [f32]);

    impl Loop for Squares<'_> {
        type Output = (Vec<f32>, (usize, f32));

        #[inline(always)]
        fn run<I: Isa>(self) -> Self::Output {
            let mut out = vec![0.0; self.0.columns()];
            let nearest = self.0.nearest(self.1, &mut out);
            (out, nearest)
        }
    }

    #[test]
    fn sums_are_those_of_each_column_under_every_instruction_set() {
        for (height, columns) in [(1, 16), (3, 64), (8, 80), (385, 256)] {
            let (panel, vector) = (Panel::of(numbers(height * columns, 1), columns), numbers(height, 2));
            let by_hand = |term: fn(f32, f32) -> f32| -> Vec<f32> {
                (0..columns)
                    .map(|at| panel.column(at).zip(&vector).fold(0.0, |sum, (c, x)| sum + term(*x, c)))
                    .collect()
            };
            let (products, squares) = (by_hand(|a, b| a * b), by_hand(|a, b| (a - b) * (a - b)));
            let first = (0..columns).min_by(|a, b| squares[*a].total_cmp(&squares[*b])).unwrap_or_default();
            for level in Level::available() {
                let got = Products { panel: &panel, vectors: &vector }.all(level);
                assert_eq!(got, products, "{level:?}, {height} of {columns}");
                let (got, nearest) = level.run(Squares(&panel, &vector));
                assert_eq!((got, nearest), (squares.clone(), (first, squares[first])), "{level:?}");
            }
        }
    }

    #[test]
    fn the_first_of_equal_values_is_the_least() {
        let mut values = vec![2.0; 48];
        assert_eq!(least(&values), (0, 2.0));
        (values[17], values[40], values[34]) = (1.0, 1.0, 1.0);
        assert_eq!(least(&values), (17, 1.0));
        assert_eq!(least(&[f32::INFINITY; 16]), (0, f32::INFINITY));
        assert_eq!(least(&[f32::NAN; 16]), (0, f32::INFINITY));
    }
}
