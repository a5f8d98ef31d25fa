//! Files in memory, and the operations that change them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::vfs::{DirEntry, FileKind, Metadata};

/// The unit of copy-on-write, in bytes.
const CHUNK: usize = 4096;

/// Content of a file. Copies are cheap. Bytes that were never written are zeros and take no memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) len: u64,
    chunks: BTreeMap<u64, Arc<[u8; CHUNK]>>,
}

impl Content {
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for_each_chunk(offset, out.len(), |chunk, within, at| {
            let out = &mut out[at..at + within.len()];
            match self.chunks.get(&chunk) {
                Some(bytes) => out.copy_from_slice(&bytes[within]),
                None => out.fill(0),
            }
        });
        Ok(())
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.len = self.len.max(offset + bytes.len() as u64);
        for_each_chunk(offset, bytes.len(), |chunk, within, at| {
            let to = self.chunks.entry(chunk).or_insert_with(|| Arc::new([0; CHUNK]));
            let len = within.len();
            Arc::make_mut(to)[within].copy_from_slice(&bytes[at..at + len]);
        });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.chunks.split_off(&len.div_ceil(CHUNK as u64));
            if let Some(last) = self.chunks.get_mut(&(len / CHUNK as u64)) {
                Arc::make_mut(last)[len as usize % CHUNK..].fill(0);
            }
        }
        self.len = len;
    }

    /// Bytes that were written.
    pub(super) fn allocated(&self) -> u64 {
        (self.chunks.len() * CHUNK) as u64
    }
}

/// Visit the chunks of a range: the index of the chunk, the range within it, and its offset in the
/// whole range.
fn for_each_chunk(offset: u64, len: usize, mut each: impl FnMut(u64, std::ops::Range<usize>, usize)) {
    let mut at = 0;
    while at < len {
        let position = offset + at as u64;
        let start = (position % CHUNK as u64) as usize;
        let end = (start + len - at).min(CHUNK);
        each(position / CHUNK as u64, start..end, at);
        at += end - start;
    }
}

/// Identifies a file, whatever its name.
pub(super) type Inode = usize;

/// An operation that a crash may undo until a sync.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write {
        file: Inode,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    SetLen {
        file: Inode,
        len: u64,
    },
    /// New files for names, changed at once; `None` removes the name.
    Names(Vec<(PathBuf, Option<Inode>)>),
    MakeDir(PathBuf),
    RemoveDir(PathBuf),
}

/// One recorded event.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Op(Op),
    Sync(Inode),
    /// What was written to the file and not synced will never be on the disk.
    Lose(Inode),
    SyncDir(PathBuf),
    SyncAll,
    Mark(u64),
}

/// The content of a directory tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) names: BTreeMap<PathBuf, Inode>,
    pub(super) files: BTreeMap<Inode, Content>,
    pub(super) dirs: BTreeSet<PathBuf>,
}

impl Tree {
    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { file, offset, bytes } => self.files.entry(*file).or_default().write(*offset, bytes),
            Op::SetLen { file, len } => self.files.entry(*file).or_default().set_len(*len),
            Op::Names(changes) => {
                for (path, file) in changes {
                    match file {
                        Some(file) => {
                            self.names.insert(path.clone(), *file);
                            self.files.entry(*file).or_default();
                        }
                        None => drop(self.names.remove(path)),
                    }
                }
            }
            Op::MakeDir(dir) => drop(self.dirs.insert(dir.clone())),
            Op::RemoveDir(dir) => drop(self.dirs.remove(dir)),
        }
    }

    pub(super) fn apply_all(&mut self, ops: &[Op]) {
        for op in ops {
            self.apply(op);
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn check_dir(&self, dir: &Path) -> io::Result<()> {
        if self.dirs.contains(dir) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Check that a name can be given: its directory exists.
    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |parent| self.check_dir(parent))
    }

    pub(super) fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        if self.dirs.contains(path) {
            return Ok(Metadata { kind: FileKind::Directory, len: 0 });
        }
        let len = self.files.get(&self.find(path)?).map_or(0, |content| content.len);
        Ok(Metadata { kind: FileKind::Regular, len })
    }

    pub(super) fn entries(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.check_dir(dir)?;
        let dirs = self.dirs.iter().map(|path| (path, FileKind::Directory));
        let all = self.names.keys().map(|path| (path, FileKind::Regular)).chain(dirs);
        let inside = all.filter(|(path, _)| path.parent() == Some(dir));
        let entry = |(path, kind): (&PathBuf, _)| Some(DirEntry { name: path.file_name()?.to_str()?.to_owned(), kind });
        Ok(inside.filter_map(entry).collect())
    }

    /// Drop names that no path leads to, because a directory above them is missing, and files
    /// without a name.
    pub(super) fn drop_unreachable(&mut self) {
        let dirs = self.dirs.clone();
        let is_reachable = |path: &PathBuf| path.ancestors().skip(1).all(|dir| dirs.contains(dir));
        self.dirs.retain(is_reachable);
        self.names.retain(|path, _| is_reachable(path));
        let named: BTreeSet<Inode> = self.names.values().copied().collect();
        self.files.retain(|inode, _| named.contains(inode));
    }
}
