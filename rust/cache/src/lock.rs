//! One tier to a directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::OpenError;

const NAME: &str = "LOCK";

/// A directory that no other tier, of this process or of another, has while this is there.
pub(crate) struct Lock {
    /// The system lets go of the lock when the file is closed, however the process ends.
    _file: File,
}

impl Lock {
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join(NAME))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::AlreadyOpen),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}
