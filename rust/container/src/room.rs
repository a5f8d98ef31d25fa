//! Reasons why a file system accepts no more data.

use std::io;

use thiserror::Error;

/// Why a file system accepts no more data. Nothing written before changes, and the same operation
/// succeeds once the cause is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoRoom {
    /// The disk is full.
    #[error("no space left on the disk")]
    Disk,
    /// The quota of the user, the group or the project is used up.
    #[error("the disk quota is used up")]
    Quota,
    /// The file would be larger than the file system, or a limit of the process, allows.
    #[error("the file would be larger than the system allows (see ulimit -f)")]
    FileSize,
    /// The file system is read-only, or has become so.
    #[error("the file system is read-only")]
    ReadOnly,
}

impl NoRoom {
    /// The reason for an error, if it is one of these.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull => Some(Self::Disk),
            io::ErrorKind::QuotaExceeded => Some(Self::Quota),
            io::ErrorKind::FileTooLarge => Some(Self::FileSize),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            _ => None,
        }
    }
}

impl From<NoRoom> for io::Error {
    fn from(why: NoRoom) -> Self {
        let kind = match why {
            NoRoom::Disk => io::ErrorKind::StorageFull,
            NoRoom::Quota => io::ErrorKind::QuotaExceeded,
            NoRoom::FileSize => io::ErrorKind::FileTooLarge,
            NoRoom::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
        };
        Self::new(kind, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_is_told_from_its_error() {
        for why in [NoRoom::Disk, NoRoom::Quota, NoRoom::FileSize, NoRoom::ReadOnly] {
            assert_eq!(NoRoom::of(&why.into()), Some(why));
        }
        assert_eq!(NoRoom::of(&io::ErrorKind::PermissionDenied.into()), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn codes_of_the_system_are_known() {
        use rustix::io::Errno;
        let all = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::ROFS];
        let known = all.map(|code| NoRoom::of(&code.into()));
        assert_eq!(known, [NoRoom::Disk, NoRoom::Quota, NoRoom::FileSize, NoRoom::ReadOnly].map(Some));
        assert_eq!(NoRoom::of(&Errno::IO.into()), None);
    }
}
