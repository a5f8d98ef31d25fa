//! Looking at a directory: it holds a collection, nothing, or something that must be left as it is.

use std::io;
use std::path::Path;

use tiercel_container::log::{self, FIRST, LogFile};
use tiercel_container::{NotRegular, Vfs, is_temporary};

use crate::errors::{Corruption, OpenError, RESTORE};
use crate::names::{LOCK_FILE, RECORDS_FILE, VIEW_FILE};
use crate::segment;

/// Bytes at the start of a file that identify it as one of ours.
const START: usize = 328;
/// Maximum bytes of `LOCK`.
const MOST_OF_LOCK: u64 = 32;

/// The content of a directory.
pub(crate) enum Found {
    Store,
    /// Nothing, or the beginnings of a store that was never finished.
    Nothing,
    /// Files of others, with these names.
    Others(Vec<String>),
}

/// Whether a directory has a store. A lost record database is an error. A directory with only files
/// of others has none.
pub(crate) fn is_store(vfs: &dyn Vfs, dir: &Path) -> Result<bool, OpenError> {
    Ok(matches!(look(vfs, dir)?, Found::Store))
}

/// Look at a directory. It is an error if it had a store and its record database is missing.
pub(crate) fn look(vfs: &dyn Vfs, dir: &Path) -> Result<Found, OpenError> {
    let mut names = match vfs.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        names => names?,
    };
    if names.iter().any(|name| name == RECORDS_FILE) {
        return Ok(Found::Store);
    }
    names.retain(|name| !is_temporary(name) && !tiercel_container::comes_by_itself(name));
    if names.iter().any(|name| name == LOCK_FILE) && is_lock(vfs, dir)? {
        names.retain(|name| name != LOCK_FILE);
    }
    names.sort_unstable();
    if names == [log::file_name(1)] && is_beginning(vfs, dir)? {
        return Ok(Found::Nothing);
    }
    for name in &names {
        if is_ours(vfs, dir, name)? {
            let what = format!(
                "expected the record database of the collection that {name} belongs to, got no file: {RESTORE}"
            );
            return Err(Corruption { file: RECORDS_FILE.to_owned(), what, offset: None }.into());
        }
    }
    Ok(if names.is_empty() { Found::Nothing } else { Found::Others(names) })
}

/// Whether `LOCK` has the content of a lock: nothing, or the id of a process.
fn is_lock(vfs: &dyn Vfs, dir: &Path) -> Result<bool, OpenError> {
    let file = match vfs.open(&dir.join(LOCK_FILE)) {
        // Users who may not read it cannot lock it either; locking reports that.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(true);
        }
        Err(error) if NotRegular::is(&error) => return Ok(false),
        file => file?,
    };
    let len = file.len()?;
    let mut content = [0; MOST_OF_LOCK as usize];
    let content = &mut content[..len.min(MOST_OF_LOCK) as usize];
    file.read_at(0, content)?;
    Ok(len <= MOST_OF_LOCK && content.trim_ascii().iter().all(u8::is_ascii_digit))
}

/// Whether the log says that its store was never finished, so that nothing was acknowledged.
fn is_beginning(vfs: &dyn Vfs, dir: &Path) -> Result<bool, OpenError> {
    let opened = vfs.open(&dir.join(log::file_name(1))).map_err(Into::into).and_then(|file| LogFile::open(file, 1));
    match opened {
        Ok((file, header)) => Ok(header.making && file.file.len()? == FIRST),
        Err(crate::errors::ReadError::Corrupt(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a file with one of our names is really ours.
fn is_ours(vfs: &dyn Vfs, dir: &Path, name: &str) -> Result<bool, OpenError> {
    let is_log = log::number_of(name).is_some();
    let is_segment = name.strip_suffix(segment::SUFFIX).is_some_and(segment::is_segment_name);
    if !is_log && !is_segment && name != VIEW_FILE {
        return Ok(false);
    }
    let file = match vfs.open(&dir.join(name)) {
        Err(error) if NotRegular::is(&error) => return Ok(false),
        file => file?,
    };
    let mut start = [0; START];
    let len = file.len()?.min(START as u64) as usize;
    file.read_at(0, &mut start[..len])?;
    let magic = if name == VIEW_FILE { &start[320..] } else { &start[..8] };
    Ok([b"TIERCELL", b"TIERCELS", b"TIERCELR"].iter().any(|known| *known == magic))
}
