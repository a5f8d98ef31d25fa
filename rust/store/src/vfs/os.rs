//! The file system of the machine.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;

use tiercel_container::{self as container, Lock, NoRoom};

use super::{LockError, Vfs, VfsFile, VfsLock};

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

impl Vfs for OsVfs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(OsFile(container::open_to_write(path)?)))
    }

    fn create(&self, path: &Path, like: Option<&Path>) -> io::Result<Box<dyn VfsFile>> {
        Ok(Box::new(OsFile(container::create_new(path, like)?)))
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

    fn create_dir(&self, dir: &Path, like: Option<&Path>) -> io::Result<()> {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            Err(error) => Err(error),
            Ok(()) => match like {
                // Other systems do not open directories, and have nothing to keep.
                Some(old) if cfg!(unix) => container::keep_permissions(&File::open(dir)?, &fs::metadata(old)?),
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
        container::sync_directory(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        match Lock::take(path) {
            Ok(lock) => Ok(Box::new(OsLock(lock))),
            Err(container::LockError::Io(error)) => Err(error.into()),
            Err(container::LockError::Held(file)) => {
                let mut pid = String::new();
                // The pid is there to help; without it the answer is the same. Nobody needs more digits.
                let _ = file.take(20).read_to_string(&mut pid);
                Err(LockError::Held { pid: pid.trim().parse().ok() })
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct OsFile(pub(super) File);

impl VfsFile for OsFile {
    #[cfg(unix)]
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, out, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.0, out, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    out = &mut out[read..];
                    offset += read as u64;
                }
            }
        }
        Ok(())
    }

    #[cfg(unix)]
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset)?;
            bytes = &bytes[written..];
            offset += written as u64;
        }
        Ok(())
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
        container::is_at(&self.0, path)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[derive(Debug)]
struct OsLock(Lock);

impl VfsLock for OsLock {
    fn check(&self) -> io::Result<()> {
        self.0.check()
    }

    fn sign(&self) -> io::Result<()> {
        let mut file = self.0.file();
        file.set_len(0)?;
        file.rewind()?;
        match writeln!(file, "{}", process::id()) {
            // The number is there to help.
            Err(error) if NoRoom::of(&error).is_some() => Ok(()),
            written => written,
        }
    }
}
