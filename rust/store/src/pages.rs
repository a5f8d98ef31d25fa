//! Where the pages of the record database stand in its file, and where their checksums.
//!
//! ```text
//! page 0       header, of which one sector is used; the rest of the page is never written
//! page 1       checksums of the next 1,024 pages, u32 each
//! page 2...    1,024 pages of redb: its pages 1 to 1,024
//! page 1,026   checksums of the next 1,024 pages
//! ...
//!
//! header       0    320  the header of redb
//!              320    8  magic: TIERCELR
//!              328    4  format version, u32: 3; 2 without what stands from byte 356 on; 4 if byte 380 is not 0
//!              332    8  pages of redb, its header's page included, u64
//!              340    1  1: written after all before it was synced; 0: written before the sync
//!              341    3  zeros
//!              344    4  number of the file, u32: each compaction writes another one
//!              348    8  how often a view was made, u64; pages of the last two are not written, see `view_file`
//!              356   16  the identity of the collection
//!              372    8  how often the database was written, in all files that bore its name, u64
//!              380    4  how often the rows were numbered anew, u32, see `renumber`
//!              384  124  zeros
//!              508    4  CRC32C of the bytes before, u32
//! ```
//!
//! All is little endian. The header is one sector, because a disk writes a sector whole or not at all, and so is a checksum.
//! The checksum of a page is the CRC32C of its bytes, exclusive-or that of a page of zeros: so a page that was never
//! written, a hole in the file, has the checksum 0, which is a hole, too.

use std::io;
use std::sync::LazyLock;

use crate::errors::{Corruption, ReadError};
use crate::identity::Identity;
use crate::names::RECORDS_FILE;
use crate::sector::{SECTOR, read_sector};
use crate::vfs::VfsFile;

/// Bytes of a page, here and in redb.
pub(crate) const PAGE: usize = 4096;
/// Pages under one page of checksums.
const GROUP: u64 = PAGE as u64 / 4;
/// Checksums in a sector.
pub(crate) const SUMS: u64 = SECTOR as u64 / 4;
/// Bytes of redb's header.
pub(crate) const REDB_HEADER: usize = 320;

const MAGIC: &[u8; 8] = b"TIERCELR";
const VERSION: u32 = 4;
/// The version of a database whose rows have the numbers that they got first. An earlier tiercel, which would take new numbers for old ones
/// where it reads along, refuses the next one.
const NUMBERED_ONCE: u32 = 3;
/// The oldest version that is read: it has zeros in place of the identity and of the number of writes.
const OLDEST: u32 = 2;

/// Where a page of redb starts, from its page 1 on.
pub(crate) fn page_at(page: u64) -> u64 {
    let index = page - 1;
    (1 + index / GROUP * (GROUP + 1) + 1 + index % GROUP) * PAGE as u64
}

/// How many pages from this one on follow one another in the file.
pub(crate) fn contiguous(page: u64) -> u64 {
    GROUP - (page - 1) % GROUP
}

/// Where a sector of checksums starts: sector 0 has those of pages 1 to 128.
pub(crate) fn sums_at(sector: u64) -> u64 {
    const SECTORS: u64 = (PAGE / SECTOR) as u64;
    (1 + sector / SECTORS * (GROUP + 1)) * PAGE as u64 + sector % SECTORS * SECTOR as u64
}

/// In which sector the checksum of a page is.
pub(crate) fn sector_of(page: u64) -> u64 {
    (page - 1) / SUMS
}

/// Bytes of a file that holds so many pages of redb; `None` for none, or more than a file can hold.
pub(crate) fn file_len(pages: u64) -> Option<u64> {
    let data = pages.checked_sub(1)?;
    let all = data.checked_add(data.div_ceil(GROUP))?.checked_add(1)?;
    all.checked_mul(PAGE as u64)
}

/// The checksum of a page.
pub(crate) fn checksum(page: &[u8]) -> u32 {
    static ZEROS: LazyLock<u32> = LazyLock::new(|| crc32c::crc32c(&[0; PAGE]));
    crc32c::crc32c(page) ^ *ZEROS
}

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The header of redb.
    pub(crate) redb: [u8; REDB_HEADER],
    /// Pages of redb.
    pub(crate) pages: u64,
    /// Whether all that was written before it had been synced.
    pub(crate) synced: bool,
    /// Number of the file.
    pub(crate) file: u32,
    /// How often a view was made.
    pub(crate) views: u64,
    /// Which collection it belongs to.
    pub(crate) identity: Identity,
    /// How often the database was written: of two copies the one with the smaller number is older.
    pub(crate) writes: u64,
    /// How often the rows were numbered anew.
    pub(crate) numbering: u32,
}

impl Header {
    /// Whether pages that this header needs may have been written when the header of the file is `now`.
    pub(crate) fn is_outdated(&self, now: &Self) -> bool {
        self.file != now.file || now.views.saturating_sub(self.views) >= 2
    }

