//! The file system of the machine, read-only.

use std::io;
use std::path::{Path, PathBuf};

use super::os::{OsFile, OsVfs};
use super::{Vfs, VfsFile, VfsLock};
use crate::lock::LockError;
use crate::open::open_to_read;

/// The file system of the machine, read-only: files are opened for reading, and everything else is
/// refused. So it works with files and directories that this user may not write.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyVfs;

impl Vfs for ReadOnlyVfs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(OsFile(open_to_read(path)?)))
    }

    fn create(&self, _: &Path, _: Option<&Path>) -> io::Result<Box<dyn VfsFile>> {
        Err(refused())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OsVfs.list(dir)
    }

    fn create_dir(&self, _: &Path, _: Option<&Path>) -> io::Result<()> {
        Err(refused())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn resolve(&self, dir: &Path) -> io::Result<PathBuf> {
        OsVfs.resolve(dir)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        Err(refused().into())
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "opened read-only")
}
