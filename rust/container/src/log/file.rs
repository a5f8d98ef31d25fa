//! The log: everything committed, in the order of commits, in files `log-<n>` that are only
//! appended to.
//!
//! ```text
//! header   0     8  magic: TIERCELL
//!          8     4  format version, u32: 2; version 1 has zeros from byte 37 on
//!          12    8  number of the file, n, u64
//!          20    8  sequence number of the last batch before it, u64
//!          28    8  the bytes of the file that have been synced, u64
//!          36    1  1: the log goes on in file n + 1
//!          37    1  1: the collection is being made, and has no record database yet
//!          38    2  zeros
//!          40   16  the identity of the collection
//!          56    8  writes of the record database when segments were last published, u64
//!          64    4  the chain of all groups before the file, u32: CRC32C of their checksums; 0 if unknown
//!          68  440  zeros
//!          508   4  CRC32C of the bytes before, u32
//! group    0     8  length of its batches in bytes, u64
//!          8     8  sequence number of its first batch, u64
//!          16    4  number of its batches, u32
//!          20    4  the row of its first upsert, u32
//!          24    4  CRC32C of the 24 bytes before and of its batches, u32
//!          28       the batches, as their writer encodes them
//! group    ...
//! ```
//!
//! A group holds the batches that were committed together: either all of them are present or none.
//! After a sync the header is rewritten, without waiting for the disk, to record how far the file
//! is synced. Anything broken before that point is damage; anything broken after it is taken for what
//! a crash left. A power cut may undo the note: groups that were acknowledged as durable then lie
//! after it, whole. The header is one sector, because a disk writes a sector whole or not at all.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::bytes::{WrongChecksum, check_seal, seal, u32_at, u64_at, zeros};
use crate::errors::{Corruption, ReadError};
use crate::identity::Identity;
use crate::sector::{SECTOR, read_sector};
use crate::vfs::VfsFile;

/// Upper bound of the batch and file numbers that are read. Counting on from below it never reaches
/// the end of a u64.
pub const MAX_NUMBER: u64 = 1 << 62;
/// Prefix of the name of a log file; its number follows.
pub const PREFIX: &str = "log-";
const MAGIC: &[u8; 8] = b"TIERCELL";
const VERSION: u32 = 2;
/// The oldest version that is read: its header has zeros in place of later fields.
const OLDEST: u32 = 1;
/// Where the first group starts.
pub const FIRST: u64 = SECTOR as u64;
/// Bytes of a group before its batches.
pub const GROUP: usize = 28;

/// The header of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// Its number.
    pub number: u64,
    /// Sequence number of the last batch before the file.
    pub before: u64,
    /// Bytes that have been synced.
    pub synced: u64,
    /// Whether there is a next file.
    pub ended: bool,
    /// Whether the collection is being made, and may lack other files.
    pub making: bool,
    /// Which collection it belongs to.
    pub identity: Identity,
    /// How often the record database had been written when the log last noted it. A database with
    /// fewer writes is an old copy.
    pub writes: u64,
    /// The chain of all groups before the file.
    pub chain: u32,
}

impl LogHeader {
    /// Return the header of the first file of a collection that is being made.
    pub fn first(identity: Identity) -> Self {
        Self { number: 1, before: 0, synced: FIRST, ended: false, making: true, identity, writes: 0, chain: 0 }
    }

    /// Return the header of the next file, which follows batch `before` and the chain up to it.
    #[must_use]
    pub fn next(&self, before: u64, chain: u32) -> Self {
        Self { number: self.number + 1, before, chain, synced: FIRST, ended: false, ..*self }
    }

