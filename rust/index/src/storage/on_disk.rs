//! Full vectors in files, of which memory keeps only checksums.
//!
//! ```text
//! slots      0 ... 999              1000 ... 1499           1500 ...
//! extents    the file of the        a temporary file,       the same, behind what
//!            index, section VECT    from its start          a clone of these rows wrote
//! sums       CRC-32C of each vector
//! ```
//!
//! Whoever compares a vector cannot stop for an error. A vector that cannot be read, or that is not
//! the one that was written, is therefore all zeros, and the failure is counted: an operation
//! begins with a [`Watch`], and returns an error if the count has grown when it ends.

use std::cell::Cell;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use half::f16;
use parking_lot::Mutex;
use tiercel_container::{VfsFile, unnamed_file};
use tiercel_simd::Chunked;

use crate::errors::RawError;
use crate::options::{Dtype, Options};

/// How often a read is tried.
const TRIES: usize = 3;

/// Vectors in files. Clones share the files, and may both grow.
#[derive(Clone)]
pub(crate) struct OnDisk {
    dim: usize,
    dtype: Dtype,
    /// Consecutive slots whose vectors lie side by side, in order.
    extents: Vec<Extent>,
    sums: Chunked<u32>,
    /// Where to make the temporary file.
    directory: Option<PathBuf>,
    spill: Arc<Mutex<Option<Spill>>>,
    failures: Arc<Failures>,
}

/// Vectors side by side in a file, from slot `first` up to the next extent.
#[derive(Clone)]
struct Extent {
    first: usize,
    file: Arc<dyn VfsFile>,
    offset: u64,
}

/// The temporary file that new vectors go to.
struct Spill {
    file: Arc<dyn VfsFile>,
    end: u64,
    /// The process that made it. After a fork, parent and child would write to the same places.
    owner: u32,
}

/// Failed reads.
#[derive(Default)]
pub(crate) struct Failures {
    count: AtomicU64,
    last: Mutex<Option<RawError>>,
}

/// Finds out whether reads have failed since it was made, by this operation or another.
pub(crate) struct Watch(Arc<Failures>, u64);

/// A vector that takes longer to read was not in the system's cache.
const CACHED: Duration = Duration::from_micros(20);

thread_local! {
    /// The vector that a thread compares.
    static ROW: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    /// Whether the last one came from the disk itself.
    static WAS_SLOW: Cell<bool> = const { Cell::new(false) };
}

impl OnDisk {
    /// Make no rows; `failures` will count their failed reads.
    pub(crate) fn new(options: &Options, failures: Arc<Failures>) -> Self {
        Self {
            dim: options.dim,
            dtype: options.kept(),
            extents: Vec::new(),
            sums: Chunked::new(1),
            directory: options.spill.clone(),
            spill: Arc::default(),
            failures,
        }
    }

    /// Let the first rows be those of a file, from `offset` on, whose checksums [`Self::found`] gets.
    pub(crate) fn begin_with(&mut self, file: Arc<dyn VfsFile>, offset: u64) {
        self.extents.push(Extent { first: self.len(), file, offset });
    }

    /// Let the first `len` rows be those of a file that has the same, from `offset` on. The others
    /// stay where they are.
    pub(crate) fn settle(&mut self, len: usize, file: Arc<dyn VfsFile>, offset: u64) {
        assert!(0 < len && len <= self.len(), "{len} of {} vectors in a file", self.len());
        let begin = Extent { first: 0, file, offset };
        if len == self.len() {
            // Whoever still has rows in the temporary file keeps that open.
            (self.extents, self.spill) = (vec![begin], Arc::default());
            return;
        }
        let at = self.extent_of(len);
        let mut rest = self.extents.split_off(at);
        rest[0].offset += ((len - rest[0].first) * self.row_bytes()) as u64;
        rest[0].first = len;
        self.extents = vec![begin];
        self.extents.append(&mut rest);
    }

    /// The place of the extent that has a slot.
    fn extent_of(&self, slot: usize) -> usize {
        self.extents.partition_point(|extent| extent.first <= slot) - 1
    }

    /// Append the checksum of the next vector of the file, which has these bytes.
    pub(crate) fn found(&mut self, bytes: &[u8]) {
        self.sums.extend_from_slice(&[crc32c::crc32c(bytes)]);
    }

