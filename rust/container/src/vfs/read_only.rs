//! The file system of the machine, read-only.

use std::io;
use std::path::{Path, PathBuf};

use super::os::OsVfs;
use super::{DirEntry, Metadata, Vfs, VfsFile, VfsLock};
use crate::lock::LockError;

/// The file system of the machine, read-only: files are opened for reading and locked for sharing, and
/// everything that changes something is refused. So it works with files and directories that this user may not write.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyVfs;

impl Vfs for ReadOnlyVfs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        OsVfs.open_to_read(path)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        OsVfs.open_to_read(path)
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

    fn entries(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        OsVfs.entries(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        OsVfs.metadata(path)
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

    fn sync_file_system(&self, _: &Path) -> io::Result<bool> {
        Err(refused())
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        Err(refused().into())
    }

    fn lock_shared(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        OsVfs.lock_shared(path)
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "opened read-only")
}
