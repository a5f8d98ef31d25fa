//! Claiming a directory: a tier begins in an empty one, and continues in its own.

use std::io;

use tiercel_container::{DirEntry, FileKind, comes_by_itself, make_directory, sync_parent};

use crate::OpenError;
use crate::directory::Directory;
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
/// left an entry. The name of a directory in which a tier begins survives a power cut.
pub(crate) fn claim(
    directory: &Directory,
    begin: Begin,
    is_ours: impl FnOnce() -> io::Result<bool>,
    is_nothing: impl Fn(&DirEntry) -> io::Result<bool>,
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
    for entry in directory.vfs.entries(&directory.path)? {
        if !comes_by_itself(&entry.name) && !is_begun(directory, &entry)? && !is_nothing(&entry)? {
            return Err(OpenError::Foreign(entry.name));
        }
    }
    Ok(sync_parent(&*directory.vfs, &directory.path)?)
}

/// Make a directory, and those above it, unless it exists. The error says why a path cannot be one:
/// it is a file, or a link that leads in a circle.
fn make(directory: &Directory) -> io::Result<()> {
    match directory.vfs.resolve(&directory.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_directory(&*directory.vfs, &directory.path, None),
        there => there.map(drop),
    }
}

/// Claim a directory for a log.
pub(crate) fn claim_log(directory: &Directory, begin: Begin) -> Result<(), OpenError> {
    claim(directory, begin, || log::is_there(directory), |_| Ok(false))
}

/// Whether an entry is a file of a tier that was made and not yet written to.
fn is_begun(directory: &Directory, entry: &DirEntry) -> io::Result<bool> {
    let is_named = entry.name == lock::NAME || log::is_name(&entry.name);
    let is_empty = || Ok(directory.vfs.metadata(&directory.at(&entry.name))?.len == 0);
    if entry.kind == FileKind::Regular && is_named { is_empty() } else { Ok(false) }
}
