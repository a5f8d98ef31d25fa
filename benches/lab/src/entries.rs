//! Where walks start: from what a descent saw, or from fixed nodes.

use core::arch::x86_64::{__m128i, _mm_storeu_si128};

use crate::flat::{Flat, Lines, NONE};
use crate::hop::prefetch_codes;
use crate::kernels::{Product, Query};
use crate::pool::{Pool, candidate};

/// Vectors that the medoids are found among.
const SAMPLE: usize = 16_384;

/// Steps of k-means.
const STEPS: usize = 5;

/// Fixed nodes, and their codes one after the other.
pub struct Entries {
    nodes: Vec<u32>,
    codes: Lines,
}

impl Entries {
    /// The medoids of `count` clusters.
    pub fn medoids(flat: &Flat, count: usize) -> Self {
        assert!(count.is_multiple_of(4), "four are compared at once");
        let sample: Vec<u32> = spread(flat.len, SAMPLE.min(flat.len)).collect();
        let rows: Vec<Vec<f32>> = sample.iter().map(|node| flat.values(*node)).collect();
        let mut centers: Vec<Vec<f32>> = spread(rows.len(), count).map(|row| rows[row as usize].clone()).collect();
        for _ in 0..STEPS {
            centers = moved(&rows, &centers);
        }
        let mut nodes: Vec<u32> = centers.iter().map(|center| sample[nearest(&rows, center)]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        // Clusters with one medoid leave room for others.
        nodes.extend(spread(flat.len, 2 * count));
        let mut seen = std::collections::HashSet::new();
        nodes.retain(|node| seen.insert(*node));
        nodes.truncate(count);
        let codes: Vec<u8> = nodes.iter().flat_map(|node| flat.code_bytes(*node).iter().copied()).collect();
        Self { nodes, codes: Lines::of(&codes) }
    }

    /// Put the nearest into a pool.
    ///
    /// # Safety
    ///
    /// The machine has AVX-512 with VNNI; the codes of the query and of the graph have 128 values for
    /// each block.
    #[inline(always)]
    pub unsafe fn nearest<const BLOCKS: usize>(&self, flat: &Flat, query: &Query<BLOCKS>, pool: &mut Pool) {
        let row = |at: usize| self.codes.as_ptr().wrapping_add(at * flat.stride);
        for (at, nodes) in self.nodes.chunks_exact(4).enumerate() {
            let at = 4 * at;
            let mut products = [0_i32; 4];
            // SAFETY: as the caller promises.
            unsafe {
                let four: __m128i = query.four([row(at), row(at + 1), row(at + 2), row(at + 3)]);
                _mm_storeu_si128(products.as_mut_ptr().cast(), four);
            }
            for (node, product) in nodes.iter().zip(products) {
                if -product < pool.bound() {
                    pool.insert(candidate(-product, *node));
                }
            }
        }
    }
}

/// `count` of `len` numbers, evenly spaced.
fn spread(len: usize, count: usize) -> impl Iterator<Item = u32> {
    (0..count).map(move |at| (at * len / count) as u32)
}

/// Centers moved to the mean of the rows that are nearest to them.
fn moved(rows: &[Vec<f32>], centers: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut sums = vec![vec![0.0; rows[0].len()]; centers.len()];
    let mut counts = vec![0.0_f32; centers.len()];
    for row in rows {
        let own = nearest(centers, row);
        counts[own] += 1.0;
        sums[own].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    for ((sum, count), center) in sums.iter_mut().zip(&counts).zip(centers) {
        if *count > 0.0 {
            sum.iter_mut().for_each(|value| *value /= count);
        } else {
            sum.copy_from_slice(center);
        }
    }
    sums
}

/// Which row is nearest to a point.
fn nearest(rows: &[Vec<f32>], point: &[f32]) -> usize {
    let distances = rows.iter().map(|row| distance(row, point)).enumerate();
    distances.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(at, _)| at)
}

/// The square of a distance, in sixteen sums that the compiler keeps in registers.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum()
}

/// Descend through plain arrays, and put the nearest nodes that the last level above 0 saw into a
/// pool.
///
/// # Safety
///
/// As for [`Entries::nearest`].
#[inline(always)]
pub unsafe fn descend<const BLOCKS: usize>(flat: &Flat, query: &Query<BLOCKS>, pool: &mut Pool) {
    let Some(top) = flat.upper.last() else {
        // SAFETY: as the caller promises.
        pool.insert(candidate(-unsafe { query.one(flat.codes(flat.entry)) }, flat.entry));
        return;
    };
    let mut node = flat.entry as usize;
    // SAFETY: as the caller promises.
    let mut key = -unsafe { query.one(flat.codes(top.slots[node])) };
    for (level, layer) in flat.upper.iter().enumerate().rev() {
        if level == 0 {
            pool.insert(candidate(key, layer.slots[node]));
        }
        loop {
            let before = node;
            let row = &layer.links[before * layer.degree..][..layer.degree];
            for &other in row.iter().take_while(|other| **other != NONE) {
                prefetch_codes::<BLOCKS>(flat, layer.slots[other as usize]);
            }
            for &other in row.iter().take_while(|other| **other != NONE) {
                let slot = layer.slots[other as usize];
                // SAFETY: as the caller promises.
                let other_key = -unsafe { query.one(flat.codes(slot)) };
                if other_key < key {
                    (node, key) = (other as usize, other_key);
                }
                // A node may be met from several others.
                let seen = candidate(other_key, slot);
                if level == 0 && other_key < pool.bound() && !pool.entries().contains(&seen) {
                    pool.insert(seen);
                }
            }
            if node == before {
                break;
            }
        }
        node = layer.below[node] as usize;
    }
}
