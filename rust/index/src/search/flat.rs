//! Exact scans: every row compared in full precision, in blocks of queries and rows, or excluded by
//! bounds from products of bytes ([`coarse`](crate::storage::coarse)).
//!
//! ```text
//!            256 queries, value by value, 8 to 32 at a time: a panel
//!            +--------+--------+--------+-- --+
//! rows, once | 6 x 16 |        |        |     |   a tile keeps the sums of its rows with the queries of a panel in
//! from       +--------+--------+--------+-- --+   registers, and reads each value of a row once for all of the panel
//! memory     |        |        |        |     |
//!            +--------+--------+--------+-- --+
//! ```
//!
//! The same code answers exact searches and range searches, and computes the ground truth that
//! recall is measured against.

use tiercel_simd::{Isa, Level, Loop};

use crate::budget::Meter;
use crate::options::Metric;
use crate::search::allowed::Allowed;
use crate::search::best::Best;
use crate::storage::coarse::{Block, Bounds, Queries};
use crate::storage::rows::Rows;
use crate::storage::space::order;

/// Queries in a block: whole panels, which stay in the second-level cache for vectors of usual
/// length.
pub(crate) const QUERIES: usize = 256;

/// Values of a vector from which on rounding it to bytes pays.
const ROUNDED_DIM: usize = 32;

/// Rows from which on a scan in bytes checks whether it pays: the first rows are near by default.
const TRIED: usize = 4096;

/// It does not if one in this many pairs has to be compared in full precision, too: a pair takes a
/// dozen times as long as in bytes, and four times in a tile of full precision.
const MANY: usize = 8;

/// Bytes of the rows in a block. Every panel is compared with a block before the next block.
const BLOCK: usize = 64 << 10;

/// Whether scans of vectors of `dim` values compare several queries in tiles of bytes.
pub(crate) fn has_byte_tiles(level: Level, dim: usize) -> bool {
    struct Tiles;
    impl Loop for Tiles {
        type Output = bool;
        #[inline(always)]
        fn run<I: Isa>(self) -> bool {
            I::HAS_INTEGER_TILES
        }
    }
    dim >= ROUNDED_DIM && level.run(Tiles)
}

/// The receiver of the distances that a scan computes.
pub(crate) trait Sink {
    /// The largest distance to take.
    fn bound(&self, query: usize) -> f32;

    /// Take a distance that is at most the bound.
    fn take(&mut self, query: usize, slot: u32, distance: f32);

    /// Forget what was taken.
    fn restart(&mut self);
}

/// Compare queries (directions, `dim` values each) with all rows, or with the allowed ones.
pub(crate) struct Scan<'a, 'b, K> {
    pub(crate) rows: &'a Rows,
    pub(crate) queries: &'a [f32],
    pub(crate) allowed: Allowed<'a>,
    pub(crate) sink: &'a mut K,
    pub(crate) meter: &'a mut Meter<'b>,
}

impl<K: Sink> Loop for Scan<'_, '_, K> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self) {
        let sparse = matches!(self.allowed, Allowed::Only(chosen) if chosen.count() * 4 < chosen.len());
        // A panel costs the same even if few of its queries are real, but then a read of a block
        // from a file costs less than one for each row.
        let few = 3 * self.queries.len() < I::WIDE * self.rows.dim() && self.rows.are_in_memory();
        if sparse || few {
            self.each_row::<I>();
        } else {
            let rounds = I::HAS_INTEGER_TILES && self.rows.dim() >= ROUNDED_DIM;
            if !rounds || !self.each_rounded::<I>() {
                self.each_tile::<I>();
            }
        }
    }
}

impl<K: Sink> Scan<'_, '_, K> {
    /// Compare row by row: for few queries, or for few scattered rows.
    #[inline(always)]
    fn each_row<I: Isa>(&mut self) {
        match self.allowed {
            Allowed::Only(chosen) => {
                for slot in chosen.iter() {
                    if self.each_query::<I>(slot) {
                        return;
                    }
                }
            }
            allowed => {
                for slot in (0..self.rows.len()).filter(|slot| allowed.contains(*slot)) {
                    if self.each_query::<I>(slot) {
                        return;
                    }
                }
            }
        }
    }

