//! Growable arrays of rows, in chunks that clones share.
//!
//! A clone costs a pointer per chunk, and appending moves no row that a clone can see. A writer can
//! therefore build the next version of an array beside the one that readers hold:
//!
//! ```text
//! starts   [ *, *, * ]             one load finds a row: starts[row >> shift] + (row & mask) * width
//!            |  |  |
//! chunks     v  v  v
//!           +-----------+ +-----------+ +-----------------------+
//!           | 2^shift   | | 2^shift   | | rows of all | rows of | free
//!           | rows      | | rows      | | clones      | one     |
//!           +-----------+ +-----------+ +-----------------------+
//!                                                     ^         ^
//!                                        len of a clone         claimed: the next append begins here, or copies
//! ```
//!
//! Rows past the length of a clone are written in place by the first to claim them: an append
//! advances `claimed` from its own length by compare-and-swap. If another clone has claimed those
//! rows, the chunk is copied. A row that a clone can see changes only through [`Chunked::row_mut`],
//! which copies a chunk that another clone holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::buffer::{Buffer, Plain};

/// Bytes in a chunk of an array that only grows: several huge pages.
const LARGE: usize = 8 << 20;

/// Rows of one chunk, some of them written.
struct Chunk<T: Plain> {
    /// Memory for the rows. Its own length stays 0, since each clone knows how many rows it may
    /// read.
    memory: Buffer<T>,
    /// Number of rows with a writer. Those before a clone's length were written before the clone
    /// was made.
    claimed: AtomicUsize,
}

impl<T: Plain> Chunk<T> {
    /// Make a chunk with room for `rows` rows that begins with a copy of `from`.
    fn copied(rows: usize, width: usize, from: &[T]) -> Self {
        let memory = Buffer::with_capacity(rows * width);
        // SAFETY: the memory is new and has room for the copied rows.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), memory.start(), from.len()) };
        Self { memory, claimed: AtomicUsize::new(from.len() / width) }
    }

    /// Return the number of rows that fit.
    const fn room(&self, width: usize) -> usize {
        self.memory.bytes() / (size_of::<T>() * width)
    }
}

/// Rows of `width` values each, in chunks that clones share.
pub struct Chunked<T: Plain> {
    width: usize,
    /// A full chunk holds `1 << shift` rows.
    shift: u32,
    /// Number of rows.
    len: usize,
    chunks: Vec<Arc<Chunk<T>>>,
    /// The start of each chunk.
    starts: Vec<*const T>,
}

// SAFETY: an array shares its chunks with clones, and a chunk may be shared like a `Vec`: the rows
// that a clone reads were written before it was made and no longer change, and each row being
// written is claimed by a single writer. `starts` points into `chunks`.
unsafe impl<T: Plain> Send for Chunked<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Chunked<T> {}

/// Where the chunks of a [`Chunked`] begin. A loop that holds this by value keeps its pointer in a
/// register; behind a reference, the pointer would be loaded again after each prefetch.
#[derive(Clone, Copy)]
pub struct Table<'a, T: Plain> {
    starts: &'a [*const T],
    rows: usize,
    width: usize,
    shift: u32,
}

// SAFETY: a table is a borrowed array, which may be sent and shared.
unsafe impl<T: Plain> Send for Table<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Table<'_, T> {}

impl<T: Plain> Table<'_, T> {
    /// Return where a row begins, by a width and a shift that the caller knows.
    ///
    /// # Safety
    ///
    /// The row is below the length of the array; width and shift are those of the array.
    #[inline(always)]
    pub unsafe fn address(self, row: usize, width: usize, shift: u32) -> *const T {
        debug_assert!(row < self.rows && width == self.width && shift == self.shift);
        // SAFETY: every row below the length lies completely in one chunk.
        unsafe { self.starts.get_unchecked(row >> shift).add((row & ((1 << shift) - 1)) * width) }
    }
}

/// Return the number of rows of `bytes` bytes in a chunk of about `chunk` bytes, as a power of two.
#[inline(always)]
const fn shift_for(bytes: usize, chunk: usize) -> u32 {
    let rows = chunk / bytes;
    if rows < 2 { 0 } else { rows.ilog2() }
}

impl<T: Plain> Chunked<T> {
    /// Make an array without rows, of `width` values each, in large chunks. For arrays that grow at
    /// the end.
    pub const fn new(width: usize) -> Self {
        Self::with_chunk_bytes(width, LARGE)
    }

