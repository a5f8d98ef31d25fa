//! All disk access as one trait, so that tests can simulate the disk.

mod os;
mod read_only;
mod reader;
mod writer;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use crate::lock::LockError;
use crate::place::gone;

pub use os::{OsVfs, open_through_links, unnamed_file};
pub use read_only::ReadOnlyVfs;
pub use reader::VfsReader;
pub use writer::VfsWriter;

/// A file system.
///
/// A change survives a power cut only after a sync: of the file for its content and length, of the
/// directory for names that were made, renamed or removed in it.
pub trait Vfs: Debug + Send + Sync {
    /// Open an existing file to read and write it. Anything but a regular file is refused,
    /// including a symbolic link.
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>>;

    /// As [`Self::open`], but only to read it, so that it works with files that this user may not
    /// write.
    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn VfsFile>>;

    /// Make a file and open it to read and write it; fails if anything has its name. It gets the
    /// permissions of the file `like` if that exists.
    fn create(&self, path: &Path, like: Option<&Path>) -> io::Result<Box<dyn VfsFile>>;

    /// Rename a file. It replaces a file with the new name atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Remove a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Names in a directory, in any order. Parts of a name that are not Unicode are replaced.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Names in a directory as [`Self::list`] returns them, and what has them.
    fn entries(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Kind and length of the file at `path`. Symbolic links are not followed.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// Make a directory with the permissions of the directory `like`, unless it exists.
    fn create_dir(&self, dir: &Path, like: Option<&Path>) -> io::Result<()>;

    /// Remove an empty directory.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// The path of a directory without links and `..`.
    fn resolve(&self, dir: &Path) -> io::Result<PathBuf>;

    /// Make the names in a directory survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Sync every file and directory of the file system that a directory is on. Return false if
    /// this cannot be done: then nothing was synced.
    fn sync_file_system(&self, dir: &Path) -> io::Result<bool>;

    /// Lock a file against all other openers until the lock is dropped. The file is made if it is
    /// missing, and is never renamed or removed.
    fn lock(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError>;

    /// Lock an existing file against openers who [lock](Self::lock) it, but not against others who
    /// share it. Such a lock cannot be signed.
    fn lock_shared(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError>;
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name. Parts that are not Unicode are replaced.
    pub name: String,
    /// What has it.
    pub kind: FileKind,
}

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The kind of file.
    pub kind: FileKind,
    /// Length in bytes, of a regular file.
    pub len: u64,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link, a pipe, a socket or a device.
    Other,
}

/// An open file; closed when it is dropped.
#[expect(clippy::len_without_is_empty, reason = "nobody would use an is_empty")]
pub trait VfsFile: Debug + Send + Sync {
    /// Read `out.len()` bytes; fewer are an error.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Tell the system that these bytes will be read soon, so that it can fetch several ranges at
    /// once. It may do nothing.
    fn will_read(&self, offset: u64, len: usize) {
        let _ = (offset, len);
    }

    /// Write all bytes. On failure any part of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Cut the file, or extend it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Bytes that the file takes on the disk: fewer than its length if it has holes.
    fn allocated(&self) -> io::Result<u64>;

    /// Whether this file has the name now.
    fn is_at(&self, path: &Path) -> io::Result<bool>;

    /// Check that this file still has the name: otherwise nobody finds what is written to it.
    fn check_at(&self, path: &Path) -> io::Result<()> {
        if self.is_at(path)? { Ok(()) } else { Err(gone(path)) }
    }

    /// Make content and length survive a power cut. After a failure nothing is known about either.
    fn sync(&self) -> io::Result<()>;

    /// As [`Self::sync`], and for the permissions, too.
    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

/// A lock that ends when it is dropped.
pub trait VfsLock: Debug + Send + Sync {
    /// Check that the locked file still has its name, so that nobody else can have taken the lock.
    fn check(&self) -> io::Result<()>;

    /// Write the id of this process into the file.
    fn sign(&self) -> io::Result<()>;
}
