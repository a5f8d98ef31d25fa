//! Writing bytes of a log again that are not known to be synced.

use std::io;
use std::ops::Range;

use crate::room::NoRoom;
use crate::vfs::VfsFile;

/// Bytes that are written at a time.
const CHUNK: usize = 1 << 20;

/// Write the bytes of a file again as they are, so that the next sync puts them on the disk. After
/// a failed sync the system may hold bytes that are not there and still count them as written: no
/// later sync would write them.
///
/// A file system may want room for this. Where it has none, what the system holds must do.
pub(super) fn write_again(file: &dyn VfsFile, range: Range<u64>) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        bytes.resize((range.end - at).min(CHUNK as u64) as usize, 0);
        file.read_at(at, &mut bytes)?;
        match file.write_at(at, &bytes) {
            Err(error) if NoRoom::of(&error).is_some() => {}
            written => written?,
        }
        at += bytes.len() as u64;
    }
    Ok(())
}
