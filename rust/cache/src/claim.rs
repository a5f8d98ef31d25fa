//! Claiming a directory: a tier begins in an empty one, and continues in its own.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use tiercel_container::comes_by_itself;

use crate::OpenError;
use crate::lock;
use crate::log;

/// Whether a new tier may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Yes: the directory is made, and those above it, if they are missing.
    IfMissing,
    /// No: the tier must already exist.
    Never,
}

/// Make a missing directory, and refuse one with content that is not a tier's. `is_ours` returns
/// whether the directory is a tier's, and `is_nothing` whether the beginning of a tier may have
/// left an entry.
pub(crate) fn claim(
    directory: &Path,
    begin: Begin,
    is_ours: impl FnOnce() -> io::Result<bool>,
    is_nothing: impl Fn(&DirEntry, &str) -> io::Result<bool>,
) -> Result<(), OpenError> {
    if begin == Begin::IfMissing {
        make(directory)?;
    }
    let is_ours = match is_ours() {
        Err(error) if begin == Begin::Never && error.kind() == io::ErrorKind::NotFound => false,
        ours => ours?,
    };
    if is_ours {
        return Ok(());
    }
    if begin == Begin::Never {
        return Err(OpenError::Missing);
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !comes_by_itself(&name) && !is_begun(&entry, &name)? && !is_nothing(&entry, &name)? {
            return Err(OpenError::Foreign(name));
        }
    }
    Ok(())
}

/// Make a directory, and those above it, unless it exists. The error says why a path cannot be one:
/// it is a file, or a link that leads in a circle.
fn make(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory).map_err(|error| match fs::read_dir(directory) {
        Err(why) if error.kind() == io::ErrorKind::AlreadyExists && why.kind() != io::ErrorKind::NotFound => why,
        _ => error,
    })
}

/// Claim a directory for a log.
pub(crate) fn claim_log(directory: &Path, begin: Begin) -> Result<(), OpenError> {
    claim(directory, begin, || log::is_there(directory), |_, _| Ok(false))
}

/// Whether an entry is a file of a tier that was made and not yet written to.
fn is_begun(entry: &DirEntry, name: &str) -> io::Result<bool> {
    let kind = entry.file_type()?;
    Ok(kind.is_file() && (name == lock::NAME || log::is_name(name)) && entry.metadata()?.len() == 0)
}
