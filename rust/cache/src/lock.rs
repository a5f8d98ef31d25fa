//! One tier to a directory.

use std::io;
use std::path::Path;

use tiercel_container as container;

use crate::OpenError;

pub(crate) const NAME: &str = "LOCK";

/// Directories that no other tier, of this process or of another, has while this is there.
pub(crate) struct Lock {
    /// The system lets go of the lock when the files are closed, however the process ends.
    files: Vec<container::Lock>,
}

impl Lock {
    pub(crate) fn take(directories: &[&Path]) -> Result<Self, OpenError> {
        let files = directories.iter().map(|directory| locked(directory)).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// An error if somebody has removed or replaced a file of the lock: then another process may have the directory.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.files.iter().try_for_each(container::Lock::check)
    }
}

fn locked(directory: &Path) -> Result<container::Lock, OpenError> {
    container::Lock::take(&directory.join(NAME)).map_err(|error| match error {
        container::LockError::Held { .. } => OpenError::AlreadyOpen,
        container::LockError::Io(error) => error.into(),
    })
}