    /// Compare all queries with one row. Return whether to stop.
    #[inline(always)]
    fn each_query<I: Isa>(&mut self, slot: usize) -> bool {
        for (q, query) in self.queries.chunks_exact(self.rows.dim()).enumerate() {
            // SAFETY: `Level::run` checked the instruction set.
            let distance = unsafe { self.rows.distance::<I>(query, slot) };
            if distance <= self.sink.bound(q) {
                self.sink.take(q, slot as u32, distance);
            }
        }
        self.meter.compared(self.queries.len() / self.rows.dim())
    }

    /// Compare block by block in bytes, and in full precision what may be near. If that is too much,
    /// give up, forget what was found, and return false: tiles round distances differently, so equal
    /// rows must not be compared in both ways.
    #[inline(always)]
    fn each_rounded<I: Isa>(&mut self) -> bool {
        let (rows, dim) = (self.rows, self.rows.dim());
        let coded = Queries::new(self.queries, dim, I::WIDE);
        let count = self.queries.len() / dim;
        let mut least = self.least(count.next_multiple_of(I::WIDE));
        let (mut block, mut scratch, mut sums) = (Block::default(), Vec::new(), vec![0; I::HIGH * I::WIDE]);
        let together = (BLOCK / (I::HIGH * size_of::<f32>() * dim)).max(1) * I::HIGH;
        let (mut first, mut near) = (0, 0);
        while first < rows.len() {
            let values = rows.block(first, rows.len().min(first + together), &mut scratch);
            block.fill(values, dim);
            for panel in 0..least.len() / I::WIDE {
                let least = &mut least[panel * I::WIDE..][..I::WIDE];
                for start in (0..block.len()).step_by(I::HIGH) {
                    // SAFETY: `Level::run` checked the instruction set.
                    let high = unsafe { block.tile::<I>(start, &coded, panel, &mut sums) };
                    for (row, sums) in (start..start + high).zip(sums.chunks_exact(I::WIDE)) {
                        let slot = first + row;
                        let bounds = block.bounds::<I>(row, rows.scale(slot), &coded, panel, rows.metric());
                        if bounds.any_may_reach(sums, least) && self.allowed.contains(slot) {
                            let vector = &values[row * dim..][..dim];
                            near += self.compare::<I>(panel * I::WIDE, slot, vector, &bounds, sums, least);
                        }
                    }
                }
            }
            first += block.len();
            if self.meter.compared(block.len() * count) {
                return true;
            }
            if first >= TRIED && near * MANY > first * count {
                self.sink.restart();
                return false;
            }
        }
        true
    }

    /// Compare a row with the queries of a panel that it may be near to, in full precision. Return
    /// their number.
    #[inline(always)]
    fn compare<I: Isa>(
        &mut self,
        first: usize,
        slot: usize,
        vector: &[f32],
        bounds: &Bounds<'_>,
        sums: &[i32],
        least: &mut [f32],
    ) -> usize {
        let (rows, mut near) = (self.rows, 0);
        for ((query, q), sum) in self.queries.chunks_exact(rows.dim()).skip(first).zip(0..I::WIDE).zip(sums) {
            if !bounds.may_reach(q, *sum, least[q]) {
                continue;
            }
            near += 1;
            // SAFETY: query and row have `dim` values; `Level::run` checked the instruction set.
            let distance = unsafe { rows.distance_to::<I>(query, vector, slot) };
            if distance <= self.sink.bound(first + q) {
                self.sink.take(first + q, slot as u32, distance);
                least[q] = rows.least_closeness(self.sink.bound(first + q));
            }
        }
        near
    }

