//! The mean of a rotated sample, which codecs subtract from every vector, and its section in a file.

use crate::codec::ParametersError;
use crate::rotation::Rotation;

/// Rotate the vectors of a sample.
pub(crate) fn rotated(rotation: &Rotation, sample: &[f32]) -> Vec<f32> {
    let mut rotated = sample.to_vec();
    for row in rotated.chunks_exact_mut(rotation.dim()) {
        rotation.apply(row);
    }
    rotated
}

/// Return the mean of rows of `dim` values; zeros without rows.
pub(crate) fn mean(rows: &[f32], dim: usize) -> Vec<f32> {
    let count = (rows.len() / dim).max(1) as f64;
    let mut sums = vec![0.0f64; dim];
    for row in rows.chunks_exact(dim) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    // A rotation of values near the largest overflows.
    let finite = |mean: f32| if mean.is_finite() { mean } else { 0.0 };
    sums.iter().map(|sum| finite((sum / count) as f32)).collect()
}

/// Read a mean from the section of a codec.
pub(crate) fn from_section(section: &[u8]) -> Result<Vec<f32>, ParametersError> {
    let mean: Vec<f32> = section.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    match mean.iter().position(|value| !value.is_finite()) {
        Some(column) => Err(ParametersError::Value { value: mean[column], column }),
        None => Ok(mean),
    }
}
