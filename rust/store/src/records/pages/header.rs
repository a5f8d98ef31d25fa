//! The header of the file of the record database.
//!
//! ```text
//! 0    320  the header of redb
//! 320    8  magic: TIERCELR
//! 328    4  format version, u32: 3; 2 has zeros from byte 356 on; 4 if byte 380 is not 0
//! 332    8  pages of redb, its header's page included, u64
//! 340    1  1: written after the sync; 0: written before the sync
//! 341    3  zeros
//! 344    4  number of the file, u32: each compaction writes another one
//! 348    8  number of views made, u64; pages of the last two are not rewritten, see `view_file`
//! 356   16  the identity of the collection
//! 372    8  how often the database was written, in all files that bore its name, u64
//! 380    4  how often the rows were renumbered, u32, see `renumber`
//! 384  124  zeros
//! 508    4  CRC32C of the bytes before, u32
//! ```
//!
//! Everything is little endian. The header is one sector, because a disk writes a sector whole or
//! not at all.

use std::io;

use tiercel_container::{Identity, SECTOR, VfsFile, read_sector};

use crate::errors::{Corruption, ReadError, outdated};
use crate::names::RECORDS_FILE;
use crate::records::pages::layout::{REDB_HEADER, SUMS, file_len, sums_at};

const MAGIC: &[u8; 8] = b"TIERCELR";
const VERSION: u32 = 4;
/// The version of a database whose rows were never renumbered. An earlier tiercel refuses the next
/// version, because it would take new numbers for old ones when it follows a writer.
const NUMBERED_ONCE: u32 = 3;
/// The oldest version that is read: it has zeros in place of the identity and the number of writes.
const OLDEST: u32 = 2;

/// Bytes of checksums that may be holes. A real database has pages behind nearly all of them.
const HOLES: u64 = 1 << 20;

/// The header of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The header of redb.
    pub(crate) redb: [u8; REDB_HEADER],
    /// Pages of redb.
    pub(crate) pages: u64,
    /// Whether everything written before it had been synced.
    pub(crate) synced: bool,
    /// Number of the file.
    pub(crate) file: u32,
    /// Number of views made.
    pub(crate) views: u64,
    /// Which collection it belongs to.
    pub(crate) identity: Identity,
    /// How often the database was written: the copy with fewer writes is older.
    pub(crate) writes: u64,
    /// How often the rows were renumbered.
    pub(crate) numbering: u32,
}

impl Header {
    /// Whether pages that this header needs may have been rewritten when the header of the file is
    /// `now`.
    pub(crate) fn is_outdated(&self, now: &Self) -> bool {
        self.file != now.file || now.views.saturating_sub(self.views) >= 2
    }

    /// Check that the file is not older than `witness`, a file beside it that knows how often it
    /// was written.
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

    /// Decode a header, or return the error and its byte offset.
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

/// Read the header of a file.
pub(crate) fn read(file: &dyn VfsFile, name: &str) -> Result<Header, ReadError> {
    let corrupt = |what: String, offset: u64| Corruption { file: name.to_owned(), what, offset: Some(offset) };
    let got = file.len()?;
    if got < SECTOR as u64 {
        return Err(corrupt(format!("file: expected a header of {SECTOR} bytes, got {got}"), got).into());
    }
    Ok(read_sector(file, Header::decode)?.map_err(|(what, offset)| corrupt(what, offset))?)
}

/// Read the header of a file and the checksums of its pages; return the length that it must have,
/// too.
pub(crate) fn load(file: &dyn VfsFile, name: &str) -> Result<(Header, u64, Vec<u32>), ReadError> {
    let header = read(file, name)?;
    let got = file.len()?;
    let mut bytes = [0; SECTOR];
    let Some(len) = file_len(header.pages).filter(|&len| len <= got) else {
        let what = format!("file: expected {} pages, as its header says, got {got} bytes", header.pages);
        return Err(Corruption { file: name.to_owned(), what, offset: Some(got) }.into());
    };
    let count = (header.pages - 1) as usize;
    // Checksums of pages that were never written are holes. A file of holes must take no memory.
    let allocated = file.allocated()?;
    // Some file systems do not tell, or only later.
    if allocated > 0 && 4 * count as u64 > allocated.saturating_add(HOLES) {
        let what =
            format!("file: expected {} pages, as its header says, got {allocated} bytes and holes", header.pages);
        return Err(Corruption { file: name.to_owned(), what, offset: Some(332) }.into());
    }
    let mut sums = Vec::new();
    let room = sums.try_reserve_exact(count.next_multiple_of(SUMS as usize));
    room.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    for sector in 0..(count as u64).div_ceil(SUMS) {
        file.read_at(sums_at(sector), &mut bytes).map_err(cut_meanwhile)?;
        sums.extend(bytes.chunks_exact(4).map(|sum| sum.first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum))));
    }
    sums.truncate(count);
    Ok((header, len, sums))
}

