//! What a vector must be to be added or searched for.

use half::f16;
use parking_lot::Mutex;

use crate::errors::{Interrupted, RowError};
use crate::options::{Dtype, Metric, Options};
use crate::work::Work;

/// Rows checked before a thread checks whether to stop.
const CHECKED: usize = 256;

/// Whether a vector of this norm can be scaled to unit length in single precision.
pub(crate) fn has_direction(norm: f64) -> bool {
    (norm as f32).is_finite() && ((1.0 / norm) as f32).is_finite()
}

/// Return the norm of a vector, in double precision. It sums in lanes of a fixed order: fast, and
/// the same on every machine.
pub(crate) fn norm(row: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    for values in row.chunks(lanes.len()) {
        for (lane, value) in lanes.iter_mut().zip(values) {
            *lane += f64::from(*value) * f64::from(*value);
        }
    }
    lanes.iter().sum::<f64>().sqrt()
}

/// Check vectors, `dim` values each, as [`crate::Index::add`] does first; `argument` is their name
/// in the error.
pub fn check_vectors(argument: &'static str, vectors: &[f32], options: &Options) -> Result<(), RowError> {
    check_whole(argument, vectors, options.dim)?;
    check_rows(argument, vectors, 0, options, options.narrowest())
}

fn check_whole(argument: &'static str, vectors: &[f32], dim: usize) -> Result<(), RowError> {
    let values = vectors.len();
    if values.is_multiple_of(dim) { Ok(()) } else { Err(RowError::Ragged { argument, dim, values }) }
}

/// Check rows before use: they must be whole, finite, within the range of the type they are kept
/// in, and have a direction under cosine.
pub(crate) fn check(
    argument: &'static str,
    vectors: &[f32],
    options: &Options,
    kept: Dtype,
    work: &Work<'_>,
) -> Result<Result<(), RowError>, Interrupted> {
    if let Err(error) = check_whole(argument, vectors, options.dim) {
        return Ok(Err(error));
    }
    let rows = vectors.len() / options.dim;
    let first_wrong: Mutex<Option<(usize, RowError)>> = Mutex::new(None);
    work.each_range(
        rows,
        CHECKED,
        || (),
        |(), range| {
            let some = &vectors[range.start * options.dim..range.end * options.dim];
            if let Err(error) = check_rows(argument, some, range.start, options, kept) {
                let mut first = first_wrong.lock();
                if first.is_none_or(|(start, _)| range.start < start) {
                    *first = Some((range.start, error));
                }
            }
        },
    )?;
    Ok(first_wrong.into_inner().map_or(Ok(()), |(_, error)| Err(error)))
}

/// Check the rows from row `first` on.
pub(crate) fn check_rows(
    argument: &'static str,
    vectors: &[f32],
    first: usize,
    options: &Options,
    kept: Dtype,
) -> Result<(), RowError> {
    for (row, vector) in vectors.chunks_exact(options.dim).enumerate() {
        let row = first + row;
        // The usual case takes one branch per row.
        let overflows = |value: &f32| kept == Dtype::F16 && f16::from_f32(*value).is_infinite();
        let suspect = vector.iter().fold(false, |wrong, value| wrong | !value.is_finite())
            || (kept == Dtype::F16 && vector.iter().any(overflows));
        if suspect && let Some(column) = vector.iter().position(|value| !value.is_finite() || overflows(value)) {
            let value = vector[column];
            return Err(if value.is_finite() {
                RowError::Overflow { argument, row, column, value }
            } else {
                RowError::NotFinite { argument, row, column, value }
            });
        }
        if options.metric == Metric::Cosine {
            let kept_norm = match kept {
                Dtype::F32 => norm(vector),
                Dtype::F16 => norm(&vector.iter().map(|value| f16::from_f32(*value).to_f32()).collect::<Vec<_>>()),
            };
            if !has_direction(kept_norm) {
                return Err(RowError::NoDirection { argument, row, norm: kept_norm as f32 });
            }
        }
    }
    Ok(())
}

/// Copy a query as the metric compares it: scaled to unit length under cosine.
pub(crate) fn direction(query: &[f32], metric: Metric, out: &mut Vec<f32>) {
    out.clear();
    out.extend_from_slice(query);
    if metric == Metric::Cosine {
        let inverse = 1.0 / norm(query);
        for value in out {
            *value = (f64::from(*value) * inverse) as f32;
        }
    }
}
