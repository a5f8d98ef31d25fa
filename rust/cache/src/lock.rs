//! One tier per directory.

use std::io;

use tiercel_container::{LockError, VfsLock};

use crate::OpenError;
use crate::directory::Directory;

pub(crate) const NAME: &str = "LOCK";

/// Keeps all other tiers, of this process or another, out of directories.
pub(crate) struct Lock {
    /// The system releases the lock when the files are closed, however the process ends.
    files: Vec<Box<dyn VfsLock>>,
}

impl Lock {
    pub(crate) fn take(directories: &[&Directory]) -> Result<Self, OpenError> {
        let take = |directory: &&Directory| directory.vfs.lock(&directory.at(NAME)).map_err(why);
        Ok(Self { files: directories.iter().map(take).collect::<Result<_, _>>()? })
    }

    /// Return an error if a file of the lock was removed or replaced: then another process may have
    /// the directory.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.check())
    }
}

/// Take the lock of a directory, if there is one, shared with others who only read.
pub(crate) fn share(directory: &Directory) -> Result<Option<Box<dyn VfsLock>>, OpenError> {
    match directory.vfs.lock_shared(&directory.at(NAME)) {
        Err(LockError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        lock => lock.map(Some).map_err(why),
    }
}

fn why(error: LockError) -> OpenError {
    match error {
        LockError::Held { .. } => OpenError::AlreadyOpen,
        LockError::Io(error) => error.into(),
    }
}