    /// Make an array without rows, of `width` values each, in chunks of about `chunk` bytes. Small
    /// chunks suit arrays whose rows change, since a change copies a chunk that a clone shares.
    pub const fn with_chunk_bytes(width: usize, chunk: usize) -> Self {
        assert!(width > 0, "a row has values");
        let shift = shift_for(width * size_of::<T>(), chunk);
        Self { width, shift, len: 0, chunks: Vec::new(), starts: Vec::new() }
    }

    /// Return the shift of an array made by [`Self::new`]. A loop compiled for one width can use it
    /// as a constant.
    #[inline(always)]
    pub const fn shift_of(width: usize) -> u32 {
        shift_for(width * size_of::<T>(), LARGE)
    }

    /// Append `more` rows of zeros.
    #[must_use]
    pub fn append_zeros(mut self, more: usize) -> Self {
        let mut left = more;
        while left > 0 {
            let (start, rows) = self.claim(left);
            // SAFETY: the rows from `start` on are claimed; zeros are values of a plain type.
            unsafe { start.write_bytes(0, rows * self.width) };
            self.len += rows;
            left -= rows;
        }
        self
    }

    /// Number of values in a row.
    #[inline(always)]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of rows in a full chunk.
    const fn chunk_rows(&self) -> usize {
        1 << self.shift
    }

    /// A chunk holds as many rows as 1 shifted by this; the last one may hold fewer.
    #[inline(always)]
    pub const fn shift(&self) -> u32 {
        self.shift
    }

