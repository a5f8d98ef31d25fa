//! Whose a directory is: a tier begins in one that is empty, and goes on in its own.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use crate::OpenError;
use crate::lock;
use crate::log;

/// What file systems and desktops put into directories that are empty to their users.
const IGNORED: &str = "lost+found";

/// Make a directory that is not there, and refuse one that has something in it and is no tier's. `is_ours` tells that of a directory, and
/// `is_nothing` of an entry that the beginning of a tier may have left.
pub(crate) fn claim(
    directory: &Path,
    is_ours: impl FnOnce() -> io::Result<bool>,
    is_nothing: impl Fn(&DirEntry, &str) -> io::Result<bool>,
) -> Result<(), OpenError> {
    fs::create_dir_all(directory)?;
    if is_ours()? {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_left = name == IGNORED || (name.starts_with('.') && !log::is_name(&name));
        if !is_left && !is_begun(&entry, &name)? && !is_nothing(&entry, &name)? {
            return Err(OpenError::Foreign(name));
        }
    }
    Ok(())
}

/// Claim a directory for a log.
pub(crate) fn claim_log(directory: &Path) -> Result<(), OpenError> {
    claim(directory, || log::is_there(directory), |_, _| Ok(false))
}

/// Whether a file is one that was made and not yet written to.
fn is_begun(entry: &DirEntry, name: &str) -> io::Result<bool> {
    let kind = entry.file_type()?;
    Ok(kind.is_file() && (name == lock::NAME || log::is_name(name)) && entry.metadata()?.len() == 0)
}