    /// Return the bytes of the header.
    pub fn encode(&self) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.before.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.synced.to_le_bytes());
        bytes[36] = u8::from(self.ended);
        bytes[37] = u8::from(self.making);
        bytes[40..56].copy_from_slice(&self.identity.0);
        bytes[56..64].copy_from_slice(&self.writes.to_le_bytes());
        bytes[64..68].copy_from_slice(&self.chain.to_le_bytes());
        seal(0, &mut bytes);
        bytes
    }

    /// Decode a header, or return the error and its byte offset.
    fn decode(bytes: &[u8; SECTOR]) -> Result<Self, (String, u64)> {
        if &bytes[..8] != MAGIC {
            return Err((format!("header: expected TIERCELL, got {}", bytes[..8].escape_ascii()), 0));
        }
        let version = u32_at(bytes, 8);
        if !(OLDEST..=VERSION).contains(&version) {
            return Err((format!("header: expected format version {VERSION}, got {version}"), 8));
        }
        if let Err(WrongChecksum { expected, got }) = check_seal(0, bytes) {
            return Err((format!("header: expected checksum {expected:08x}, got {got:08x}"), 0));
        }
        let (number, before) = (u64_at(bytes, 12), u64_at(bytes, 20));
        if number.max(before) >= MAX_NUMBER {
            let most = MAX_NUMBER;
            return Err((format!("header: expected numbers below {most}, got {number} and {before}"), 12));
        }
        Ok(Self {
            number,
            before,
            synced: u64_at(bytes, 28),
            ended: bytes[36] != 0,
            making: bytes[37] != 0,
            identity: Identity::at(bytes, 40),
            writes: u64_at(bytes, 56),
            chain: u32_at(bytes, 64),
        })
    }
}

/// The name of a log file.
pub fn file_name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// The number of the log file with this name; `None` for any other name.
pub fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// A log file, open for reading and appending.
#[derive(Debug)]
pub struct LogFile {
    /// The open file.
    pub file: Box<dyn VfsFile>,
    /// Its number.
    pub number: u64,
    /// Sequence number of the last batch before it.
    pub before: u64,
    /// The chain of all groups before it.
    pub chain: u32,
    /// Whether a sync has failed; held while the file is synced.
    has_failed: Mutex<bool>,
}

/// The files of the log, oldest first.
pub type LogFiles = Arc<[Arc<LogFile>]>;

/// A group that was read and matched its checksum.
#[derive(Debug)]
pub struct LoggedGroup {
    /// Number of its first batch.
    pub sequence: u64,
    /// Number of its batches.
    pub count: u32,
    /// The row of its first upsert.
    pub first_row: u32,
    /// The bytes before its batches.
    fixed: [u8; GROUP],
    /// The batches, as their writer encoded them.
    pub batches: Vec<u8>,
    /// Where it starts.
    pub start: u64,
    /// Where the next group starts.
    pub end: u64,
}

impl LoggedGroup {
    /// Number of its last batch.
    pub fn last(&self) -> u64 {
        self.sequence + u64::from(self.count) - 1
    }

    /// Return the chain up to this group; `before` is the chain up to the previous one.
    pub fn chain(&self, before: u32) -> u32 {
        chain(before, &self.fixed)
    }

    /// Return a mark that identifies this group.
    pub fn mark(&self) -> Mark {
        Mark { start: self.start, fixed: self.fixed }
    }
}

/// Identifies a group: where it starts, its numbers and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    start: u64,
    fixed: [u8; GROUP],
}

impl LogFile {
    /// Describe an open file whose header has these fields.
    pub(super) fn new(file: Box<dyn VfsFile>, number: u64, before: u64, chain: u32) -> Self {
        Self { file, number, before, chain, has_failed: Mutex::new(false) }
    }

    /// Sync the file. If several threads do this, the system tells only one of them of a failure,
    /// so they take turns, and after a failure all later syncs fail.
    pub fn sync(&self) -> io::Result<()> {
        let mut has_failed = self.has_failed.lock();
        if *has_failed {
            return Err(io::Error::other(format!("an earlier sync of {} failed", file_name(self.number))));
        }
        self.sync_noting(&mut has_failed)
    }

    /// Sync the file although a sync may have failed: everything that was to be synced then has
    /// been cut off.
    pub(super) fn sync_after_cut(&self) -> io::Result<()> {
        self.sync_noting(&mut self.has_failed.lock())
    }

    fn sync_noting(&self, has_failed: &mut bool) -> io::Result<()> {
        let result = self.file.sync();
        *has_failed = result.is_err();
        result
    }

    /// Open a file and read its header, which must have this number.
    pub fn open(file: Box<dyn VfsFile>, number: u64) -> Result<(Self, LogHeader), ReadError> {
        let mut opened = Self::new(file, number, 0, 0);
        let header = opened.header()?;
        (opened.before, opened.chain) = (header.before, header.chain);
        Ok((opened, header))
    }

