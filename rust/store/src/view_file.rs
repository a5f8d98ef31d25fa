//! What other processes read while one writes.
//!
//! A view is a state of the record database whose pages are not written again until two more views have been made. The file
//! `view` says where it begins:
//!
//! ```text
//! 0    512     the header of the records file as it was then, see `pages`
//! 512  4104 n  pages that redb writes again sooner: number, u64; content
//!      4       CRC32C of the bytes before
//! ```
//!
//! The pages that are kept here are those that redb reads when it opens the database: where the free pages are. Whoever reads
//! needs no free page, but redb asks. All else is held in place by a read transaction of the writer.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::base::Base;
use crate::copy;
use crate::database::{Db, FILE};
use crate::errors::{Corruption, ReadError};
use crate::page_file::{KeptPages, PageFile};
use crate::pages::{self, Header, PAGE, SECTOR};
use crate::reader::Reader;
use crate::replay;
use crate::vfs::Vfs;

/// Name of the file.
pub(crate) const VIEW: &str = "view";
/// Memory for pages while a database is opened for nothing else.
const CACHE: usize = 1 << 20;

/// Say that a view begins at a header that the records file has now.
pub(crate) fn write(vfs: &dyn Vfs, dir: &Path, header: &Header) -> Result<(), ReadError> {
    let header = Header { synced: true, ..header.clone() };
    let file = PageFile::at(vfs.open(&dir.join(FILE))?, FILE, header.clone(), KeptPages::new())?.watched();
    drop(Db::new(file.clone(), CACHE)?);
    let mut bytes = header.encode().to_vec();
    for (number, page) in file.seen() {
        bytes.extend(number.to_le_bytes());
        bytes.extend(&*page);
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    copy::write_file(vfs, &dir.join(VIEW), |file| Ok(file.write_at(0, &bytes)?))
}

/// The records of a store as the last view shows them; without one, as they are now.
pub(crate) fn open(vfs: &dyn Vfs, dir: &Path, cache_bytes: usize) -> Result<Reader, ReadError> {
    let file = vfs.open(&dir.join(FILE))?;
    let now = pages::read_header(&*file, FILE)?;
    let (header, kept) = match read(vfs, dir)? {
        Some((header, kept)) if !header.is_outdated(&now) => (header, kept),
        _ => (now.clone(), KeptPages::new()),
    };
    let current = header == now;
    let file = PageFile::at(file, FILE, header, kept)?;
    // What was read meanwhile may belong to what came later.
    let later = pages::read_header(&*vfs.open(&dir.join(FILE))?, FILE)?;
    if file.header().is_outdated(&later) || current && later != now {
        return Err(ReadError::outdated());
    }
    let base = Base::new(&Arc::new(Db::new(file, cache_bytes)?))?;
    let files = replay::open_files(vfs, dir, base.counters().log)?;
    Ok(Reader::of_base(Arc::new(base), files.into_iter().map(|(file, _)| file).collect()))
}

/// What the file says; `None` if there is none.
fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Option<(Header, KeptPages)>, ReadError> {
    let corrupt = |what: String, offset| Corruption { file: VIEW.to_owned(), what, offset };
    let file = match vfs.open(&dir.join(VIEW)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let len = file.len()?;
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?];
    file.read_at(0, &mut bytes)?;
    let sound = bytes.split_last_chunk::<4>().filter(|(summed, sum)| crc32c::crc32c(summed).to_le_bytes() == **sum);
    let Some((header, rest)) = sound.and_then(|(summed, _)| summed.split_first_chunk::<SECTOR>()) else {
        return Err(corrupt("file: expected bytes that match their checksum".to_owned(), 0).into());
    };
    let header = Header::decode(header).map_err(|(what, offset)| corrupt(what, offset))?;
    let page = |bytes: &[u8]| Some((u64::from_le_bytes(*bytes.first_chunk()?), Arc::from(&bytes[8..])));
    Ok(Some((header, rest.chunks_exact(8 + PAGE).filter_map(page).collect())))
}