    /// Return the table of rows, for a loop.
    #[inline(always)]
    pub fn table(&self) -> Table<'_, T> {
        Table { starts: &self.starts, rows: self.len, width: self.width, shift: self.shift }
    }

    /// Return the values of a row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &[T] {
        assert!(row < self.len, "row {row} of {}", self.len);
        // SAFETY: the row is below the length, so its values are written and do not change while
        // this is borrowed.
        unsafe { std::slice::from_raw_parts(self.table().address(row, self.width, self.shift), self.width) }
    }

    /// Return the values of consecutive rows of one chunk: from row `first` up to `last` or to the
    /// end of the chunk.
    #[inline(always)]
    pub fn run(&self, first: usize, last: usize) -> &[T] {
        assert!(first < last && last <= self.len, "rows {first} to {last} of {}", self.len);
        let end = last.min((first >> self.shift).wrapping_add(1) << self.shift);
        // SAFETY: these rows are below the length and lie side by side in one chunk.
        unsafe {
            let start = self.table().address(first, self.width, self.shift);
            std::slice::from_raw_parts(start, (end - first) * self.width)
        }
    }

    /// Iterate over all values in order, chunk by chunk.
    pub fn runs(&self) -> impl Iterator<Item = &[T]> {
        (0..self.len).step_by(self.chunk_rows()).map(|first| self.run(first, self.len))
    }

    /// Return the values of a row for changes. A chunk that a clone shares is copied first.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.len, "row {row} of {}", self.len);
        let start = self.own(row >> self.shift).wrapping_add((row & (self.chunk_rows() - 1)) * self.width);
        // SAFETY: the row is below the length; its chunk belongs only to this array, which is
        // borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(start, self.width) }
    }

    /// Iterate over all values for changes, chunk by chunk, each with the number of its first row.
    /// Chunks that a clone shares are copied.
    pub fn runs_mut(&mut self) -> impl Iterator<Item = (usize, &mut [T])> {
        let (shift, width, len) = (self.shift, self.width, self.len);
        let starts: Vec<*mut T> = (0..self.chunks.len()).map(|chunk| self.own(chunk)).collect();
        starts.into_iter().enumerate().map(move |(chunk, start)| {
            let first = chunk << shift;
            let rows = (len - first).min(1 << shift);
            // SAFETY: these rows are below the length, their chunk belongs only to this array,
            // which stays borrowed exclusively as long as the slices live, and no two slices
            // overlap.
            (first, unsafe { std::slice::from_raw_parts_mut(start, rows * width) })
        })
    }

    /// Append whole rows. This panics without memory; earlier rows stay.
    pub fn extend_from_slice(&mut self, values: &[T]) {
        assert!(values.len().is_multiple_of(self.width), "whole rows");
        let mut rest = values;
        while !rest.is_empty() {
            let (start, rows) = self.claim(rest.len() / self.width);
            let (some, others) = rest.split_at(rows * self.width);
            // SAFETY: the rows from `start` on are claimed: nobody else writes them, or reads them
            // before they are part of a length.
            unsafe { std::ptr::copy_nonoverlapping(some.as_ptr(), start, some.len()) };
            self.len += rows;
            rest = others;
        }
    }

    /// Claim up to `wanted` rows past the length. Return where they begin, and their number, at
    /// least one.
    fn claim(&mut self, wanted: usize) -> (*mut T, usize) {
        let (at, used) = (self.len >> self.shift, self.len & (self.chunk_rows() - 1));
        let wanted = wanted.min(self.chunk_rows() - used);
        if let Some(chunk) = self.chunks.get_mut(at) {
            if let Some(alone) = Arc::get_mut(chunk) {
                // Any clone that claimed more is gone.
                *alone.claimed.get_mut() = used;
            }
            let rows = wanted.min(chunk.room(self.width).saturating_sub(used));
            // Rows that another clone wrote past this length are not read, so there is nothing to
            // acquire.
            let claim = || chunk.claimed.compare_exchange(used, used + rows, Ordering::Relaxed, Ordering::Relaxed);
            if rows > 0 && claim().is_ok() {
                return (chunk.memory.start().wrapping_add(used * self.width), rows);
            }
        }
        let room = self.room_for(at, used + wanted);
        let chunk = Chunk::copied(room, self.width, self.written(at));
        chunk.claimed.store(used + wanted, Ordering::Relaxed);
        let start = chunk.memory.start().wrapping_add(used * self.width);
        self.put(at, chunk);
        (start, wanted)
    }

    /// Return the rows to make room for in a chunk that needs some. The first chunk grows by half,
    /// so that a small array stays small; memory of the others becomes resident only when it is
    /// used.
    fn room_for(&self, at: usize, needed: usize) -> usize {
        if at > 0 {
            return self.chunk_rows();
        }
        let had = self.chunks.first().map_or(0, |chunk| chunk.room(self.width));
        needed.max(had + had / 2).min(self.chunk_rows())
    }

    /// Return the values of a chunk that are below the length.
    fn written(&self, at: usize) -> &[T] {
        let first = at << self.shift;
        if first < self.len { self.run(first, self.len) } else { &[] }
    }

    /// Return the start of a chunk that belongs only to this array, after copying it if it is
    /// shared.
    fn own(&mut self, at: usize) -> *mut T {
        if Arc::get_mut(&mut self.chunks[at]).is_none() {
            let chunk = Chunk::copied(self.chunks[at].room(self.width), self.width, self.written(at));
            self.put(at, chunk);
        }
        self.chunks[at].memory.start()
    }

    /// Replace a chunk, or append one.
    fn put(&mut self, at: usize, chunk: Chunk<T>) {
        let start = chunk.memory.start().cast_const();
        let chunk = Arc::new(chunk);
        if at < self.chunks.len() {
            (self.chunks[at], self.starts[at]) = (chunk, start);
        } else {
            self.starts.push(start);
            self.chunks.push(chunk);
        }
    }

    /// Free the memory of the last chunk past the length. The chunk is copied.
    pub fn shrink(&mut self) {
        let Some(at) = self.chunks.len().checked_sub(1) else { return };
        let rows = self.len - (at << self.shift);
        if self.chunks[at].room(self.width) > rows {
            let chunk = Chunk::copied(rows, self.width, self.written(at));
            self.put(at, chunk);
        }
        self.chunks.shrink_to_fit();
        self.starts.shrink_to_fit();
    }

    /// Memory taken by rows, in bytes, including chunks shared with clones. Memory past the last
    /// row of a later chunk is not resident and does not count.
    pub fn bytes(&self) -> usize {
        let first = self.chunks.first().map_or(0, |chunk| chunk.memory.bytes());
        let later = self.len.saturating_sub(self.chunk_rows());
        first + later * self.width * size_of::<T>()
    }

    /// Memory taken by the table of chunks, in bytes.
    pub const fn table_bytes(&self) -> usize {
        self.chunks.capacity() * (size_of::<Chunk<T>>() + 4 * size_of::<usize>())
    }
}

