//! When each row died.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;

use super::sync::AtomicU64;

/// Rows of a chunk; few in tests, so that they reach the ends of chunks, and models and Miri
/// finish.
pub(crate) const CHUNK: usize = if cfg!(test) { 16 } else { 1 << 14 };
/// Marks a live row.
const ALIVE: u64 = u64::MAX;

/// The sequence number of the batch that removed each row. Clones share this, so a snapshot needs
/// no copy: it checks whether a row died after the snapshot was taken.
///
/// ```text
/// chunks   [ row 0 .. 16383 ] [ row 16384 .. 32767 ] ... batch that removed each row, or u64::MAX
///          [ ]                                           all its rows are dead to every snapshot
/// ```
#[derive(Clone, Default)]
pub(crate) struct Visibility {
    chunks: Vec<Arc<Chunk>>,
}

#[derive(Default)]
struct Chunk {
    stamps: Box<[AtomicU64]>,
    /// Rows that are dead to the newest snapshot, or about to be. Most chunks have none.
    dead: AtomicU64,
}

impl Chunk {
    /// Make a chunk whose first `dead` rows are dead to every snapshot.
    fn new(dead: usize) -> Arc<Self> {
        let stamps = (0..CHUNK).map(|row| AtomicU64::new(if row < dead { 0 } else { ALIVE })).collect();
        Arc::new(Self { stamps, dead: AtomicU64::new(dead as u64) })
    }
}

impl Visibility {
    /// Make the visibility of rows below `rows`, all of which died before any snapshot. They take
    /// memory only where rows are revived.
    pub(crate) fn of_dead(rows: u32) -> Self {
        let mut visibility = Self { chunks: vec![Arc::default(); rows as usize / CHUNK] };
        let rest = rows as usize % CHUNK;
        if rest > 0 {
            // Later rows are yet to come.
            visibility.chunks.push(Chunk::new(rest));
        }
        visibility
    }

    /// Revive a dead row, before any snapshot is made.
    pub(crate) fn revive(&mut self, row: u32) {
        let Some(chunk) = self.chunks.get_mut(row as usize / CHUNK) else { return };
        if chunk.stamps.is_empty() {
            *chunk = Chunk::new(CHUNK);
        }
        if chunk.stamps[row as usize % CHUNK].swap(ALIVE, Ordering::Relaxed) != ALIVE {
            chunk.dead.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Make room for rows below `rows`, which are live until they are buried.
    pub(crate) fn grow(&mut self, rows: u32) {
        while self.chunks.len() * CHUNK < rows as usize {
            self.chunks.push(Chunk::new(0));
        }
    }

    /// Record that a row died with batch `sequence`.
    pub(crate) fn bury(&self, row: u32, sequence: u64) {
        let Some(chunk) = self.chunks.get(row as usize / CHUNK) else { return };
        let Some(stamp) = chunk.stamps.get(row as usize % CHUNK) else { return };
        // The lock that publishes the next snapshot also publishes these.
        if stamp.fetch_min(sequence, Ordering::Relaxed) == ALIVE {
            chunk.dead.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a row was live after batch `sequence`.
    pub(crate) fn lives(&self, row: u32, sequence: u64) -> bool {
        self.stamp(row).is_some_and(|stamp| stamp.load(Ordering::Relaxed) > sequence)
    }

    /// Return the number of rows in each chunk; 0 for a chunk that takes no memory.
    #[cfg(test)]
    pub(crate) fn chunks(&self) -> Vec<usize> {
        self.chunks.iter().map(|chunk| chunk.stamps.len()).collect()
    }

    fn stamp(&self, row: u32) -> Option<&AtomicU64> {
        self.chunks.get(row as usize / CHUNK)?.stamps.get(row as usize % CHUNK)
    }

    /// Free the chunks whose rows were all dead after batch `sequence`, which every snapshot must
    /// have.
    pub(crate) fn forget(&mut self, sequence: u64) {
        let is_dead = |chunk: &Chunk| chunk.stamps.iter().all(|stamp| stamp.load(Ordering::Relaxed) <= sequence);
        for chunk in self.chunks.iter_mut().filter(|chunk| is_dead(chunk)) {
            *chunk = Arc::default();
        }
    }

    /// Remove rows that were dead after batch `sequence`. Chunks without dead rows take no time.
    pub(crate) fn remove_dead(&self, rows: &mut RoaringBitmap, sequence: u64) {
        for (index, chunk) in self.chunks.iter().enumerate() {
            let first = (index * CHUNK) as u32;
            if chunk.stamps.is_empty() {
                rows.remove_range(first..=first + (CHUNK - 1) as u32);
            } else if chunk.dead.load(Ordering::Relaxed) > 0 {
                let dead = |row: &u32| chunk.stamps[(row - first) as usize].load(Ordering::Relaxed) <= sequence;
                let dead: Vec<u32> = rows.range(first..=first + (CHUNK - 1) as u32).filter(dead).collect();
                for row in dead {
                    rows.remove(row);
                }
            }
        }
        if let Ok(end) = u32::try_from(self.chunks.len() * CHUNK) {
            rows.remove_range(end..);
        }
    }

    /// Return the rows below `rows` that were live after batch `sequence`.
    pub(crate) fn living(&self, rows: u32, sequence: u64) -> RoaringBitmap {
        RoaringBitmap::from_sorted_iter(self.clone().into_living(0..rows, sequence)).unwrap_or_default()
    }

    /// Return those of some rows that were live after batch `sequence`, ascending. Freed chunks
    /// take no time.
    pub(crate) fn into_living(self, rows: Range<u32>, sequence: u64) -> impl Iterator<Item = u32> + Send {
        let from = rows.start as usize / CHUNK;
        let chunks = self.chunks.into_iter().enumerate().skip(from).filter(|(_, chunk)| !chunk.stamps.is_empty());
        chunks.flat_map(move |(index, chunk)| {
            let first = (index * CHUNK) as u32;
            let end = (rows.end as usize).min((index + 1) * CHUNK) as u32;
            let lives = move |row: &u32| chunk.stamps[(row - first) as usize].load(Ordering::Relaxed) > sequence;
            (rows.start.max(first)..end).filter(lives)
        })
    }
}
