//! Distances from the centroids of 4-bit codes, rounded to bytes, so that one shuffle looks up
//! sixteen of them (André, Kermarrec and Le Scouarnec 2015).
//!
//! ```text
//! distance = base + step * (byte of code 0 + byte of code 1 + ...)
//! byte     = (distance from the centroid - the least of its book) / step, rounded
//! ```
//!
//! All books share the step, which is a 255th of the widest range of distances in a book. Rounding
//! is off by half a step per code at most, usually far less than the codes themselves are. But if one
//! book or one centroid is far wider than the others, as a count among shares is, the others round to
//! next to nothing, and the tables say so.

use tiercel_simd::tables::{self, ENTRIES, place};
use tiercel_simd::{Buffer, sum_of_tables};

/// A distance that is no more steps from the least of its book is hardly told from it.
const FEW: u8 = 4;

/// One distance in this many may be so. Of embeddings one in ten is, of HOG in parts of two values every
/// second.
const MOST_FEW: u32 = 3;

/// The tables of a query. Reuse them, since they keep their memory.
#[derive(Clone, Default)]
pub(crate) struct ByteTables {
    /// Laid out as in [`tables`].
    entries: Buffer<u8>,
    base: f32,
    step: f32,
}

impl ByteTables {
    /// Round distances, sixteen per code, to which all rows add `common`. `bytes` are those of a row.
    /// Return whether they still tell rows apart: if not, many of them are but a few steps.
    #[inline(always)]
    pub(crate) fn fill(&mut self, distances: &[f32], common: f32, bytes: usize) -> bool {
        let (mut base, mut widest) = (common, 0.0f32);
        for table in distances.chunks_exact(ENTRIES) {
            let (least, most) = ends(table);
            base += least;
            widest = if most - least > widest { most - least } else { widest };
        }
        let inverse = if widest > 0.0 { 255.0 / widest } else { 0.0 };
        (self.base, self.step) = (base, widest / 255.0);
        self.entries.resize(tables::bytes(bytes), 0);
        // Those that fill up the last bytes.
        self.entries.fill(0);
        let (mut few, mut all) = (0, 0);
        for (code, table) in distances.chunks_exact(ENTRIES).enumerate() {
            let (least, most) = ends(table);
            let entries = &mut self.entries[place(code)..][..ENTRIES];
            for (entry, distance) in entries.iter_mut().zip(table) {
                *entry = ((distance - least) * inverse + 0.5) as u8;
            }
            if most > least {
                few += entries.iter().map(|entry| u32::from(*entry <= FEW)).sum::<u32>();
                all += ENTRIES as u32;
            }
        }
        MOST_FEW * few <= all
    }

    /// Where the tables begin, for [`tiercel_simd::Isa::sums_of_tables`].
    #[inline(always)]
    pub(crate) fn entries(&self) -> *const u8 {
        self.entries.as_ptr()
    }

    /// Return the distance that a sum of bytes stands for.
    #[inline(always)]
    pub(crate) fn distance(&self, sum: u32) -> f32 {
        self.base + self.step * sum as f32
    }

    /// Return the distance of a row.
    ///
    /// # Safety
    ///
    /// The tables were filled for rows of this length.
    #[inline(always)]
    pub(crate) unsafe fn of(&self, row: &[u8]) -> f32 {
        debug_assert!(self.entries.len() == tables::bytes(row.len()));
        // SAFETY: as the caller promises.
        self.distance(unsafe { sum_of_tables(self.entries.as_ptr(), row.as_ptr(), row.len()) })
    }
}

/// Return the least and the largest of the distances in a table.
#[inline(always)]
fn ends(table: &[f32]) -> (f32, f32) {
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    for distance in table {
        least = if *distance < least { *distance } else { least };
        most = if *distance > most { *distance } else { most };
    }
    (least, most)
}
