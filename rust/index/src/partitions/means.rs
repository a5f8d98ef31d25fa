//! k-means on vectors in bytes.
//!
//! Seeds are vectors drawn at random. Then vectors and centroids are fitted to each other in turn
//! (Lloyd 1982). The result is the same for any number of threads and under every instruction set.

use tiercel_quant::split_mix;
use tiercel_simd::Level;

use super::assign::{TOGETHER, nearest_of};
use super::centroids::Centroids;
use super::members;
use crate::errors::Interrupted;
use crate::options::Metric;
use crate::storage::coarse::Block;
use crate::work::Work;

/// Most times that vectors and centroids are fitted to each other.
const ROUNDS: usize = 8;

/// The seed of the random numbers.
const SEED: u64 = 0x006c_6973_7473;

/// Centroids that a thread moves at a time.
const CHUNK: usize = 8;

/// Vectors to fit centroids to, and how.
pub(super) struct Means<'a> {
    /// [`TOGETHER`] rows in each but the last.
    pub(super) blocks: &'a [Block],
    pub(super) dim: usize,
    /// Under cosine, centroids have unit length.
    pub(super) metric: Metric,
    pub(super) level: Level,
    pub(super) work: &'a Work<'a>,
}

impl Means<'_> {
    /// Return `count` centroids, at most as many as there are vectors.
    pub(super) fn fit(&self, count: usize) -> Result<Centroids, Interrupted> {
        let mut centroids = self.seeds(count);
        let mut last = Vec::new();
        for _ in 0..ROUNDS {
            let lists = nearest_of(self.blocks, &centroids, self.level, self.work)?;
            if lists == last {
                break;
            }
            centroids = self.center(&centroids, &lists)?;
            last = lists;
        }
        Ok(centroids)
    }

    fn seeds(&self, count: usize) -> Centroids {
        let mut state = SEED;
        let mut vectors: Vec<u32> = (0..self.blocks.iter().map(Block::len).sum::<usize>() as u32).collect();
        let mut values = vec![0.0; count * self.dim];
        let mut sums = vec![0.0; self.dim];
        for (at, out) in values.chunks_exact_mut(self.dim).enumerate() {
            let drawn = at + (split_mix(&mut state) % (vectors.len() - at) as u64) as usize;
            vectors.swap(at, drawn);
            self.mean(&vectors[at..=at], &mut sums, out);
        }
        Centroids::new(values, self.dim, self.metric)
    }

    /// Move each centroid to the mean of its vectors. Those without vectors move to one in the middle
    /// of the largest lists, a list each.
    fn center(&self, centroids: &Centroids, lists: &[u32]) -> Result<Centroids, Interrupted> {
        let mut members = members(lists, centroids.len());
        let mut large: Vec<usize> = (0..members.len()).filter(|list| members[*list].len() > 1).collect();
        large.sort_by_key(|list| std::cmp::Reverse(members[*list].len()));
        let empty: Vec<usize> = (0..members.len()).filter(|list| members[*list].is_empty()).collect();
        for (empty, large) in empty.into_iter().zip(large) {
            let middle = members[large].len() / 2;
            members[empty] = vec![members[large][middle]];
        }
        let mut values = centroids.values().to_vec();
        self.work.fill(
            &mut values,
            self.dim,
            CHUNK,
            || vec![0.0; self.dim],
            |sums, list, out| {
                self.mean(&members[list], sums, out);
            },
        )?;
        Ok(Centroids::new(values, self.dim, self.metric))
    }

    /// Write the mean of vectors, if there are any; `sums` is memory for it.
    fn mean(&self, vectors: &[u32], sums: &mut [f64], out: &mut [f32]) {
        if vectors.is_empty() {
            return;
        }
        sums.fill(0.0);
        for vector in vectors {
            let (block, row) = (*vector as usize / TOGETHER, *vector as usize % TOGETHER);
            let (codes, rounded) = self.blocks[block].row(row);
            for (sum, code) in sums.iter_mut().zip(codes) {
                *sum += f64::from(rounded.scale) * f64::from(*code);
            }
        }
        let norm = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
        let length = if self.metric == Metric::Cosine && norm > 0.0 { norm } else { vectors.len() as f64 };
        for (out, sum) in out.iter_mut().zip(&*sums) {
            // Rounding may lead a little beyond the largest number.
            *out = (sum / length).clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        }
    }
}
