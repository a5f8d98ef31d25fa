//! The file system of the machine.

use std::fs::{self, File, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::{DirEntry, FileKind, Metadata, Vfs, VfsFile, VfsLock};
use crate::directory::sync_directory;
use crate::lock::{Lock, LockError};
use crate::open::{above_standard, create_new, open_to_read, open_to_write, read_through_links};
use crate::permissions::keep_permissions;
use crate::place::is_at;
use crate::positioned::{read_at, write_at};

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

impl Vfs for OsVfs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(OsFile(open_to_write(path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(OsFile(open_to_read(path)?)))
    }

    fn create(&self, path: &Path, like: Option<&Path>) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(OsFile(create_new(path, like)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok(DirEntry { name, kind: kind(entry.file_type()?) })
        };
        fs::read_dir(dir)?.map(entry).collect()
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let there = fs::symlink_metadata(path)?;
        Ok(Metadata { kind: kind(there.file_type()), len: there.len() })
    }

    fn create_dir(&self, dir: &Path, like: Option<&Path>) -> io::Result<()> {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            Err(error) => Err(error),
            Ok(()) => match like {
                // Other systems do not open directories, and have nothing to keep.
                Some(old) if cfg!(unix) => keep_permissions(&File::open(dir)?, &fs::metadata(old)?),
                _ => Ok(()),
            },
        }
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn resolve(&self, dir: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sync_directory(dir)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn sync_file_system(&self, dir: &Path) -> io::Result<bool> {
        rustix::fs::syncfs(File::open(dir)?)?;
        Ok(true)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn sync_file_system(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        Ok(Box::new(Lock::take(path)?))
    }

    fn lock_shared(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        Ok(Box::new(Lock::share(path)?))
    }
}

fn kind(there: FileType) -> FileKind {
    if there.is_file() {
        FileKind::Regular
    } else if there.is_dir() {
        FileKind::Directory
    } else {
        FileKind::Other
    }
}

#[derive(Debug)]
struct OsFile(File);

/// Open an empty file without a name, which disappears when it is closed. It is in this directory;
/// without one in that for temporary files, which the system or `TMPDIR` names.
pub fn unnamed_file(directory: Option<&Path>) -> io::Result<Box<dyn VfsFile>> {
    let file = directory.map_or_else(tempfile::tempfile, tempfile::tempfile_in)?;
    Ok(Box::new(OsFile(above_standard(file)?)))
}

/// Open a file to read it, through symbolic links: for a path that the user chose.
pub fn open_through_links(path: &Path) -> io::Result<Box<dyn VfsFile>> {
    Ok(Box::new(OsFile(read_through_links(path)?)))
}

impl VfsFile for OsFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_at(&self.0, offset, out)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn will_read(&self, offset: u64, len: usize) {
        // Without the advice, reading only takes longer.
        let len = std::num::NonZeroU64::new(len as u64);
        let _ = rustix::fs::fadvise(&self.0, offset, len, rustix::fs::Advice::WillNeed);
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(&self.0, offset, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    #[cfg(unix)]
    fn allocated(&self) -> io::Result<u64> {
        // The unit is 512 bytes on every Unix, whatever the block size of the file system.
        Ok(std::os::unix::fs::MetadataExt::blocks(&self.0.metadata()?) * 512)
    }

    #[cfg(not(unix))]
    fn allocated(&self) -> io::Result<u64> {
        self.len()
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        is_at(&self.0, path)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl VfsLock for Lock {
    fn check(&self) -> io::Result<()> {
        Self::check(self)
    }

    fn sign(&self) -> io::Result<()> {
        Self::sign(self)
    }
}