    /// Check that the file is not older than one beside it, the witness, that knows how often it was
    /// written.
    pub(crate) fn check_age(&self, writes: u64, witness: &str) -> Result<(), ReadError> {
        if self.writes >= writes {
            return Ok(());
        }
        let got = self.writes;
        let what =
            format!("header: expected write {writes} or a later one, as {witness} says, got {got}: an older copy");
        Err(Corruption { file: RECORDS_FILE.to_owned(), what, offset: Some(372) }.into())
    }

    pub(crate) fn encode(&self) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        bytes[..REDB_HEADER].copy_from_slice(&self.redb);
        bytes[320..328].copy_from_slice(MAGIC);
        let version = if self.numbering == 0 { NUMBERED_ONCE } else { VERSION };
        bytes[328..332].copy_from_slice(&version.to_le_bytes());
        bytes[332..340].copy_from_slice(&self.pages.to_le_bytes());
        bytes[340] = u8::from(self.synced);
        bytes[344..348].copy_from_slice(&self.file.to_le_bytes());
        bytes[348..356].copy_from_slice(&self.views.to_le_bytes());
        bytes[356..372].copy_from_slice(&self.identity.0);
        bytes[372..380].copy_from_slice(&self.writes.to_le_bytes());
        bytes[380..384].copy_from_slice(&self.numbering.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..508]);
        bytes[508..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header in these bytes, or what is wrong with them and where.
    pub(crate) fn decode(bytes: &[u8; SECTOR]) -> Result<Self, (String, u64)> {
        let field = |at: usize| bytes[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if &bytes[320..328] != MAGIC {
            let got = bytes[320..328].escape_ascii();
            return Err((format!("header: expected TIERCELR, got {got}"), 320));
        }
        if !(OLDEST..=VERSION).contains(&field(328)) {
            return Err((format!("header: expected format version {OLDEST} to {VERSION}, got {}", field(328)), 328));
        }
        let (expected, got) = (field(508), crc32c::crc32c(&bytes[..508]));
        if expected != got {
            return Err((format!("header: expected checksum {expected:08x}, got {got:08x}"), 0));
        }
        let mut redb = [0; REDB_HEADER];
        redb.copy_from_slice(&bytes[..REDB_HEADER]);
        let long = |at: usize| u64::from(field(at)) | u64::from(field(at + 4)) << 32;
        Ok(Self {
            redb,
            pages: long(332),
            synced: bytes[340] != 0,
            file: field(344),
            views: long(348),
            identity: Identity::at(bytes, 356),
            writes: long(372),
            numbering: field(380),
        })
    }
}

/// The header of a file.
pub(crate) fn read_header(file: &dyn VfsFile, name: &str) -> Result<Header, ReadError> {
    let corrupt = |what: String, offset: u64| Corruption { file: name.to_owned(), what, offset: Some(offset) };
    let got = file.len()?;
    if got < SECTOR as u64 {
        return Err(corrupt(format!("file: expected a header of {SECTOR} bytes, got {got}"), got).into());
    }
    Ok(read_sector(file, Header::decode)?.map_err(|(what, offset)| corrupt(what, offset))?)
}

/// The header of a file, the length it must have, and the checksums of its pages.
pub(crate) fn load(file: &dyn VfsFile, name: &str) -> Result<(Header, u64, Vec<u32>), ReadError> {
    let header = read_header(file, name)?;
    let got = file.len()?;
    let mut bytes = [0; SECTOR];
    let Some(len) = file_len(header.pages).filter(|&len| len <= got) else {
        let what = format!("file: expected {} pages, as its header says, got {got} bytes", header.pages);
        return Err(Corruption { file: name.to_owned(), what, offset: Some(got) }.into());
    };
    let count = (header.pages - 1) as usize;
    let mut sums = Vec::new();
    let room = sums.try_reserve_exact(count.next_multiple_of(SUMS as usize));
    room.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    for sector in 0..(count as u64).div_ceil(SUMS) {
        file.read_at(sums_at(sector), &mut bytes)?;
        sums.extend(bytes.chunks_exact(4).map(|sum| sum.first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum))));
    }
    sums.truncate(count);
    Ok((header, len, sums))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_checksums_fill_the_file_without_overlap() {
        let pages = 3 * GROUP + 7;
        let mut taken = vec![0_u64];
        taken.extend((1..pages).map(|page| page_at(page) / PAGE as u64));
        let sectors = sector_of(pages - 1) + 1;
        taken.extend((0..sectors).map(|sector| sums_at(sector) / PAGE as u64));
        taken.sort_unstable();
        taken.dedup();
        let all: Vec<u64> = (0..file_len(pages).unwrap() / PAGE as u64).collect();
        assert_eq!(taken, all);
        assert_eq!((contiguous(1), contiguous(GROUP), contiguous(GROUP + 1)), (GROUP, 1, GROUP));
    }

    #[test]
    fn header_comes_back_and_no_flipped_bit_passes() {
        let header = Header {
            redb: [7; REDB_HEADER],
            pages: 0x1_0000_0003,
            synced: true,
            file: 5,
            views: 0x2_0000_0001,
            identity: Identity([9; Identity::LEN]),
            writes: 0x3_0000_0007,
            numbering: 6,
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap(), header);
        for bit in 0..8 * SECTOR {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes).is_err(), "bit {bit}");
        }
    }
}
