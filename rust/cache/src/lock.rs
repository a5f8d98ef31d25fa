//! One tier to a directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::OpenError;

const NAME: &str = "LOCK";

/// Directories that no other tier, of this process or of another, has while this is there.
pub(crate) struct Lock {
    /// The system lets go of the lock when the files are closed, however the process ends.
    _files: Vec<File>,
}

impl Lock {
    pub(crate) fn take(directories: &[&Path]) -> Result<Self, OpenError> {
        let files = directories.iter().map(|directory| locked(directory)).collect::<Result<_, _>>()?;
        Ok(Self { _files: files })
    }
}

fn locked(directory: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join(NAME))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::AlreadyOpen),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