    pub(crate) const fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) const fn len(&self) -> usize {
        self.sums.len()
    }

    /// Bytes of one vector.
    pub(crate) const fn row_bytes(&self) -> usize {
        match self.dtype {
            Dtype::F32 => 4 * self.dim,
            Dtype::F16 => 2 * self.dim,
        }
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.sums.bytes()
    }

    pub(crate) fn shrink(&mut self) {
        self.sums.shrink();
    }

    /// Append whole vectors to a temporary file.
    pub(crate) fn append(&mut self, vectors: &[f32]) -> Result<(), RawError> {
        let halves: Vec<u16>;
        let bytes: &[u8] = match self.dtype {
            Dtype::F32 => bytemuck::cast_slice(vectors),
            Dtype::F16 => {
                halves = vectors.iter().map(|value| f16::from_f32(*value).to_bits()).collect();
                bytemuck::cast_slice(&halves)
            }
        };
        let (file, offset) = self.claim(bytes.len() as u64)?;
        if let Err(error) = file.write_at(offset, bytes) {
            self.unclaim(&file, offset, offset + bytes.len() as u64);
            return Err(RawError::write(&error));
        }
        let first = self.len();
        let continues = self.extents.last().is_some_and(|last| {
            let end = last.offset + ((first - last.first) * self.row_bytes()) as u64;
            Arc::ptr_eq(&last.file, &file) && end == offset
        });
        if !continues {
            self.extents.push(Extent { first, file, offset });
        }
        let sums: Vec<u32> = bytes.chunks_exact(self.row_bytes()).map(crc32c::crc32c).collect();
        self.sums.extend_from_slice(&sums);
        Ok(())
    }

    /// Return a file, and where nobody else writes `len` bytes of it.
    fn claim(&self, len: u64) -> Result<(Arc<dyn VfsFile>, u64), RawError> {
        let mut spill = self.spill.lock();
        let owner = process::id();
        if spill.as_ref().is_none_or(|spill| spill.owner != owner) {
            let file = unnamed_file(self.directory.as_deref()).map_err(|error| RawError::write(&error))?.into();
            *spill = Some(Spill { file, end: 0, owner });
        }
        let spill = spill.as_mut().expect("made above");
        let offset = spill.end;
        spill.end += len;
        Ok((Arc::clone(&spill.file), offset))
    }

    /// Give back a part of the temporary file, if nobody else has claimed more behind it: otherwise what
    /// failed would take the rest of a disk that is full.
    fn unclaim(&self, file: &Arc<dyn VfsFile>, offset: u64, end: u64) {
        let mut spill = self.spill.lock();
        let Some(spill) = spill.as_mut() else { return };
        if spill.owner == process::id() && Arc::ptr_eq(&spill.file, file) && spill.end == end {
            spill.end = offset;
            // A file that stays long only takes room until it is written again.
            let _ = file.set_len(offset);
        }
    }

    /// Give back the room of the rows from `len` on, which nobody will read.
    pub(crate) fn give_up(&self, len: usize) {
        let (mut slots, mut extents) = (self.len(), self.extents.iter().rev());
        while slots > len
            && let Some(extent) = extents.next()
        {
            let first = extent.first.max(len);
            let place = |slot: usize| extent.offset + ((slot - extent.first) * self.row_bytes()) as u64;
            self.unclaim(&extent.file, place(first), place(slots));
            slots = extent.first;
        }
    }

    /// Read vectors from slot `first` on into `out` as they are in the file, as many as fit.
    pub(crate) fn read(&self, first: usize, out: &mut [u8]) {
        let row_bytes = self.row_bytes();
        let last = first + out.len() / row_bytes;
        assert!(last <= self.len(), "vectors {first} to {last} of {}", self.len());
        let mut at = self.extent_of(first);
        let (mut slot, mut rest) = (first, out);
        while slot < last {
            let end = self.extents.get(at + 1).map_or(last, |next| next.first.min(last));
            let (some, others) = rest.split_at_mut((end - slot) * row_bytes);
            if let Err(error) = self.read_some(&self.extents[at], slot, some) {
                some.fill(0);
                self.failures.note(error);
            }
            (slot, rest, at) = (end, others, at + 1);
        }
    }

    /// Read vectors of one extent, and compare their checksums.
    fn read_some(&self, extent: &Extent, slot: usize, out: &mut [u8]) -> Result<(), RawError> {
        let row_bytes = self.row_bytes();
        let offset = extent.offset + ((slot - extent.first) * row_bytes) as u64;
        let mut tries = 0;
        loop {
            tries += 1;
            let read = extent.file.read_at(offset, out).map_err(|error| RawError::read(&error, offset));
            let checked = read.and_then(|()| {
                let mut rows = out.chunks_exact(row_bytes).zip(slot..);
                match rows.find(|(row, slot)| crc32c::crc32c(row) != self.sums.row(*slot)[0]) {
                    Some((_, wrong)) => Err(RawError::Changed { offset: offset + ((wrong - slot) * row_bytes) as u64 }),
                    None => Ok(()),
                }
            });
            if checked.is_ok() || tries == TRIES {
                return checked;
            }
        }
    }

    /// Tell the system that the vector of a slot will be read soon.
    pub(crate) fn will_read(&self, slot: usize) {
        let extent = &self.extents[self.extent_of(slot)];
        let row_bytes = self.row_bytes();
        extent.file.will_read(extent.offset + ((slot - extent.first) * row_bytes) as u64, row_bytes);
    }

    /// Read vectors from slot `first` on, as single precision, into `out`.
    pub(crate) fn read_f32(&self, first: usize, out: &mut [f32]) {
        match self.dtype {
            Dtype::F32 => self.read(first, bytemuck::cast_slice_mut(out)),
            Dtype::F16 => {
                let mut halves = vec![0u16; out.len()];
                self.read(first, bytemuck::cast_slice_mut(&mut halves));
                for (value, bits) in out.iter_mut().zip(halves) {
                    *value = f16::from_bits(bits).to_f32();
                }
            }
        }
    }

    /// Return the vector of a slot as it is in the file, in memory that [`Self::give_back`] takes.
    #[cold]
    #[inline(never)]
    pub(crate) fn row(&self, slot: usize) -> Vec<u32> {
        let mut row = ROW.take();
        row.resize(self.row_bytes().div_ceil(4), 0);
        let began = Instant::now();
        self.read(slot, &mut bytemuck::cast_slice_mut(&mut row)[..self.row_bytes()]);
        WAS_SLOW.set(began.elapsed() > CACHED);
        row
    }

    /// Whether the last [`Self::row`] of this thread came from the disk itself.
    pub(crate) fn was_slow() -> bool {
        WAS_SLOW.get()
    }

    /// Keep the memory of [`Self::row`] for the next vector.
    pub(crate) fn give_back(row: Vec<u32>) {
        ROW.set(row);
    }
}

