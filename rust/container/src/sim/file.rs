//! Open files and locks of the file system in memory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Bug, Disk, Does, FaultKind, Locked, error};
use super::tree::{Content, Event, Inode, Op};
use crate::sector::SECTOR;
use crate::vfs::{VfsFile, VfsLock};

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) disk: Arc<Mutex<Disk>>,
    pub(super) inode: Inode,
}

impl VfsFile for SimFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.count(Does::Read).map_err(error)?;
        disk.tree.files.get(&self.inode).map_or(Err(io::ErrorKind::NotFound.into()), |file| file.read(offset, out))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.counts.writes += 1;
        let result = disk.count(Does::Grow);
        let written = match result {
            Ok(()) => bytes,
            Err(FaultKind::ShortWrite | FaultKind::Full | FaultKind::ReadOnly) => {
                &bytes[..bytes.len() / 2 / SECTOR * SECTOR]
            }
            Err(FaultKind::Io | FaultKind::Panic | FaultKind::LateQuota | FaultKind::LostSync) => &[],
        };
        if !written.is_empty() {
            disk.apply(Op::Write { file: self.inode, offset, bytes: written.into() });
        }
        if disk.bug == Some(Bug::HideFailedWrites) { Ok(()) } else { result.map_err(error) }
    }

    fn len(&self) -> io::Result<u64> {
        let mut disk = self.disk.lock();
        disk.count(Does::Read).map_err(error)?;
        Ok(disk.tree.files.get(&self.inode).map_or(0, |file| file.len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let longer = disk.tree.files.get(&self.inode).is_none_or(|file| file.len < len);
        disk.count(if longer { Does::Grow } else { Does::Change }).map_err(error)?;
        disk.apply(Op::SetLen { file: self.inode, len });
        Ok(())
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(self.disk.lock().tree.files.get(&self.inode).map_or(0, Content::allocated))
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(self.disk.lock().tree.find(path).is_ok_and(|inode| inode == self.inode))
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.counts.syncs += 1;
        let result = disk.count(Does::SyncFile);
        if result == Err(FaultKind::LostSync) {
            disk.note(Event::Lose(self.inode));
        }
        result.map_err(error)?;
        if !disk.skips_sync(self.inode) {
            disk.note(Event::Sync(self.inode));
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct SimLock {
    pub(super) disk: Arc<Mutex<Disk>>,
    pub(super) path: PathBuf,
}

impl VfsLock for SimLock {
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    fn sign(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        match disk.locks.get_mut(&self.path) {
            Some(Locked::Shared(readers @ 2..)) => *readers -= 1,
            _ => drop(disk.locks.remove(&self.path)),
        }
    }
}
