//! Exact scans: every row compared in full precision, in blocks of queries and rows.
//!
//! ```text
//!             16 KiB of rows (from memory once a block of queries)
//!           +----+----+-- --+----+
//! 126       |6x4 |    |     |    |   a tile of 6 queries and 4 rows keeps its sums in registers and reads each value
//! queries   +----+----+-- --+----+   of a row once for 3 or 6 queries, and each of a query once for 4 rows
//! (cached)  |    |    |     |    |
//!           +----+----+-- --+----+
//! ```
//!
//! The same code answers exact searches and range searches, and computes the ground truth that recall is measured against.

use std::array;

use tiercel_simd::{Isa, Loop};

use crate::best::Best;
use crate::bitset::Bitset;
use crate::errors::Interrupted;
use crate::options::Metric;
use crate::rows::Rows;
use crate::space::order;
use crate::work::Work;

/// Queries of a block: whole tiles.
pub(crate) const QUERIES: usize = 42 * HIGH;

/// Bytes of the rows of a block: with the queries of a tile they stay in the first-level cache.
const BLOCK: usize = 20 << 10;

/// Rows that are compared between two looks at whether to stop.
const UNCHECKED: usize = 64;

/// Queries of a tile.
const HIGH: usize = 6;

/// Rows of a tile.
const WIDE: usize = 4;

/// Takes distances as a scan computes them.
pub(crate) trait Sink {
    /// Distances above this one are not wanted.
    fn bound(&self, query: usize) -> f32;

    /// Take a distance that is at most the bound.
    fn take(&mut self, query: usize, slot: u32, distance: f32);
}

/// Compare queries (directions, `dim` values each) with all rows, or with the allowed ones.
pub(crate) struct Scan<'a, K> {
    pub(crate) rows: &'a Rows,
    pub(crate) queries: &'a [f32],
    pub(crate) allowed: Option<&'a Bitset>,
    pub(crate) sink: &'a mut K,
    pub(crate) work: &'a Work<'a>,
}

impl<K: Sink> Loop for Scan<'_, K> {
    type Output = Result<(), Interrupted>;

    #[inline(always)]
    fn run<I: Isa>(mut self) -> Self::Output {
        let sparse = self.allowed.is_some_and(|allowed| allowed.count() * 4 < allowed.len());
        if sparse || self.queries.len() == self.rows.dim() { self.each_row::<I>() } else { self.each_tile::<I>() }
    }
}

impl<K: Sink> Scan<'_, K> {
    /// Row by row: for one query, or few rows here and there.
    #[inline(always)]
    fn each_row<I: Isa>(&mut self) -> Result<(), Interrupted> {
        match self.allowed {
            Some(allowed) => {
                for slot in allowed.iter() {
                    self.each_query::<I>(slot)?;
                }
            }
            None => {
                for slot in 0..self.rows.len() {
                    self.each_query::<I>(slot)?;
                }
            }
        }
        Ok(())
    }

    /// Compare all queries with one row.
    #[inline(always)]
    fn each_query<I: Isa>(&mut self, slot: usize) -> Result<(), Interrupted> {
        for (q, query) in self.queries.chunks_exact(self.rows.dim()).enumerate() {
            // SAFETY: `Level::run` checked the instruction set.
            let distance = unsafe { self.rows.distance::<I>(query, slot) };
            if distance <= self.sink.bound(q) {
                self.sink.take(q, slot as u32, distance);
            }
        }
        if slot.is_multiple_of(UNCHECKED) { self.work.check() } else { Ok(()) }
    }

    /// Block by block.
    #[inline(always)]
    fn each_tile<I: Isa>(&mut self) -> Result<(), Interrupted> {
        let dim = self.rows.dim();
        let rows = self.rows;
        let mut scratch = Vec::new();
        let count = self.queries.len() / dim;
        // What a query's distances must reach, so that nearly all tiles are done with one comparison a query.
        let mut least: Vec<f32> = (0..count).map(|q| rows.least_closeness(self.sink.bound(q))).collect();
        let together = (BLOCK / (WIDE * size_of::<f32>() * dim)).max(1) * WIDE;
        for first in (0..rows.len()).step_by(together) {
            self.work.check()?;
            let last = rows.len().min(first + together);
            let block = rows.block(first, last, &mut scratch);
            for q in (0..count).step_by(HIGH) {
                for r in (0..last - first).step_by(WIDE) {
                    // A tile that is not full repeats its last query or row.
                    let row: [usize; WIDE] = array::from_fn(|i| (r + i).min(last - first - 1));
                    let query: [usize; HIGH] = array::from_fn(|i| (q + i).min(count - 1));
                    let row_values = row.map(|row| block[row * dim..(row + 1) * dim].as_ptr());
                    let query_values = query.map(|query| self.queries[query * dim..(query + 1) * dim].as_ptr());
                    // SAFETY: every pointer is to `dim` values; `Level::run` checked the instruction set.
                    let sums = unsafe {
                        if rows.metric() == Metric::L2 {
                            I::tile_f32::<true>(query_values, row_values, dim)
                        } else {
                            I::tile_f32::<false>(query_values, row_values, dim)
                        }
                    };
                    let scale: [f32; WIDE] = array::from_fn(|i| rows.scale(first + row[i]));
                    let whole = (count - q).min(HIGH);
                    for (sums, q) in sums.iter().zip(q..q + whole) {
                        // NaN is not less, so it is looked at.
                        if !(0..WIDE).all(|i| sums[i] * scale[i] < least[q]) {
                            self.offer(q, first + r, (last - first - r).min(WIDE), sums);
                            least[q] = rows.least_closeness(self.sink.bound(q));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Hand the distances of a query to a tile's rows on.
    #[cold]
    fn offer(&mut self, query: usize, first: usize, whole: usize, sums: &[f32; WIDE]) {
        for (slot, sum) in (first..first + whole).zip(sums) {
            let distance = self.rows.finish(*sum, slot);
            if self.allowed.is_none_or(|allowed| allowed.contains(slot)) && distance <= self.sink.bound(query) {
                self.sink.take(query, slot as u32, distance);
            }
        }
    }
}

/// The nearest of each query.
pub(crate) struct Nearest<'a>(pub(crate) &'a mut [Best]);

impl Sink for Nearest<'_> {
    #[inline(always)]
    fn bound(&self, query: usize) -> f32 {
        crate::space::unorder(self.0[query].bound())
    }

    #[inline(always)]
    fn take(&mut self, query: usize, slot: u32, distance: f32) {
        self.0[query].offer(order(distance), slot);
    }
}

/// Everything within a distance of each query.
pub(crate) struct Within {
    pub(crate) radius: f32,
    pub(crate) found: Vec<Vec<(f32, u32)>>,
}

impl Sink for Within {
    #[inline(always)]
    fn bound(&self, _: usize) -> f32 {
        self.radius
    }

    #[inline(always)]
    fn take(&mut self, query: usize, slot: u32, distance: f32) {
        self.found[query].push((distance, slot));
    }
}
