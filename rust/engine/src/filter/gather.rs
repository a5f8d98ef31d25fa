//! Collecting rows from many places into one set.

use roaring::RoaringBitmap;

use super::run::Rows;

/// If fewer than one in `SPARSE` rows is in the set, sorting is cheaper than a bit per row.
const SPARSE: usize = 32;

/// The most rows for which a set can be made from bits.
const MARKED: u32 = 1 << 31;

/// The rows to collect.
pub(super) struct Gather<'r> {
    /// Rows from this one on are left out.
    bound: u32,
    few: Vec<&'r [u32]>,
    many: Vec<&'r RoaringBitmap>,
}

impl<'r> Gather<'r> {
    pub(super) const fn new(bound: u32) -> Self {
        Self { bound, few: Vec::new(), many: Vec::new() }
    }

    pub(super) fn add(&mut self, rows: Rows<'r>) {
        match rows {
            Rows::Few(rows) => self.few.push(rows),
            Rows::Many(rows) => self.many.push(rows),
        }
    }

    /// Return the set of all these rows below the bound.
    pub(super) fn finish(self) -> RoaringBitmap {
        let count: usize = self.few.iter().map(|rows| rows.len()).sum();
        let dense = count >= self.bound as usize / SPARSE && self.bound <= MARKED;
        let mut set = if dense { self.by_marking() } else { self.by_sorting(count) };
        for rows in self.many {
            set |= rows;
        }
        set.remove_range(self.bound..);
        set
    }

    fn by_sorting(&self, count: usize) -> RoaringBitmap {
        let mut rows = Vec::with_capacity(count);
        for few in &self.few {
            rows.extend_from_slice(few);
        }
        rows.sort_unstable();
        rows.dedup();
        // Cannot fail: the rows are sorted and distinct.
        RoaringBitmap::from_sorted_iter(rows).unwrap_or_default()
    }

    fn by_marking(&self) -> RoaringBitmap {
        let mut marks = vec![0u8; (self.bound as usize).div_ceil(8)];
        for rows in &self.few {
            for row in rows.iter().filter(|row| **row < self.bound) {
                marks[(row / 8) as usize] |= 1 << (row % 8);
            }
        }
        RoaringBitmap::from_lsb0_bytes(0, &marks)
    }
}
