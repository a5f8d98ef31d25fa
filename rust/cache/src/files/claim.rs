//! Claiming a directory: files begin in an empty one, and continue in their own.

use tiercel_container::{DirEntry, FileKind};

use super::blobs;
use crate::OpenError;
use crate::claim::{Begin, claim};
use crate::directory::Directory;
use crate::log;

/// Names in the directory beside the lock.
pub(super) const LEDGER: &str = "ledger";
pub(super) const BLOBS: &str = "blobs";

/// Make a directory for files, and refuse one with other content.
pub(super) fn claim_files(directory: &Directory, begin: Begin) -> Result<(), OpenError> {
    let (ledger, blobs) = (directory.below(LEDGER), directory.below(BLOBS));
    let is_ours = || Ok((ledger.exists()? && log::is_there(&ledger)?) || blobs::is_there(&blobs)?);
    claim(directory, begin, is_ours, |entry: &DirEntry| {
        let is_directory = entry.kind == FileKind::Directory;
        Ok(is_directory && (entry.name == LEDGER || (entry.name == BLOBS && blobs::is_empty(&blobs)?)))
    })?;
    Ok(ledger.make()?)
}
