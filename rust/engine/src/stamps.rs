//! When each row died.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;

use super::sync::AtomicU64;

/// Rows of a chunk; few in tests, which so meet the ends of chunks, and which models and Miri have to get through.
const CHUNK: usize = if cfg!(test) { 16 } else { 1 << 14 };
/// The stamp of a row that lives.
const ALIVE: u64 = u64::MAX;

/// The sequence number of the batch that removed each row. Clones share the stamps, so a snapshot needs no copy of them: it
/// asks whether a row died after it was taken.
///
/// ```text
/// chunks   [ row 0 .. 16383 ] [ row 16384 .. 32767 ] ...      a stamp a row, the largest u64 while it lives
///          [ ]                                                all its rows are dead to every snapshot
/// ```
#[derive(Clone, Default)]
pub(crate) struct Stamps {
    chunks: Vec<Arc<[AtomicU64]>>,
}

impl Stamps {
    /// Make room for rows below `rows`, which live until they are buried.
    pub(crate) fn grow(&mut self, rows: u32) {
        while self.chunks.len() * CHUNK < rows as usize {
            self.chunks.push((0..CHUNK).map(|_| AtomicU64::new(ALIVE)).collect());
        }
    }

    /// Say that a row died with batch `sequence`.
    pub(crate) fn bury(&self, row: u32, sequence: u64) {
        if let Some(stamp) = self.stamp(row) {
            // Published by the lock through which the next snapshot is reached.
            stamp.fetch_min(sequence, Ordering::Relaxed);
        }
    }

    /// Whether a row lived when batch `sequence` had been applied.
    pub(crate) fn lives(&self, row: u32, sequence: u64) -> bool {
        self.stamp(row).is_some_and(|stamp| stamp.load(Ordering::Relaxed) > sequence)
    }

    fn stamp(&self, row: u32) -> Option<&AtomicU64> {
        self.chunks.get(row as usize / CHUNK)?.get(row as usize % CHUNK)
    }

    /// Give the memory of chunks back whose rows had all died when batch `sequence` had been applied, which every snapshot has.
    pub(crate) fn forget(&mut self, sequence: u64) {
        let is_dead = |chunk: &[AtomicU64]| chunk.iter().all(|stamp| stamp.load(Ordering::Relaxed) <= sequence);
        for chunk in self.chunks.iter_mut().filter(|chunk| is_dead(chunk)) {
            *chunk = Arc::default();
        }
    }

    /// The rows below `rows` that lived when batch `sequence` had been applied.
    pub(crate) fn living(&self, rows: u32, sequence: u64) -> RoaringBitmap {
        let living = (0..rows).filter(|row| self.lives(*row, sequence));
        RoaringBitmap::from_sorted_iter(living).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_lives_in_snapshots_before_its_death() {
        let mut stamps = Stamps::default();
        stamps.grow(200);
        stamps.bury(170, 5);
        assert!(stamps.lives(170, 4));
        assert!(!stamps.lives(170, 5));
        assert!(stamps.lives(169, 5));
        assert_eq!(stamps.living(200, 5).len(), 199);
    }

    #[test]
    fn a_row_dies_once() {
        let mut stamps = Stamps::default();
        stamps.grow(1);
        stamps.bury(0, 3);
        stamps.bury(0, 9);
        assert!(!stamps.lives(0, 3));
    }

    #[test]
    fn rows_that_are_dead_to_all_take_no_memory() {
        let mut stamps = Stamps::default();
        stamps.grow(2 * CHUNK as u32);
        for row in 0..CHUNK as u32 {
            stamps.bury(row, u64::from(row));
        }
        stamps.bury(CHUNK as u32, 1);
        stamps.forget(CHUNK as u64 - 2);
        assert_eq!(stamps.chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [CHUNK, CHUNK]);
        stamps.forget(CHUNK as u64 - 1);
        assert_eq!(stamps.chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [0, CHUNK]);
        stamps.bury(0, 1);
        assert!(!stamps.lives(0, CHUNK as u64));
        assert_eq!(stamps.living(2 * CHUNK as u32, CHUNK as u64).min(), Some(CHUNK as u32 + 1));
    }

    #[test]
    fn clones_share_what_they_have_in_common() {
        let mut stamps = Stamps::default();
        stamps.grow(1);
        let clone = stamps.clone();
        stamps.grow(1000);
        stamps.bury(0, 1);
        assert!(!clone.lives(0, 1));
        assert!(!clone.lives(999, 0), "a row that a snapshot does not know does not live in it");
    }
}
