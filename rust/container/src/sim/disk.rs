//! The disk of the file system in memory: what is on it, and when it fails.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::thread;

use super::tree::{Event, Inode, Op, Tree};
use crate::room::NoRoom;

/// The disk behind clones of a file system.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) tree: Tree,
    pub(super) next_inode: Inode,
    pub(super) locks: BTreeMap<PathBuf, Locked>,
    pub(super) counts: Counts,
    pub(super) fault: Option<Fault>,
    pub(super) bug: Option<Bug>,
    pub(super) recording: Option<Recording>,
}

/// Who holds the lock of a file.
#[derive(Debug)]
pub(super) enum Locked {
    Alone,
    /// This number of readers.
    Shared(u32),
}

/// All events since the recording began.
#[derive(Clone, Debug, Default)]
pub(super) struct Recording {
    pub(super) before: Tree,
    pub(super) events: Vec<Event>,
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
    /// A sync fails and loses what it was to write: reads still return it, but no later sync writes
    /// it. Linux does this on most file systems.
    LostSync,
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
            Self::LateQuota | Self::LostSync => matches!(what, Does::SyncFile),
        }
    }
}

/// The effect of an operation.
#[derive(Clone, Copy)]
pub(super) enum Does {
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
    /// Writes that fail are reported as done.
    HideFailedWrites,
}

impl Disk {
    /// Count an operation; fails if a fault is due.
    pub(super) fn count(&mut self, what: Does) -> Result<(), FaultKind> {
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
    pub(super) fn skips_sync(&self, inode: Inode) -> bool {
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

    pub(super) fn note(&mut self, event: Event) {
        if let Some(recording) = &mut self.recording {
            recording.events.push(event);
        }
    }

    pub(super) fn apply(&mut self, op: Op) {
        self.tree.apply(&op);
        self.note(Event::Op(op));
    }
}

pub(super) fn error(kind: FaultKind) -> io::Error {
    match kind {
        FaultKind::Full => NoRoom::Disk.into(),
        FaultKind::ReadOnly => NoRoom::ReadOnly.into(),
        FaultKind::LateQuota => NoRoom::Quota.into(),
        FaultKind::Io | FaultKind::ShortWrite | FaultKind::LostSync | FaultKind::Panic => {
            io::Error::other("simulated failure of the disk")
        }
    }
}