impl Failures {
    fn note(&self, error: RawError) {
        *self.last.lock() = Some(error);
        self.count.fetch_add(1, Ordering::Release);
    }
}

impl Watch {
    /// Begin to watch.
    pub(crate) fn new(failures: &Arc<Failures>) -> Self {
        Self(Arc::clone(failures), failures.count.load(Ordering::Acquire))
    }

    /// Return the last error if reads have failed.
    pub(crate) fn check(&self) -> Result<(), RawError> {
        if self.0.count.load(Ordering::Acquire) == self.1 {
            return Ok(());
        }
        Err(self.0.last.lock().clone().expect("noted before it was counted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Metric, Raw};

    fn len_of_spill(disk: &OnDisk) -> u64 {
        disk.spill.lock().as_ref().map_or(0, |spill| spill.file.len().unwrap())
    }

    #[test]
    fn what_is_given_up_takes_no_room() {
        let options = Options { raw: Raw::Disk, ..Options::new(4, Metric::L2) };
        let mut disk = OnDisk::new(&options, Arc::default());
        let rows =
            |first: u32, count: u32| (4 * first..4 * (first + count)).map(|value| value as f32).collect::<Vec<_>>();
        disk.append(&rows(0, 10)).unwrap();
        for _ in 0..3 {
            // A clone that fails half-way, after two appends.
            let mut failing = disk.clone();
            failing.append(&rows(100, 5)).unwrap();
            failing.append(&rows(200, 5)).unwrap();
            assert_eq!(len_of_spill(&disk), 20 * 16);
            failing.give_up(10);
            assert_eq!(len_of_spill(&disk), 10 * 16);
        }
        // What others wrote behind it stays.
        let (mut failing, mut other) = (disk.clone(), disk.clone());
        failing.append(&rows(100, 5)).unwrap();
        other.append(&rows(10, 5)).unwrap();
        failing.give_up(10);
        assert_eq!(len_of_spill(&disk), 20 * 16);
        let mut found = vec![0.0; 4 * 15];
        other.read_f32(0, &mut found);
        assert_eq!(found, rows(0, 15));
    }

    #[test]
    fn vectors_settle_in_a_file_that_has_the_first_of_them() {
        let options = Options { raw: Raw::Disk, ..Options::new(4, Metric::L2) };
        let rows: Vec<f32> = (0..4 * 30).map(|value| value as f32).collect();
        for len in [1, 10, 17, 29, 30] {
            let mut disk = OnDisk::new(&options, Arc::default());
            // Another clone makes a second extent.
            disk.append(&rows[..40]).unwrap();
            disk.clone().append(&rows[..4]).unwrap();
            disk.append(&rows[40..]).unwrap();
            let file: Arc<dyn VfsFile> = unnamed_file(None).unwrap().into();
            file.write_at(7, bytemuck::cast_slice(&rows[..4 * len])).unwrap();
            disk.settle(len, file, 7);
            let mut found = vec![0.0; rows.len()];
            disk.read_f32(0, &mut found);
            assert_eq!(found, rows, "{len}");
            assert_eq!(len_of_spill(&disk) == 0, len == 30, "{len}");
        }
    }
}
