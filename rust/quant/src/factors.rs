//! Floats that a codec keeps beside the codes of a row.
//!
//! They are at the end of the row, little-endian, on the cache lines that a comparison reads
//! anyway.

/// Return the bytes of a row with `codes` bytes of codes and `count` factors.
pub const fn row_bytes(codes: usize, count: usize) -> usize {
    codes + count * size_of::<f32>()
}

/// Split a row into its codes and its factors.
///
/// # Panics
///
/// If the row is too short for its factors.
#[inline(always)]
pub fn split<const COUNT: usize>(row: &[u8]) -> (&[u8], [f32; COUNT]) {
    let (codes, bytes) = row.split_at(row.len() - row_bytes(0, COUNT));
    let (floats, _) = bytes.as_chunks();
    let mut factors = [0.0; COUNT];
    for (factor, bytes) in factors.iter_mut().zip(floats) {
        *factor = f32::from_le_bytes(*bytes);
    }
    (codes, factors)
}

/// Write the factors of a row, and return the codes before them.
///
/// # Panics
///
/// If the row is too short for its factors.
#[inline(always)]
pub fn put<const COUNT: usize>(row: &mut [u8], factors: [f32; COUNT]) -> &mut [u8] {
    let (codes, bytes) = row.split_at_mut(row.len() - row_bytes(0, COUNT));
    for (bytes, factor) in bytes.as_chunks_mut().0.iter_mut().zip(factors) {
        *bytes = factor.to_le_bytes();
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_follow_the_codes() {
        let mut row = vec![0; row_bytes(3, 2)];
        put(&mut row, [1.0, -0.5]).copy_from_slice(&[7, 8, 9]);
        assert_eq!(row, [&[7, 8, 9][..], &1.0f32.to_le_bytes(), &(-0.5f32).to_le_bytes()].concat());
        assert_eq!(split(&row), (&[7, 8, 9][..], [1.0, -0.5]));
        assert_eq!(split::<0>(&row), (&row[..], []));
    }
}