/// The file was long enough a moment ago: a writer has cut it since.
fn cut_meanwhile(error: io::Error) -> ReadError {
    if error.kind() == io::ErrorKind::UnexpectedEof { outdated() } else { error.into() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tiercel_container::Vfs;
    use tiercel_container::sim::SimVfs;

    use super::*;
    use crate::errors::is_outdated;
    use crate::records::pages::file::PageFile;

    /// A file that a writer has cut since its length was read.
    #[derive(Debug)]
    struct Cut(Box<dyn VfsFile>, u64);

    impl VfsFile for Cut {
        fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read_at(offset, out)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.0.write_at(offset, bytes)
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.1)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }

        fn allocated(&self) -> io::Result<u64> {
            self.0.allocated()
        }

        fn is_at(&self, path: &Path) -> io::Result<bool> {
            self.0.is_at(path)
        }

        fn sync(&self) -> io::Result<()> {
            self.0.sync()
        }
    }

    #[test]
    fn a_file_of_holes_is_refused_before_it_takes_memory() {
        let file = SimVfs::new().create(Path::new("/records"), None).unwrap();
        let header = Header { pages: 1 << 32, ..header() };
        file.write_at(0, &header.encode()).unwrap();
        file.set_len(file_len(header.pages).unwrap()).unwrap();
        let loaded = load(&*file, "records");
        let Err(ReadError::Corrupt(Corruption { what, .. })) = &loaded else { panic!("expected damage") };
        assert!(what.starts_with("file: expected 4294967296 pages"), "{what}");
    }

    #[test]
    fn a_file_that_a_writer_cuts_meanwhile_is_outdated() {
        let file = SimVfs::new().create(Path::new("/records"), None).unwrap();
        file.write_at(0, &header().encode()).unwrap();
        let loaded = load(&Cut(file, file_len(header().pages).unwrap()), "records");
        assert!(matches!(&loaded, Err(ReadError::Io(error)) if is_outdated(error)), "{loaded:?}");
    }

    /// Views are counted even where nothing else can be written: what a crash tore stays marked.
    #[test]
    fn counting_views_does_not_mark_a_file_as_synced() {
        for synced in [false, true] {
            let vfs = SimVfs::new();
            let file = vfs.create(Path::new("/records"), None).unwrap();
            let header = Header { pages: 1, synced, ..header() };
            file.write_at(0, &header.encode()).unwrap();
            file.set_len(file_len(1).unwrap()).unwrap();
            let pages = PageFile::scratch(vfs.open(Path::new("/records")).unwrap(), "records").unwrap();
            pages.count_views(2).unwrap();
            let counted = Header { views: header.views + 2, ..header };
            assert_eq!(read(&*file, "records").unwrap(), counted);
        }
    }

    fn header() -> Header {
        Header {
            redb: [7; REDB_HEADER],
            pages: 200,
            synced: true,
            file: 5,
            views: 0x2_0000_0001,
            identity: Identity([9; Identity::LEN]),
            writes: 0x3_0000_0007,
            numbering: 6,
        }
    }

    #[test]
    fn header_comes_back_and_no_flipped_bit_passes() {
        let header = Header { pages: 0x1_0000_0003, ..header() };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap(), header);
        for bit in 0..8 * SECTOR {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes).is_err(), "bit {bit}");
        }
    }
}
