//! The file system in memory.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use super::disk::{self, Event, Inode, Op, Tree};
use crate::lock::LockError;
use crate::room::NoRoom;
use crate::sector::SECTOR;
use crate::vfs::{Vfs, VfsFile, VfsLock};

/// A file system in memory. Clones are the same file system.
#[derive(Clone, Debug, Default)]
pub struct SimVfs(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    tree: Tree,
    next_inode: Inode,
    locked: BTreeSet<PathBuf>,
    counts: Counts,
    fault: Option<Fault>,
    bug: Option<Bug>,
    recording: Option<Recording>,
}

/// All events since the recording began.
#[derive(Clone, Debug, Default)]
struct Recording {
    before: Tree,
    events: Vec<Event>,
}

/// Numbers of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations of any kind, including those that failed.
    pub all: u64,
    /// Writes to a file.
    pub writes: u64,
    /// Syncs of a file.
    pub syncs: u64,
}

/// Which operations fail, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The operation that fails: 1 for the next one.
    pub nth: u64,
    /// Whether all operations after it fail, too.
    pub forever: bool,
    /// How it fails. A full disk refuses only operations that need space.
    pub kind: FaultKind,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The disk fails.
    Io,
    /// As [`FaultKind::Io`], after half of the sectors have been written.
    ShortWrite,
    /// The disk is full: writes, after half of their sectors, and longer files are refused.
    Full,
    /// The file system is read-only: all changes are refused, writes after half of their sectors.
    ReadOnly,
    /// The quota is used up, which only a sync reports: earlier writes are then not on the disk.
    LateQuota,
    /// The operation panics before it does anything, like a bug in the code behind it.
    Panic,
}

impl FaultKind {
    /// Whether a store that meets it changes nothing and goes on once the fault is gone.
    pub const fn is_for_want_of_room(self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly)
    }

    /// Whether an operation with this effect can fail this way.
    const fn concerns(self, what: Does) -> bool {
        match self {
            Self::Io | Self::ShortWrite | Self::Panic => true,
            Self::Full => matches!(what, Does::Grow),
            Self::ReadOnly => matches!(what, Does::Grow | Does::Change),
            Self::LateQuota => matches!(what, Does::SyncFile),
        }
    }
}

/// The effect of an operation.
#[derive(Clone, Copy)]
enum Does {
    Read,
    /// It changes something without taking space.
    Change,
    /// It takes space on the disk.
    Grow,
    SyncFile,
    SyncDir,
}

/// A deliberate mistake for tests to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Files are never synced.
    SkipSync,
    /// Files whose names begin with this are never synced.
    SkipSyncOf(&'static str),
    /// Directories are never synced.
    SkipSyncDir,
}

impl SimVfs {
    /// An empty file system with the directory `/`.
    pub fn new() -> Self {
        let vfs = Self::default();
        vfs.0.lock().tree.dirs.insert("/".into());
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

impl Disk {
    /// Count an operation; fails if a fault is due.
    fn count(&mut self, what: Does) -> Result<(), FaultKind> {
        self.counts.all += 1;
        let Some(fault) = &mut self.fault else { return Ok(()) };
        if !fault.kind.concerns(what) {
            return Ok(());
        }
        fault.nth = fault.nth.saturating_sub(1);
        if fault.nth > 0 {
            return Ok(());
        }
        let Fault { kind, forever, .. } = *fault;
        if !forever {
            self.fault = None;
        }
        // A panic within a panic would end the process.
        assert!(kind != FaultKind::Panic || thread::panicking(), "simulated bug");
        Err(kind)
    }

    /// Whether the planted mistake skips the sync of this file.
    fn skips_sync(&self, inode: Inode) -> bool {
        let is_named = |prefix| {
            let mut names = self.tree.names.iter().filter(|(_, named)| **named == inode);
            names.any(|(path, _)| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        };
        match self.bug {
            Some(Bug::SkipSync) => true,
            Some(Bug::SkipSyncOf(prefix)) => is_named(prefix),
            _ => false,
        }
    }

    fn note(&mut self, event: Event) {
        if let Some(recording) = &mut self.recording {
            recording.events.push(event);
        }
    }

    fn apply(&mut self, op: Op) {
        self.tree.apply(&op);
        self.note(Event::Op(op));
    }
}

fn error(kind: FaultKind) -> io::Error {
    match kind {
        FaultKind::Full => NoRoom::Disk.into(),
        FaultKind::ReadOnly => NoRoom::ReadOnly.into(),
        FaultKind::LateQuota => NoRoom::Quota.into(),
        FaultKind::Io | FaultKind::ShortWrite | FaultKind::Panic => io::Error::other("simulated failure of the disk"),
    }
}

impl Vfs for SimVfs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        let inode = disk.tree.find(path)?;
        Ok(Box::new(SimFile { disk: Arc::clone(&self.0), inode }))
    }

    fn create(&self, path: &Path, _: Option<&Path>) -> io::Result<Box<dyn VfsFile>> {
        let mut disk = self.0.lock();
        disk.count(Does::Grow).map_err(error)?;
        if disk.tree.find(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.apply(Op::Names(vec![(path.to_owned(), Some(inode))]));
        Ok(Box::new(SimFile { disk: Arc::clone(&self.0), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::Change).map_err(error)?;
        let inode = disk.tree.find(from)?;
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
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        disk.tree.list(dir)
    }

    fn create_dir(&self, dir: &Path, _: Option<&Path>) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::Grow).map_err(error)?;
        disk.tree.dirs.insert(dir.to_owned());
        disk.note(Event::MakeDir(dir.to_owned()));
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::Change).map_err(error)?;
        if !disk.tree.list(dir)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        disk.tree.dirs.remove(dir);
        disk.note(Event::RemoveDir(dir.to_owned()));
        Ok(())
    }

    fn resolve(&self, dir: &Path) -> io::Result<PathBuf> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        if disk.tree.dirs.contains(dir) { Ok(dir.to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.count(Does::SyncDir).map_err(error)?;
        if disk.bug != Some(Bug::SkipSyncDir) {
            disk.note(Event::SyncDir(dir.to_owned()));
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn VfsLock>, LockError> {
        let mut disk = self.0.lock();
        disk.count(Does::Read).map_err(error)?;
        if !disk.locked.insert(path.to_owned()) {
            return Err(LockError::Held { pid: Some(process::id()) });
        }
        Ok(Box::new(SimLock { disk: Arc::clone(&self.0), path: path.to_owned() }))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Arc<Mutex<Disk>>,
    inode: Inode,
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
            Err(FaultKind::Io | FaultKind::Panic | FaultKind::LateQuota) => &[],
        };
        if !written.is_empty() {
            disk.apply(Op::Write { file: self.inode, offset, bytes: written.into() });
        }
        result.map_err(error)
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
        Ok(self.disk.lock().tree.files.get(&self.inode).map_or(0, disk::Content::allocated))
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(self.disk.lock().tree.find(path).is_ok_and(|inode| inode == self.inode))
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.counts.syncs += 1;
        disk.count(Does::SyncFile).map_err(error)?;
        if !disk.skips_sync(self.inode) {
            disk.note(Event::Sync(self.inode));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimLock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
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
        self.disk.lock().locked.remove(&self.path);
    }
}
