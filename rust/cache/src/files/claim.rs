//! Claiming a directory: files begin in an empty one, and continue in their own.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::blobs;
use crate::OpenError;
use crate::claim::{Begin, claim};
use crate::log;

/// Names in the directory beside the lock.
pub(super) const LEDGER: &str = "ledger";
pub(super) const BLOBS: &str = "blobs";

/// Make a directory for files, and refuse one with other content.
pub(super) fn claim_files(directory: &Path, begin: Begin) -> Result<(), OpenError> {
    let (ledger, blobs) = (directory.join(LEDGER), directory.join(BLOBS));
    let is_ours = || Ok((is_directory(&ledger)? && log::is_there(&ledger)?) || blobs::is_there(&blobs)?);
    claim(directory, begin, is_ours, |entry: &DirEntry, name: &str| {
        let is_directory = entry.file_type()?.is_dir();
        Ok(is_directory && (name == LEDGER || (name == BLOBS && blobs::is_empty(&blobs)?)))
    })?;
    match fs::create_dir(&ledger) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_directory(&ledger)? => Ok(()),
        made => Ok(made?),
    }
}

fn is_directory(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        there => Ok(there?.is_dir()),
    }
}
