//! The rotation nearest to a square matrix: the orthogonal factor of its polar decomposition, by
//! Newton's iteration with Higham's scaling (1986).

use tiercel_simd::{Isa, Loop};

/// Most steps; they converge quadratically, and a scaled step makes far singular values near at
/// once.
const STEPS: usize = 24;

/// A change of this size, against the size of the matrix, ends the iteration.
const CONVERGED: f64 = 1e-9;

/// Finds the orthogonal matrix nearest to a matrix of `n` rows, unless that is nearly singular.
pub(crate) struct Orthogonal {
    pub(crate) matrix: Vec<f64>,
    pub(crate) n: usize,
}

impl Loop for Orthogonal {
    type Output = Option<Vec<f64>>;

    #[inline(always)]
    fn run<I: Isa>(self) -> Option<Vec<f64>> {
        let Self { matrix: mut x, n } = self;
        for _ in 0..STEPS {
            let mut inverse = x.clone();
            if !invert(&mut inverse, n) {
                return None;
            }
            let scale = (norm(&inverse) / norm(&x)).sqrt();
            if !scale.is_normal() {
                return None;
            }
            let mut change = 0.0;
            for row in 0..n {
                for column in 0..n {
                    // The step takes the transpose of the inverse.
                    let next = 0.5 * (scale * x[row * n + column] + inverse[column * n + row] / scale);
                    change += (next - x[row * n + column]).powi(2);
                    x[row * n + column] = next;
                }
            }
            if change.sqrt() <= CONVERGED * (n as f64).sqrt() {
                return Some(x);
            }
        }
        None
    }
}

#[inline(always)]
fn norm(matrix: &[f64]) -> f64 {
    matrix.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Invert a matrix of `n` rows in its place by Gauss-Jordan elimination with partial pivoting. Return
/// whether it has an inverse.
#[inline(always)]
fn invert(rows: &mut [f64], n: usize) -> bool {
    let mut swaps = Vec::with_capacity(n);
    for at in 0..n {
        let mut pivot = at;
        for row in at + 1..n {
            if rows[row * n + at].abs() > rows[pivot * n + at].abs() {
                pivot = row;
            }
        }
        if !rows[pivot * n + at].is_normal() {
            return false;
        }
        swaps.push(pivot);
        if pivot != at {
            let (above, below) = rows.split_at_mut(pivot * n);
            above[at * n..][..n].swap_with_slice(&mut below[..n]);
        }
        let mut row = rows[at * n..][..n].to_vec();
        let inverse = 1.0 / row[at];
        row[at] = 1.0;
        for value in &mut row {
            *value *= inverse;
        }
        for (other, values) in rows.chunks_exact_mut(n).enumerate() {
            if other == at {
                values.copy_from_slice(&row);
                continue;
            }
            let factor = std::mem::take(&mut values[at]);
            for (value, pivot) in values.iter_mut().zip(&row) {
                *value -= factor * pivot;
            }
        }
    }
    // Rows that were swapped on the way in are columns to swap on the way out.
    for (at, pivot) in swaps.into_iter().enumerate().rev() {
        for row in rows.chunks_exact_mut(n) {
            row.swap(at, pivot);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use tiercel_simd::Level;

    use super::*;
    use crate::rotation::{Rotation, split_mix};

    fn orthogonal(matrix: &[f64], n: usize) -> Option<Vec<f64>> {
        let found = Level::available().map(|level| level.run(Orthogonal { matrix: matrix.to_vec(), n }));
        let found: Vec<_> = found.collect();
        assert!(found.iter().all(|same| *same == found[0]), "the same under every instruction set");
        found[0].clone()
    }

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        (0..count).map(|_| split_mix(&mut state) as f64 / u64::MAX as f64 - 0.5).collect()
    }

    fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
        let entry = |at: usize| (0..n).map(|k| a[at / n * n + k] * b[k * n + at % n]).sum();
        (0..n * n).map(entry).collect()
    }

    fn transposed(a: &[f64], n: usize) -> Vec<f64> {
        (0..n * n).map(|at| a[at % n * n + at / n]).collect()
    }

    fn apart(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    fn unit(n: usize) -> Vec<f64> {
        (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect()
    }

    #[test]
    fn the_factors_are_a_rotation_and_a_symmetric_matrix() {
        for n in [1, 2, 3, 17, 40] {
            let matrix = numbers(n * n, n as u64);
            let rotation = orthogonal(&matrix, n).expect("a matrix far from singular");
            assert!(apart(&product(&rotation, &transposed(&rotation, n), n), &unit(n)) < 1e-9, "{n}");
            let symmetric = product(&transposed(&rotation, n), &matrix, n);
            assert!(apart(&symmetric, &transposed(&symmetric, n)) < 1e-9, "{n}");
            assert!((0..n).map(|at| symmetric[at * n + at]).sum::<f64>() > 0.0, "{n}");
        }
    }

    #[test]
    fn a_stretched_rotation_is_found_again() {
        let n = 24;
        let rotation = Rotation::new(n, 3);
        let mut rows = Vec::new();
        for at in 0..n {
            let mut row = vec![0.0; n];
            row[at] = 1.0;
            rotation.apply(&mut row);
            rows.extend(row.into_iter().map(f64::from));
        }
        // Columns a million times apart.
        let stretch: Vec<f64> = unit(n).iter().enumerate().map(|(at, one)| one * 10f64.powi(at as i32 % 7)).collect();
        let found = orthogonal(&product(&rows, &product(&stretch, &unit(n), n), n), n).expect("a rotation");
        assert!(apart(&found, &rows) < 1e-6);
    }

    #[test]
    fn a_singular_matrix_has_none() {
        assert_eq!(orthogonal(&[0.0; 9], 3), None);
        assert_eq!(orthogonal(&[1.0, 1.0, 1.0, 1.0], 2), None);
        assert_eq!(orthogonal(&[f64::NAN, 0.0, 0.0, 1.0], 2), None);
        assert_eq!(orthogonal(&[f64::INFINITY, 0.0, 0.0, 1.0], 2), None);
    }
}
