//! The rotation under which product quantization has the least error.
//!
//! Books and rotation are fitted to each other in turn (Ge, He, Ke and Sun 2013). With codes held,
//! the rotation *R* that brings vectors *x* nearest to what their codes stand for, *y*, is the one
//! nearest to the sum of all *y xᵀ* (the orthogonal Procrustes problem, Schönemann 1966).

use crate::codec::Training;
use crate::kmeans::KMeans;
use crate::panel::{LANES, Panel, Products, limited};
use crate::polar::Orthogonal;
use crate::product;
use crate::rotation::Rotation;
use crate::shape::AdditiveShape;

/// Times that books and rotation are fitted to each other.
const TURNS: usize = 12;

/// Most times that points and centroids are, before the first turn and before each of the others.
const FIRST_ROUNDS: usize = 8;
const ROUNDS: usize = 2;

/// Vectors that a thread takes at a time.
const CHUNK: usize = 256;

/// Share of the last rotation in the next, against the mean of what the vectors say, for directions
/// in which they say nothing.
const INERTIA: f64 = 1e-3;

/// Fit a rotation to a sample.
pub(crate) fn fit(shape: AdditiveShape, training: &Training<'_>) -> Panel {
    let dim = training.rotation.dim();
    let mut turn = of(&training.rotation);
    let mut means = KMeans { level: training.level, crew: training.crew, rounds: FIRST_ROUNDS };
    let mut books: Option<Vec<Panel>> = None;
    for _ in 0..TURNS {
        let rotated = rotate(&turn, training.sample, training);
        let panels = product::fit(shape, dim, &rotated, means, books.as_deref());
        let Some(next) = next(shape, &turn, &panels, &rotated, training) else { break };
        (turn, books, means.rounds) = (next, Some(panels), ROUNDS);
    }
    turn
}

/// Return a rotation as a panel.
fn of(rotation: &Rotation) -> Panel {
    let dim = rotation.dim();
    let columns = dim.next_multiple_of(LANES);
    let mut values = vec![0.0; dim * columns];
    for (at, row) in values.chunks_exact_mut(columns).enumerate() {
        row[at] = 1.0;
        rotation.apply(&mut row[..dim]);
    }
    Panel::of(values, columns)
}

/// Return rotated vectors, one after the other.
pub(crate) fn rotate(turn: &Panel, vectors: &[f32], training: &Training<'_>) -> Vec<f32> {
    let chunks: Vec<&[f32]> = vectors.chunks(CHUNK * turn.height()).collect();
    let rotated = training.crew.map(chunks.len(), |at| {
        let products = Products { panel: turn, vectors: chunks[at] }.all(training.level);
        let rows = products.chunks_exact(turn.columns());
        rows.flat_map(|row| row[..turn.height()].iter().map(|value| limited(*value))).collect::<Vec<f32>>()
    });
    rotated.concat()
}

/// Return the rotation that brings the sample nearest to what its codes stand for.
fn next(
    shape: AdditiveShape,
    turn: &Panel,
    panels: &[Panel],
    rotated: &[f32],
    training: &Training<'_>,
) -> Option<Panel> {
    let dim = turn.height();
    let means = KMeans { level: training.level, crew: &crate::crew::Alone, rounds: 0 };
    let parts = training.crew.map(shape.parts(), |at| {
        let (points, width) = product::points(shape, dim, at, rotated);
        let panel = &panels[at];
        // The sum of the vectors of each centroid.
        let mut sums = vec![0.0f32; panel.columns() * dim];
        for ((column, _), vector) in means.assign(&points, panel).iter().zip(training.sample.chunks_exact(dim)) {
            for (sum, value) in sums[*column as usize * dim..][..dim].iter_mut().zip(vector) {
                *sum += value;
            }
        }
        let mut rows = vec![0.0f64; width * dim];
        for (row, values) in rows.chunks_exact_mut(dim).zip(panel.values().chunks_exact(panel.columns())) {
            for (value, sums) in values.iter().zip(sums.chunks_exact(dim)) {
                for (entry, sum) in row.iter_mut().zip(sums) {
                    *entry += f64::from(*value) * f64::from(*sum);
                }
            }
        }
        rows
    });
    let mut matrix = parts.concat();
    if matrix.len() != dim * dim {
        return None;
    }
    let size = (matrix.iter().map(|value| value * value).sum::<f64>() / dim as f64).sqrt();
    for (at, row) in matrix.chunks_exact_mut(dim).enumerate() {
        for (entry, value) in row.iter_mut().zip(turn.column(at)) {
            *entry += INERTIA * size * f64::from(value);
        }
    }
    let rotation = training.level.run(Orthogonal { matrix, n: dim })?;
    let mut next = Panel::zeros(dim, turn.columns());
    for (at, row) in rotation.chunks_exact(dim).enumerate() {
        next.set(at, row.iter().map(|value| *value as f32));
    }
    Some(next)
}
