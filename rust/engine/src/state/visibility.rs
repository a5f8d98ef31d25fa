//! When each row died.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;

use super::sync::AtomicU64;

/// Rows of a chunk; few in tests, which so meet the ends of chunks, and which models and Miri have to get through.
pub(crate) const CHUNK: usize = if cfg!(test) { 16 } else { 1 << 14 };
/// What stands for a row that lives.
const ALIVE: u64 = u64::MAX;

/// The sequence number of the batch that removed each row. Clones share the visibility, so a snapshot needs no copy of it: it
/// asks whether a row died after it was taken.
///
/// ```text
/// chunks   [ row 0 .. 16383 ] [ row 16384 .. 32767 ] ...      the batch that removed the row, or the largest u64
///          [ ]                                                all its rows are dead to every snapshot
/// ```
#[derive(Clone, Default)]
pub(crate) struct Visibility {
    chunks: Vec<Arc<[AtomicU64]>>,
}

impl Visibility {
    /// Visibility of rows below `rows`, all of which died before any snapshot. They take memory only where rows are revived.
    pub(crate) fn of_dead(rows: u32) -> Self {
        let mut visibility = Self { chunks: vec![Arc::default(); rows as usize / CHUNK] };
        let rest = rows as usize % CHUNK;
        if rest > 0 {
            // The rows behind are yet to come.
            visibility.chunks.push((0..CHUNK).map(|row| AtomicU64::new(if row < rest { 0 } else { ALIVE })).collect());
        }
        visibility
    }

    /// Let a row live that was dead, before any snapshot is made.
    pub(crate) fn revive(&mut self, row: u32) {
        let Some(chunk) = self.chunks.get_mut(row as usize / CHUNK) else { return };
        if chunk.is_empty() {
            *chunk = (0..CHUNK).map(|_| AtomicU64::new(0)).collect();
        }
        chunk[row as usize % CHUNK].store(ALIVE, Ordering::Relaxed);
    }

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

    /// Rows of each chunk that takes memory.
    #[cfg(test)]
    pub(crate) fn chunks(&self) -> Vec<usize> {
        self.chunks.iter().map(|chunk| chunk.len()).collect()
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
        RoaringBitmap::from_sorted_iter(self.clone().into_living(0..rows, sequence)).unwrap_or_default()
    }

    /// Those of some rows that lived when batch `sequence` had been applied, ascending. Chunks of dead rows take no time.
    pub(crate) fn into_living(self, rows: Range<u32>, sequence: u64) -> impl Iterator<Item = u32> + Send {
        let from = rows.start as usize / CHUNK;
        let chunks = self.chunks.into_iter().enumerate().skip(from).filter(|(_, chunk)| !chunk.is_empty());
        chunks.flat_map(move |(index, chunk)| {
            let first = (index * CHUNK) as u32;
            let end = (rows.end as usize).min((index + 1) * CHUNK) as u32;
            let lives = move |row: &u32| chunk[(row - first) as usize].load(Ordering::Relaxed) > sequence;
            (rows.start.max(first)..end).filter(lives)
        })
    }
}
