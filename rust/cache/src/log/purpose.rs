//! Why a log is opened.

use std::io;
use std::path::Path;

use tiercel_container::{Vfs, VfsFile};

/// The purpose of opening a log.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To continue it: what a crash or damage left is repaired.
    #[default]
    Mend,
    /// To look at it: nothing is changed.
    Look,
}

impl Purpose {
    pub(super) fn mends(self) -> bool {
        self == Self::Mend
    }

    pub(super) fn open(self, vfs: &dyn Vfs, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        if self.mends() { vfs.open(path) } else { vfs.open_to_read(path) }
    }
}
