//! One tier per directory.

use std::io;
use std::path::Path;

use tiercel_container as container;

use crate::OpenError;

pub(crate) const NAME: &str = "LOCK";

/// Keeps all other tiers, of this process or another, out of directories.
pub(crate) struct Lock {
    /// The system releases the lock when the files are closed, however the process ends.
    files: Vec<container::Lock>,
}

impl Lock {
    pub(crate) fn take(directories: &[&Path]) -> Result<Self, OpenError> {
        let files = directories.iter().map(|directory| locked(directory)).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// Return an error if a file of the lock was removed or replaced: then another process may have
    /// the directory.
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
