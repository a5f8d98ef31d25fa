//! The centroids of the lists, in full precision and in bytes.
//!
//! Only the bytes are compared: a search reads a quarter of the memory, and integers are the same
//! under every instruction set, so that the lists are, too.

use tiercel_simd::Isa;

use crate::options::Metric;
use crate::storage::candidate::candidate;
use crate::storage::coarse::round;
use crate::storage::space::order;

/// What makes a signed code an unsigned one.
const MIDDLE: i16 = 128;

/// The centroids of lists.
#[derive(Clone)]
pub(crate) struct Centroids {
    dim: usize,
    metric: Metric,
    /// `dim` values each.
    values: Vec<f32>,
    /// The same in bytes: `scales` times the codes less [`MIDDLE`].
    codes: Vec<u8>,
    scales: Vec<f32>,
    /// Half the squared norm of each.
    halves: Vec<f32>,
}

impl Centroids {
    /// Make centroids of their values, `dim` each.
    pub(crate) fn new(values: Vec<f32>, dim: usize, metric: Metric) -> Self {
        let count = values.len() / dim;
        let (mut codes, mut scales) = (Vec::with_capacity(values.len()), Vec::with_capacity(count));
        let mut signed = vec![0; dim];
        for centroid in values.chunks_exact(dim) {
            scales.push(round(centroid, &mut signed).scale);
            codes.extend(signed.iter().map(|code| (i16::from(*code) + MIDDLE) as u8));
        }
        let half = |centroid: &[f32]| centroid.iter().map(|value| value * value).sum::<f32>() / 2.0;
        let halves = values.chunks_exact(dim).map(half).collect();
        Self { dim, metric, values, codes, scales, halves }
    }

    /// Number of centroids.
    pub(crate) const fn len(&self) -> usize {
        self.scales.len()
    }

    pub(crate) const fn dim(&self) -> usize {
        self.dim
    }

    /// The values of all, one centroid after the other.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Return the values of one.
    pub(super) fn of(&self, list: usize) -> &[f32] {
        &self.values[list * self.dim..][..self.dim]
    }

    /// The scale of each centroid's codes, and half its squared norm.
    pub(super) fn scales_and_halves(&self) -> (&[f32], &[f32]) {
        (&self.scales, &self.halves)
    }

    /// Memory taken, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        let floats = self.values.capacity() + self.scales.capacity() + self.halves.capacity();
        floats * size_of::<f32>() + self.codes.capacity()
    }

    /// Bytes that a search reads to compare a query with all centroids.
    pub(crate) const fn code_bytes(&self) -> u64 {
        self.codes.len() as u64
    }

    /// Return the sum of the products of a centroid's unsigned codes with other codes.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set.
    #[inline(always)]
    pub(super) unsafe fn sum<I: Isa>(&self, list: usize, codes: &[i8]) -> i32 {
        let own = &self.codes[list * self.dim..][..self.dim];
        assert!(codes.len() >= self.dim, "a code for each value");
        // SAFETY: both have `dim` codes; the caller promises the instruction set.
        unsafe { I::dot_u8i8(own.as_ptr(), codes.as_ptr(), self.dim) }
    }

    /// Write a candidate for each list: the number of the list, with a smaller key for a centroid
    /// that is nearer to a query. `signed` is memory for the codes of the query.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn compare<I: Isa>(&self, query: &[f32], signed: &mut Vec<i8>, out: &mut Vec<u64>) {
        signed.resize(self.dim, 0);
        let rounded = round(query, signed);
        out.clear();
        for list in 0..self.len() {
            // SAFETY: the caller promises the instruction set.
            let sum = unsafe { self.sum::<I>(list, signed) };
            // Under the inner product, long centroids are near.
            let half = if self.metric == Metric::L2 { self.halves[list] } else { 0.0 };
            let height = height(half, self.scales[list], rounded.scale, sum, rounded.sum);
            let key = order(if height.is_nan() { f32::INFINITY } else { height });
            out.push(candidate(key, list as u32));
        }
    }
}

/// Return half the squared distance of a vector to a centroid, less what is the same for all
/// centroids: half the squared norm of the centroid, less their product.
#[inline(always)]
pub(super) fn height(half: f32, centroid_scale: f32, scale: f32, sum: i32, sum_of_codes: i32) -> f32 {
    half - centroid_scale * (scale * (sum - i32::from(MIDDLE) * sum_of_codes) as f32)
}
