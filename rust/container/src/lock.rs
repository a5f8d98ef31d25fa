//! A lock that notices when its file is replaced.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;

use thiserror::Error;

use crate::open::{open_or_create, open_to_read};
use crate::place::is_at;
use crate::room::NoRoom;

/// Why a lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another opener holds it.
    #[error("locked by another opener")]
    Held {
        /// The process that holds it, if it [signed](crate::VfsLock::sign).
        pid: Option<u32>,
    },
    /// The file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file that is locked against all other openers, or against all but readers, until this is
/// dropped.
///
/// The system locks the file, not its name: once the file is removed, the next opener locks a new
/// one. [`Lock::check`] notices this.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
    taken_by: u32,
}

impl Lock {
    /// Lock the file at `path`, which is made if it is missing. Only users who may write the file
    /// can take the lock: a new file is private, and read-only users lose their access.
    pub(crate) fn take(path: &Path) -> Result<Self, LockError> {
        loop {
            let file = open_or_create(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::Held { pid: signature(file) }),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            let lock = Self { path: path.to_owned(), taken_by: process::id(), file };
            // Otherwise the file was replaced after it was opened: try again.
            if lock.is_in_place()? {
                lock.shut_out_readers()?;
                return Ok(lock);
            }
        }
    }

    /// Lock the existing file at `path` against those who [take](Self::take) it, but not against
    /// others who share it. Such a lock cannot be signed, since the file is opened only for
    /// reading.
    pub(crate) fn share(path: &Path) -> Result<Self, LockError> {
        let file = open_to_read(path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { path: path.to_owned(), taken_by: process::id(), file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { pid: signature(file) }),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Write the id of this process into the file.
    pub(crate) fn sign(&self) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        match writeln!(file, "{}", process::id()) {
            // The id is only informative.
            Err(error) if NoRoom::of(&error).is_some() => Ok(()),
            written => written,
        }
    }

    /// Check that the locked file still has its name. After an error another process may hold a
    /// lock on a file of that name.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_in_place()? {
            return Ok(());
        }
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy();
        Err(io::Error::other(format!("{name}: the locked file was removed or replaced, so another process may write")))
    }

    fn is_in_place(&self) -> io::Result<bool> {
        is_at(&self.file, &self.path)
    }

    /// Remove the access of read-only users: whoever can open the file can lock it.
    #[cfg(unix)]
    fn shut_out_readers(&self) -> io::Result<()> {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let mode = self.file.metadata()?.permissions().mode() & 0o777;
        let private = mode & !(0o055 & !((mode & 0o022) << 1));
        if private == mode {
            return Ok(());
        }
        match self.file.set_permissions(Permissions::from_mode(private)) {
            // The file belongs to another user, who chose its mode.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result,
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the same signature as on Unix")]
    fn shut_out_readers(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The id of the process that signed the file of a lock.
fn signature(file: File) -> Option<u32> {
    let mut pid = String::new();
    // The id is only informative, so errors do not matter. No id has more than 20 digits.
    let _ = file.take(20).read_to_string(&mut pid);
    pid.trim().parse().ok()
}

impl Drop for Lock {
    /// Unlock explicitly: a forked process shares the lock, which would otherwise last as long as
    /// that process. The fork itself must not unlock.
    fn drop(&mut self) {
        if process::id() == self.taken_by {
            // If this fails, closing the file unlocks it.
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_holds_it_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let lock = Lock::take(&path).unwrap();
        assert!(matches!(Lock::take(&path), Err(LockError::Held { pid: None })));
        lock.sign().unwrap();
        assert!(matches!(Lock::take(&path), Err(LockError::Held { pid }) if pid == Some(process::id())));
        lock.check().unwrap();
        drop(lock);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn those_who_share_it_keep_out_only_those_who_take_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        assert!(matches!(Lock::share(&path), Err(LockError::Io(error)) if error.kind() == io::ErrorKind::NotFound));
        let lock = Lock::take(&path).unwrap();
        assert!(matches!(Lock::share(&path), Err(LockError::Held { .. })));
        drop(lock);
        let (one, other) = (Lock::share(&path).unwrap(), Lock::share(&path).unwrap());
        drop(one);
        assert!(matches!(Lock::take(&path), Err(LockError::Held { .. })));
        drop(other);
        Lock::take(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let lock = Lock::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let error = lock.check().unwrap_err().to_string();
        assert!(error.starts_with("LOCK: the locked file was removed or replaced"), "{error}");
        let second = Lock::take(&path).unwrap();
        assert!(lock.check().is_err());
        second.check().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn who_may_only_read_cannot_hold_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(Lock::take(&path).unwrap());
        assert_eq!(mode(), 0o600);
        for (before, after) in [(0o644, 0o600), (0o664, 0o660), (0o666, 0o666), (0o755, 0o700)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
            drop(Lock::take(&path).unwrap());
            assert_eq!(mode(), after, "{before:o}");
        }
    }
}
