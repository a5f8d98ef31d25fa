//! The view: what other processes read while one writes.
//!
//! A view is a state of the record database whose pages are not rewritten until two more views have
//! been made. The file `view` says where it begins:
//!
//! ```text
//! 0    512     the header of the records file as it was then, see `pages::header`
//! 512  4104 n  pages that redb rewrites sooner: number, u64; content
//!      4       CRC32C of the bytes before
//! ```
//!
//! The pages stored here are those that redb reads when it opens the database: where the free pages
//! are. A reader needs no free page, but redb asks. A read transaction of the writer protects all
//! other pages.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tiercel_container::{Files, SECTOR, Vfs};

use crate::errors::{Corruption, ReadError, outdated};
use crate::names::{RECORDS_FILE, VIEW_FILE};
use crate::records::base::Base;
use crate::records::check::{Scope, check};
use crate::records::database::Db;
use crate::records::pages::file::PageFile;
use crate::records::pages::header::{self, Header};
use crate::records::pages::layout::PAGE;
use crate::records::pages::state::KeptPages;

/// Memory for pages of a database that is only opened.
const CACHE: usize = 1 << 20;
/// Bytes of a page and its number.
const ENTRY: usize = 8 + PAGE;
const CHECKSUM: usize = 4;

/// Write the view file for a view that begins at a header that the records file has now.
pub(crate) fn write(vfs: &dyn Vfs, dir: &Path, header: &Header) -> Result<(), ReadError> {
    let header = Header { synced: true, ..header.clone() };
    let file =
        PageFile::at(vfs.open(&dir.join(RECORDS_FILE))?, RECORDS_FILE, header.clone(), KeptPages::new())?.watched();
    drop(Db::read(file.clone(), CACHE)?);
    let mut bytes = header.encode().to_vec();
    for (number, page) in file.seen() {
        bytes.extend(number.to_le_bytes());
        bytes.extend(&*page);
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    Files::new(vfs, dir, header.identity, RECORDS_FILE).write(VIEW_FILE, |file| Ok(file.write_at(0, &bytes)?))
}

/// Open the record database as the last view shows it, and return whether there is a view. Without
/// one the database is shown as it is now, and nothing protects its pages.
pub(crate) fn open(vfs: &dyn Vfs, dir: &Path, cache_bytes: usize) -> Result<(Base, bool), ReadError> {
    let file = vfs.open(&dir.join(RECORDS_FILE))?;
    let now = header::read(&*file, RECORDS_FILE)?;
    let view = read(vfs, dir)?;
    if let Some((header, _)) = &view {
        check_headers(header, &now)?;
    }
    let view = view.filter(|(header, _)| !header.is_outdated(&now));
    let is_view = view.is_some();
    let (header, kept) = view.unwrap_or_else(|| (now.clone(), KeptPages::new()));
    let current = header == now;
    let file = PageFile::at(file, RECORDS_FILE, header, kept)?;
    // Pages read in between may belong to a later state.
    let later = header::read(&*vfs.open(&dir.join(RECORDS_FILE))?, RECORDS_FILE)?;
    if file.header().is_outdated(&later) || current && later != now {
        return Err(outdated());
    }
    check(&file, Scope::Read)?;
    Ok((Base::new(&Arc::new(Db::read(file, cache_bytes)?))?, is_view))
}

/// Check that a view and the record database with this header belong together. A view that cannot
/// be read passes: a writer makes another one.
pub(crate) fn check_beside(vfs: &dyn Vfs, dir: &Path, records: &Header) -> Result<(), ReadError> {
    let file = match vfs.open(&dir.join(VIEW_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    match header::read(&*file, VIEW_FILE) {
        Ok(header) => check_headers(&header, records),
        Err(ReadError::Corrupt(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn check_headers(view: &Header, records: &Header) -> Result<(), ReadError> {
    if !view.identity.fits(records.identity) {
        let what = view.identity.is_foreign(records.identity, RECORDS_FILE);
        return Err(Corruption { file: VIEW_FILE.to_owned(), what, offset: Some(356) }.into());
    }
    records.check_age(view.writes, VIEW_FILE)
}

/// Read the view file; `None` if there is none.
fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Option<(Header, KeptPages)>, ReadError> {
    let corrupt = |what: String, offset| Corruption { file: VIEW_FILE.to_owned(), what, offset: Some(offset) };
    let file = match vfs.open(&dir.join(VIEW_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let len = file.len()?;
    let rest = len.checked_sub((SECTOR + CHECKSUM) as u64).filter(|rest| rest.is_multiple_of(ENTRY as u64));
    let Some(rest) = rest else {
        return Err(corrupt(format!("file: expected a header and pages, got {len} bytes"), len).into());
    };
    let mut bytes = [0; SECTOR];
    file.read_at(0, &mut bytes)?;
    let header = Header::decode(&bytes).map_err(|(what, offset)| corrupt(what, offset))?;
    let (mut pages, mut sum, mut next) = (KeptPages::new(), crc32c::crc32c(&bytes), 1);
    let mut entry = vec![0; ENTRY];
    // Each page is checked before the next is read, so that a file of holes takes no memory.
    for index in 0..rest / ENTRY as u64 {
        let at = SECTOR as u64 + index * ENTRY as u64;
        file.read_at(at, &mut entry)?;
        sum = crc32c::crc32c_append(sum, &entry);
        let number = entry.first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
        if !(next..header.pages).contains(&number) {
            return Err(corrupt(format!("expected a page from {next} to {}, got {number}", header.pages), at).into());
        }
        pages.insert(number, Arc::from(&entry[8..]));
        next = number + 1;
    }
    let mut stored = [0; CHECKSUM];
    file.read_at(len - CHECKSUM as u64, &mut stored)?;
    if stored != sum.to_le_bytes() {
        return Err(corrupt("file: expected bytes that match their checksum".to_owned(), 0).into());
    }
    Ok(Some((header, pages)))
}
