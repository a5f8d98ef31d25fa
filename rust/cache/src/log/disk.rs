//! Opening the files of a log.

use std::fs::File;
use std::io;
use std::path::Path;

use tiercel_container::{NotRegular, open_to_read, open_to_write};

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

    pub(super) fn open(self, path: &Path) -> io::Result<File> {
        if self.mends() { open_to_write(path) } else { open_to_read(path) }
    }
}

/// Whether an error says that something other than a regular file has the name.
pub(super) fn is_no_file(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<NotRegular>()).is_some()
}
