//! Reading the files of the log.

use std::path::Path;

use crate::errors::ReadError;
use crate::log::file::{self as log_file, FIRST, LogFile, LogFiles, LoggedGroup};
use crate::vfs::Vfs;

/// How far a file was read: the last batch, where its group ends, and the chain up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The last batch.
    pub after: u64,
    /// Where its group ends.
    pub end: u64,
    /// The chain up to it.
    pub chain: u32,
}

impl Place {
    /// The place before the first group of a file.
    pub fn start(file: &LogFile) -> Self {
        Self { after: file.before, end: FIRST, chain: file.chain }
    }

    /// Move to the start of `file`, which must be the next one.
    pub fn in_next(self, file: &LogFile) -> Result<Self, ReadError> {
        if file.before != self.after {
            let what = format!("header: expected batch {} before it, got {}", self.after, file.before);
            return Err(file.corrupt(&what, 20));
        }
        // Earlier versions wrote no chain.
        if file.chain != 0 && file.chain != self.chain {
            return Err(file.corrupt("header: expected the chain of the previous file, got another", 64));
        }
        Ok(Self::start(file))
    }

    /// The place past a group that follows.
    fn past(self, group: &LoggedGroup) -> Self {
        Self { after: group.last(), end: group.end, chain: group.chain(self.chain) }
    }
}

/// Visit the groups of a file of `len` bytes from a place on. A broken group ends the walk if it
/// starts at `sound` or later; before that it is damage.
pub fn walk(
    file: &LogFile,
    from: Place,
    len: u64,
    sound: u64,
    mut each: impl FnMut(&LoggedGroup) -> Result<(), ReadError>,
) -> Result<Place, ReadError> {
    let mut place = from;
    while place.end < len {
        let group = match file.group(place.end, len, place.after) {
            Err(ReadError::Corrupt(_)) if place.end >= sound => break,
            group => group?,
        };
        each(&group)?;
        place = place.past(&group);
    }
    if place.end < sound {
        return Err(file.corrupt(&format!("file: expected {sound} bytes, as its header says, got {len}"), len));
    }
    Ok(place)
}

/// Visit the groups of a file up to batch `until` or the start of the next file. Return where they
/// end.
pub fn read_until<E: From<ReadError>>(
    file: &LogFile,
    next: Option<&LogFile>,
    until: u64,
    mut each: impl FnMut(&LoggedGroup) -> Result<(), E>,
) -> Result<u64, E> {
    let last = next.map_or(until, |next| next.before.min(until));
    let mut place = Place::start(file);
    while place.after < last {
        let len = file.file.len().map_err(ReadError::from)?;
        let group = file.group(place.end, len, place.after)?;
        each(&group)?;
        place = place.past(&group);
    }
    Ok(place.end)
}

/// Return where the groups of a file up to batch `until` end.
pub fn end(file: &LogFile, next: Option<&LogFile>, until: u64) -> Result<u64, ReadError> {
    read_until(file, next, until, |_| Ok(()))
}

/// Read the files of the log up to `end` in the last one, and visit each group.
pub fn verify(
    vfs: &dyn Vfs,
    dir: &Path,
    files: &LogFiles,
    end: u64,
    mut each: impl FnMut(&LogFile, &LoggedGroup) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut place = Place::start(&files[0]);
    for (index, file) in files.iter().enumerate() {
        let (file, _) = LogFile::open(vfs.open(&dir.join(log_file::file_name(file.number)))?, file.number)?;
        let len = if index + 1 < files.len() { file.file.len()? } else { end };
        place = walk(&file, place.in_next(&file)?, len, len, |group| each(&file, group))?;
    }
    Ok(())
}