    /// Read the header as it is now.
    pub fn header(&self) -> Result<LogHeader, ReadError> {
        let got = self.file.len()?;
        if got < FIRST {
            return Err(self.corrupt(&format!("file: expected a header of {SECTOR} bytes, got {got}"), got));
        }
        let header = read_sector(&*self.file, LogHeader::decode)?;
        let header = header.map_err(|(what, offset)| self.corrupt(&what, offset))?;
        if header.number != self.number {
            return Err(self.corrupt(&format!("header: expected number {}, got {}", self.number, header.number), 12));
        }
        Ok(header)
    }

    /// Read the group at `at` in a file of `len` bytes. It must follow batch `after`.
    pub fn group(&self, at: u64, len: u64, after: u64) -> Result<LoggedGroup, ReadError> {
        let mut fixed = [0; GROUP];
        if len.saturating_sub(at) < GROUP as u64 {
            return Err(self.corrupt("expected a group", at));
        }
        self.read_within(at, &mut fixed)?;
        let (length, sequence) = (u64_at(&fixed, 0), u64_at(&fixed, 8));
        let start = at + GROUP as u64;
        if length > len - start {
            return Err(self.corrupt("expected a group within the file", at));
        }
        let mut batches = zeros(length)?;
        self.read_within(start, &mut batches)?;
        if checksum(&fixed, &batches) != u32_at(&fixed, 24) {
            return Err(self.corrupt("expected a group that matches its checksum", at));
        }
        let (count, first_row) = (u32_at(&fixed, 16), u32_at(&fixed, 20));
        if sequence != after + 1 || count == 0 {
            return Err(self.corrupt(&format!("expected batch {}, got {count} from {sequence} on", after + 1), at));
        }
        Ok(LoggedGroup { sequence, count, first_row, fixed, batches, start: at, end: start + length })
    }

    /// Whether a group that was read earlier, perhaps through another handle, is still in its
    /// place.
    pub fn has(&self, group: &Mark) -> Result<bool, ReadError> {
        let mut fixed = [0; GROUP];
        match self.read_within(group.start, &mut fixed) {
            Ok(()) => Ok(fixed == group.fixed),
            Err(ReadError::Corrupt(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Read bytes that the file had a moment ago; a writer may have cut it since.
    fn read_within(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        match self.file.read_at(at, out) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.corrupt("expected a group within the file", at))
            }
            result => Ok(result?),
        }
    }

    /// The error for damage in this file, and where it is.
    pub fn corrupt(&self, what: &str, offset: u64) -> ReadError {
        Corruption { file: file_name(self.number), what: what.to_owned(), offset: Some(offset) }.into()
    }
}

/// Return the chain up to a group; `before` is the chain up to the previous one. Two logs with the
/// same chain have the same groups.
pub fn chain(before: u32, group: &[u8]) -> u32 {
    crc32c::crc32c_append(before, &group[24..GROUP]).max(1)
}

/// The checksum of a group: of its fixed part before it, and of its batches.
pub(super) fn checksum(fixed: &[u8], batches: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&fixed[..24]), batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_comes_back_and_no_flipped_bit_passes() {
        let identity = Identity([9; Identity::LEN]);
        let first = LogHeader::first(identity);
        let header =
            LogHeader { number: 7, synced: 12_345, ended: true, writes: 1 << 41, ..first.next(1 << 40, 0xc0de) };
        let bytes = header.encode();
        assert_eq!(LogHeader::decode(&bytes), Ok(header));
        for bit in 0..8 * SECTOR {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(LogHeader::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn names_have_one_form() {
        assert_eq!(number_of(&file_name(12)), Some(12));
        for name in ["log-", "log-01", "log-+1", "log-1.tmp", "log--1", "LOG-1"] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }

    /// The system tells only one caller that a sync has failed.
    #[cfg(feature = "sim")]
    #[test]
    fn after_a_failed_sync_all_others_fail_until_the_rest_is_cut_off() {
        use std::path::Path;

        use crate::sim::{Fault, FaultKind, SimVfs};
        use crate::vfs::Vfs;

        let vfs = SimVfs::new();
        let file = LogFile::new(vfs.create(Path::new("/log-1"), None).unwrap(), 1, 0, 0);
        vfs.set_fault(Some(Fault { nth: 1, forever: false, kind: FaultKind::LostSync }));
        file.sync().unwrap_err();
        let error = file.sync().unwrap_err().to_string();
        assert_eq!(error, "an earlier sync of log-1 failed");
        file.sync_after_cut().and_then(|()| file.sync()).unwrap();
    }
}
