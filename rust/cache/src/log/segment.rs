//! A file of a log.
//!
//! ```text
//!  0      4         8        16       24       28
//!  +------+---------+--------+--------+--------+--------- - - ---------
//!  | TCLG | version | log    | number | CRC32C | record   record   ...
//!  +------+---------+--------+--------+--------+--------- - - ---------
//!   little endian; a random number identifies the log, so that it does not take files of another for its own
//! ```
//!
//! A segment is only appended to. A full one ends with a record that says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiercel_container::log::file_name;
use tiercel_container::{Vfs, VfsFile, seal, zeros};

use super::purpose::Purpose;
use super::synced::Synced;
use crate::beginning::Beginning;
use crate::directory::Directory;

const MAGIC: [u8; 4] = *b"TCLG";
const VERSION: u32 = 1;
/// Bytes before the first record.
pub(super) const START: u64 = 28;
/// Bytes read at once when a segment is gone through.
pub(super) const CHUNK: u64 = 1 << 20;

pub(crate) struct Segment {
    number: u64,
    /// The checksum of the log and the number, from which the checksums of records continue.
    seed: u32,
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    file: Box<dyn VfsFile>,
}

fn start(log: u64, number: u64) -> [u8; START as usize] {
    let mut out = [0; START as usize];
    out[..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&VERSION.to_le_bytes());
    out[8..16].copy_from_slice(&log.to_le_bytes());
    out[16..24].copy_from_slice(&number.to_le_bytes());
    seal(0, &mut out);
    out
}

/// A segment of an open log.
pub(super) struct Kept {
    pub(super) segment: Arc<Segment>,
    /// The end of its records.
    pub(super) length: u64,
}

impl Segment {
    /// The path of a segment.
    pub(super) fn path(directory: &Directory, number: u64) -> PathBuf {
        directory.at(&file_name(number))
    }

    /// How a file begins that has the name of a segment of any log.
    pub(super) fn beginning(vfs: &dyn Vfs, path: &Path) -> io::Result<Beginning> {
        Beginning::of::<{ START as usize }>(vfs, path, MAGIC)
    }

    /// Make a segment. Nothing may have its name.
    pub(super) fn create(directory: &Directory, log: u64, number: u64) -> io::Result<Self> {
        let path = Self::path(directory, number);
        // Users who may read `synced` may read this.
        let file = directory.vfs.create(&path, Some(&Synced::path(directory)))?;
        file.write_at(0, &start(log, number))?;
        Ok(Self::new(directory, log, number, file))
    }

    /// Open a segment; `None` if the file is not this segment of this log.
    pub(super) fn open(directory: &Directory, log: u64, number: u64, purpose: Purpose) -> io::Result<Option<Self>> {
        let file = purpose.open(&*directory.vfs, &Self::path(directory, number))?;
        let mut found = [0; START as usize];
        match file.read_at(0, &mut found) {
            Ok(()) => Ok((found == start(log, number)).then(|| Self::new(directory, log, number, file))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn new(directory: &Directory, log: u64, number: u64, file: Box<dyn VfsFile>) -> Self {
        let seed = crc32c::crc32c_append(crc32c::crc32c(&log.to_le_bytes()), &number.to_le_bytes());
        Self { number, seed, vfs: Arc::clone(&directory.vfs), path: Self::path(directory, number), file }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn seed(&self) -> u32 {
        self.seed
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    /// Check that the file still has its name: otherwise nobody finds what is written to it.
    pub(super) fn check_in_place(&self) -> io::Result<()> {
        self.file.check_at(&self.path)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// The checksum of bytes that the file has. Few of them are in memory at a time.
    pub(super) fn sum(&self, offset: u64, length: u64) -> io::Result<u32> {
        let mut sum = 0;
        for at in (0..length).step_by(CHUNK as usize) {
            sum = crc32c::crc32c_append(sum, &self.bytes(offset + at, CHUNK.min(length - at))?);
        }
        Ok(sum)
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        self.file.len()
    }

    pub(super) fn cut(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Remove the file. Holders of this segment can still read it.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.vfs.remove(&self.path)
    }

    /// Read bytes that the file has.
    pub(super) fn bytes(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = zeros(length)?;
        self.file.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }
}
