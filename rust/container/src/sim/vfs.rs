//! The file system in memory.

use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Bug, Counts, Disk, Does, Fault, Locked, Recording, error};
use super::file::{SimFile, SimLock};
use super::tree::{Event, Op, Tree};
use crate::lock::LockError;
use crate::vfs::{DirEntry, Metadata, Vfs, VfsFile, VfsLock};

/// A file system in memory. Clones are the same file system.
#[derive(Clone, Debug, Default)]
pub struct SimVfs(Arc<Mutex<Disk>>);

impl SimVfs {
    /// An empty file system with the directory `/`.
    pub fn new() -> Self {
        let vfs = Self::default();
        let root = PathBuf::from("/");
        // Windows puts a drive before it.
        let absolute = std::path::absolute(&root).unwrap_or_default();
        vfs.0.lock().tree.dirs.extend([root, absolute]);
        vfs
    }

    /// Record events from now on. Everything already present counts as synced.
    pub fn record(&self) {
        let mut disk = self.0.lock();
        disk.recording = Some(Recording { before: disk.tree.clone(), events: Vec::new() });
    }

    /// How many operations there were.
    pub fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    /// Make operations fail from now on; `None` ends this.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().fault = fault;
    }

    /// Whether an operation has met the fault that was set last.
    pub fn has_met_fault(&self) -> bool {
        self.0.lock().fault.is_none_or(|fault| fault.nth == 0)
    }

    /// Make this mistake from now on.
    pub fn plant(&self, bug: Bug) {
        self.0.lock().bug = Some(bug);
    }

    /// Record that a test got this far: everything acknowledged before must be present after a
    /// crash.
    pub fn mark(&self, mark: u64) {
        self.0.lock().note(Event::Mark(mark));
    }

    /// The tree when the recording began, and the events since then.
    pub(super) fn recorded(&self) -> (Tree, Vec<Event>) {
        let Recording { before, events } = self.0.lock().recording.clone().unwrap_or_default();
        (before, events)
    }

    /// Copy the state after a crash of the process: everything written is present, synced or not.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let disk = self.0.lock();
        Self::with(disk.tree.clone())
    }

    /// Files and their lengths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let disk = self.0.lock();
        let len = |inode| disk.tree.files.get(inode).map_or(0, |content| content.len);
        disk.tree.names.iter().map(|(path, inode)| (path.clone(), len(inode))).collect()
    }

    /// Flip a bit of a file, counted from its start.
    pub fn flip(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut disk = self.0.lock();
        let inode = disk.tree.find(path)?;
        let content = disk.tree.files.entry(inode).or_default();
        let mut byte = [0];
        content.read(bit / 8, &mut byte)?;
        content.write(bit / 8, &[byte[0] ^ 1 << (bit % 8)]);
        Ok(())
    }

    /// Cut a file.
    pub fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock();
        let inode = disk.tree.find(path)?;
        disk.tree.files.entry(inode).or_default().set_len(len);
        Ok(())
    }

    /// A file system that holds this tree and records nothing.
    pub(super) fn with(tree: Tree) -> Self {
        let next_inode = tree.files.keys().next_back().map_or(0, |last| last + 1);
        Self(Arc::new(Mutex::new(Disk { tree, next_inode, ..Disk::default() })))
    }
}

impl Vfs for SimVfs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        let inode = disk.tree.find(path)?;
        Ok(Box::new(SimFile { disk: Arc::clone(&self.0), inode }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path, _: Option<&Path>) -> io::Result<Box<dyn VfsFile>> {
        let mut disk = self.0.lock();
        disk.count(Does::Grow).map_err(error)?;
        if disk.tree.metadata(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.tree.check_parent(path)?;
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.apply(Op::Names(vec![(path.to_owned(), Some(inode))]));
        Ok(Box::new(SimFile { disk: Arc::clone(&self.0), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::Change).map_err(error)?;
        let inode = disk.tree.find(from)?;
        disk.tree.check_parent(to)?;
        disk.apply(Op::Names(vec![(to.to_owned(), Some(inode)), (from.to_owned(), None)]));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::Change).map_err(error)?;
        disk.tree.find(path)?;
        disk.apply(Op::Names(vec![(path.to_owned(), None)]));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.entries(dir)?.into_iter().map(|entry| entry.name).collect())
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        disk.tree.entries(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        disk.tree.metadata(path)
    }

    fn create_dir(&self, dir: &Path, _: Option<&Path>) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::Grow).map_err(error)?;
        if disk.tree.find(dir).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.tree.check_parent(dir)?;
        if !disk.tree.dirs.contains(dir) {
            disk.apply(Op::MakeDir(dir.to_owned()));
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::Change).map_err(error)?;
        if !disk.tree.entries(dir)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        disk.apply(Op::RemoveDir(dir.to_owned()));
        Ok(())
    }

    fn resolve(&self, dir: &Path) -> io::Result<PathBuf> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        disk.tree.check_dir(dir)?;
        Ok(dir.to_owned())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::SyncDir).map_err(error)?;
        disk.tree.check_dir(dir)?;
        if disk.bug != Some(Bug::SkipSyncDir) {
            disk.note(Event::SyncDir(dir.to_owned()));
        }
        Ok(())
    }

    fn sync_file_system(&self, dir: &Path) -> io::Result<bool> {
        let mut disk = self.0.lock();
        disk.counts.syncs += 1;
        disk.count(Does::SyncFile).map_err(error)?;
        disk.tree.check_dir(dir)?;
        // Each mistake skips a part of this; without it all, tests find any of them.
        if disk.bug.is_none() {
            disk.note(Event::SyncAll);
        }
        Ok(true)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        if disk.locks.contains_key(path) {
            return Err(LockError::Held { pid: Some(process::id()) });
        }
        disk.locks.insert(path.to_owned(), Locked::Alone);
        Ok(Box::new(SimLock { disk: Arc::clone(&self.0), path: path.to_owned() }))
    }

    fn lock_shared(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        match disk.locks.entry(path.to_owned()).or_insert(Locked::Shared(0)) {
            Locked::Alone => return Err(LockError::Held { pid: Some(process::id()) }),
            Locked::Shared(readers) => *readers += 1,
        }
        Ok(Box::new(SimLock { disk: Arc::clone(&self.0), path: path.to_owned() }))
    }
}