impl<T: Plain> Clone for Chunked<T> {
    fn clone(&self) -> Self {
        let Self { width, shift, len, ref chunks, ref starts } = *self;
        Self { width, shift, len, chunks: chunks.clone(), starts: starts.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// An array with chunks of two rows of three values.
    fn small() -> Chunked<u32> {
        Chunked::with_chunk_bytes(3, 31)
    }

    fn values(rows: &Chunked<u32>) -> Vec<u32> {
        rows.runs().flatten().copied().collect()
    }

    fn assert_is(rows: &Chunked<u32>, model: &[u32]) {
        assert_eq!((rows.len() * 3, &values(rows)[..]), (model.len(), model));
        for (at, row) in model.chunks(3).enumerate() {
            assert_eq!(rows.row(at), row);
            // SAFETY: the row is below the length, by the width and the shift of `small`.
            assert_eq!(unsafe { rows.table().address(at, 3, 1) }, rows.row(at).as_ptr());
        }
    }

    #[test]
    fn chunks_hold_a_power_of_two_of_rows() {
        assert_eq!(Chunked::<u32>::with_chunk_bytes(3, 31).chunk_rows(), 2);
        assert_eq!(Chunked::<u8>::new(192).chunk_rows(), 32_768);
        assert_eq!(1 << Chunked::<u8>::shift_of(192), 32_768);
        assert_eq!(Chunked::<f32>::new(1 << 24).chunk_rows(), 1, "a row that is longer than a chunk");
    }

    #[test]
    fn clones_grow_apart_and_change_apart() {
        // Arrays, and the values that each must hold; a step appends to one, changes a row, or
        // clones, drops or shrinks one.
        let mut arrays = vec![(small(), Vec::<u32>::new())];
        let mut random = 1u32;
        let mut next = |below: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % below
        };
        for step in 0..if cfg!(miri) { 150 } else { 5000 } {
            let at = next(arrays.len());
            match next(6) {
                0 | 1 => {
                    let more: Vec<u32> = (0..3 * next(4) as u32).map(|value| value + 100 * step).collect();
                    arrays[at].0.extend_from_slice(&more);
                    arrays[at].1.extend(more);
                }
                2 | 3 if !arrays[at].0.is_empty() => {
                    let row = next(arrays[at].0.len());
                    arrays[at].0.row_mut(row).copy_from_slice(&[step, step, step]);
                    arrays[at].1[3 * row..][..3].fill(step);
                }
                4 if arrays.len() < 5 => {
                    let copy = arrays[at].clone();
                    arrays.push(copy);
                }
                5 if arrays.len() > 1 => drop(arrays.swap_remove(at)),
                _ => arrays[at].0.shrink(),
            }
            for (rows, model) in &arrays {
                assert_is(rows, model);
            }
        }
    }

    #[test]
    fn a_clone_appends_in_place_and_another_copies() {
        let mut first = small();
        first.extend_from_slice(&[1, 1, 1]);
        first.extend_from_slice(&[2, 2, 2]);
        first.extend_from_slice(&[3, 3, 3]);
        let (mut second, mut third) = (first.clone(), first.clone());
        second.extend_from_slice(&[4, 4, 4]);
        third.extend_from_slice(&[5, 5, 5]);
        assert_eq!(second.row(2).as_ptr(), first.row(2).as_ptr(), "the first to append");
        assert_ne!(third.row(2).as_ptr(), first.row(2).as_ptr(), "the second to append");
        assert_eq!(third.row(0).as_ptr(), first.row(0).as_ptr(), "a full chunk");
        assert_eq!((values(&first).len(), second.row(3), third.row(3)), (9, &[4, 4, 4][..], &[5, 5, 5][..]));
    }

    #[test]
    fn a_reader_keeps_what_it_holds_while_a_writer_goes_on() {
        let mut rows = small();
        rows.extend_from_slice(&[7; 9]);
        thread::scope(|scope| {
            for turn in 0..if cfg!(miri) { 5 } else { 200 } {
                let held = rows.clone();
                scope.spawn(move || assert_eq!(values(&held)[..9], if turn == 0 { [7; 9] } else { [8; 9] }));
                rows.extend_from_slice(&[turn; 6]);
                for row in 0..3 {
                    rows.row_mut(row).fill(8);
                }
            }
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn zeros_are_filled_chunk_by_chunk() {
        let mut rows = Chunked::<u64>::new(LARGE / 16).append_zeros(3);
        for (first, run) in rows.runs_mut() {
            run.fill(first as u64 + 1);
        }
        assert_eq!([0, 1, 2].map(|row| rows.row(row)[0]), [1, 1, 3]);
        assert_eq!(rows.bytes(), 3 * LARGE / 2);
        assert!(rows.table_bytes() < LARGE / 1000);
    }
}