    /// Compare block by block.
    #[inline(always)]
    fn each_tile<I: Isa>(&mut self) {
        let (rows, dim) = (self.rows, self.rows.dim());
        let panels = panels(self.queries, dim, I::WIDE);
        let mut least = self.least(panels.len() / dim);
        let mut sums = vec![0.0; I::HIGH * I::WIDE];
        let mut scratch = Vec::new();
        let together = (BLOCK / (I::HIGH * size_of::<f32>() * dim)).max(1) * I::HIGH;
        let mut first = 0;
        while first < rows.len() {
            // A block ends where its chunk does.
            let block = rows.block(first, rows.len().min(first + together), &mut scratch);
            for (p, panel) in panels.chunks_exact(I::WIDE * dim).enumerate() {
                let least = &mut least[p * I::WIDE..][..I::WIDE];
                for (t, tile) in block.chunks(I::HIGH * dim).enumerate() {
                    let (values, count, out) = (tile.as_ptr(), tile.len() / dim, sums.as_mut_ptr());
                    // SAFETY: the tile holds `count` rows, the panel `WIDE` queries, of `dim`
                    // values, and the sums have room for `HIGH` rows; `Level::run` checked the
                    // instruction set.
                    unsafe {
                        if rows.metric() == Metric::L2 {
                            I::tile_f32::<true>(values, count, panel.as_ptr(), dim, out);
                        } else {
                            I::tile_f32::<false>(values, count, panel.as_ptr(), dim, out);
                        }
                    }
                    for (r, sums) in sums.chunks_exact(I::WIDE).take(count).enumerate() {
                        let slot = first + t * I::HIGH + r;
                        let scale = rows.scale(slot);
                        // Check all rather than stop at the first, so that the compiler vectorizes
                        // the loop. NaN is not less and is therefore offered.
                        let mut far = true;
                        for (sum, least) in sums.iter().zip(&*least) {
                            far &= sum * scale < *least;
                        }
                        if !far {
                            self.offer(p * I::WIDE, slot, sums, least);
                        }
                    }
                }
            }
            let compared = block.len() / dim;
            first += compared;
            if self.meter.compared(compared * (self.queries.len() / dim)) {
                return;
            }
        }
    }

    /// Return the closeness that a row must reach for each query; no row reaches that of queries
    /// that only fill a panel.
    fn least(&self, padded: usize) -> Vec<f32> {
        let count = self.queries.len() / self.rows.dim();
        let bound = |q| if q < count { self.rows.least_closeness(self.sink.bound(q)) } else { f32::INFINITY };
        (0..padded).map(bound).collect()
    }

    /// Pass the distances between a row and the queries of a panel to the sink.
    #[cold]
    fn offer(&mut self, first: usize, slot: usize, sums: &[f32], least: &mut [f32]) {
        let (rows, count) = (self.rows, self.queries.len() / self.rows.dim());
        if !self.allowed.contains(slot) {
            return;
        }
        for ((sum, least), q) in sums.iter().zip(least).zip(first..count) {
            let distance = rows.finish(*sum, slot);
            if distance <= self.sink.bound(q) {
                self.sink.take(q, slot as u32, distance);
                *least = rows.least_closeness(self.sink.bound(q));
            }
        }
    }
}

/// Lay queries out value by value, `wide` at a time; zeros fill the last panel.
fn panels(queries: &[f32], dim: usize, wide: usize) -> Vec<f32> {
    let count = queries.len() / dim;
    let mut panels = vec![0.0; count.next_multiple_of(wide) * dim];
    for (q, query) in queries.chunks_exact(dim).enumerate() {
        let start = q / wide * wide * dim + q % wide;
        for (at, value) in panels[start..].iter_mut().step_by(wide).zip(query) {
            *at = *value;
        }
    }
    panels
}

/// Keeps the nearest rows of each query.
pub(crate) struct Nearest<'a>(pub(crate) &'a mut [Best]);

impl Sink for Nearest<'_> {
    #[inline(always)]
    fn bound(&self, query: usize) -> f32 {
        crate::storage::space::unorder(self.0[query].bound())
    }

    #[inline(always)]
    fn take(&mut self, query: usize, slot: u32, distance: f32) {
        self.0[query].offer(order(distance), slot);
    }

    fn restart(&mut self) {
        for best in &mut *self.0 {
            best.restart();
        }
    }
}

/// Keeps all rows within a distance of each query, while there is memory.
pub(crate) struct Within {
    pub(crate) radius: f32,
    pub(crate) found: Vec<Vec<(f32, u32)>>,
    /// Whether the memory did not suffice. Then nothing is kept.
    pub(crate) is_too_large: bool,
}

impl Within {
    pub(crate) fn new(radius: f32, queries: usize) -> Self {
        Self { radius, found: vec![Vec::new(); queries], is_too_large: false }
    }

    /// Free what was found, and take no more.
    #[cold]
    fn give_up(&mut self) {
        self.is_too_large = true;
        self.radius = f32::NAN;
        self.found.fill_with(Vec::new);
    }
}

impl Sink for Within {
    #[inline(always)]
    fn bound(&self, _: usize) -> f32 {
        self.radius
    }

    #[inline(always)]
    fn take(&mut self, query: usize, slot: u32, distance: f32) {
        let found = &mut self.found[query];
        if found.try_reserve(1).is_ok() {
            found.push((distance, slot));
        } else {
            self.give_up();
        }
    }

    fn restart(&mut self) {
        self.found.iter_mut().for_each(Vec::clear);
    }
}
