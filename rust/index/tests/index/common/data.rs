//! Vectors from a seed, row after row.

use tiercel_quant::split_mix;

/// A sequence of random numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Return a number from 0 to below 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (split_mix(&mut self.0) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Return a whole number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (split_mix(&mut self.0) % n as u64) as usize
    }

    /// Return a number from roughly a normal distribution with deviation 1.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    pub(crate) fn normals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal()).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Return vectors around `clusters` centres, like embeddings.
pub(crate) fn clustered(rows: usize, dim: usize, clusters: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let centres = random.normals(clusters * dim);
    let mut vectors = Vec::with_capacity(rows * dim);
    for _ in 0..rows {
        let centre = random.below(clusters) * dim;
        vectors.extend(centres[centre..centre + dim].iter().map(|value| value + 0.5 * random.normal()));
    }
    vectors
}

/// Repeat each row `times` times, one after the other.
pub(crate) fn repeated(vectors: &[f32], dim: usize, times: usize) -> Vec<f32> {
    vectors.chunks_exact(dim).flat_map(|row| row.repeat(times)).collect()
}

/// Return the same rows in random order.
pub(crate) fn shuffled(vectors: &[f32], dim: usize, seed: u64) -> Vec<f32> {
    let mut rows: Vec<&[f32]> = vectors.chunks_exact(dim).collect();
    Random(seed).shuffle(&mut rows);
    rows.concat()
}

/// Return two clusters of deviation 1, ten thousand apart, one completely before the other.
pub(crate) fn far_apart(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut vectors = Random(seed).normals(rows * dim);
    for row in vectors.chunks_exact_mut(dim).skip(rows / 2) {
        row[0] += 1e4;
    }
    vectors
}

/// Return directions around centres, with lengths that differ by a factor of a thousand.
pub(crate) fn of_many_lengths(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut vectors = clustered(rows, dim, 100, seed);
    let mut random = Random(!seed);
    for row in vectors.chunks_exact_mut(dim) {
        let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        let length = 1000f32.powf(random.unit()) / norm;
        for value in row {
            *value *= length;
        }
    }
    vectors
}
