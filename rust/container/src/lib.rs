//! How tiercel opens, replaces and locks files.
//!
//! A directory of ours may hold anything when we come to it: a link to a file of somebody else, a pipe that blocks whoever opens it, a
//! device that never ends. So every file is opened through this crate: regular files only, no symbolic links followed where we
//! write, and a new file never takes the place of one that is there. What is wrong is told with names as Python writes them.
#![forbid(unsafe_code)]

mod lock;
mod open;
mod permissions;
mod place;
mod quoted;
mod room;

use std::fs::File;
use std::io;
use std::path::Path;

pub use lock::{Lock, LockError};
pub use open::{NotRegular, create_new, open_or_create, open_to_read, open_to_write, read_through_links};
pub use permissions::keep_permissions;
pub use place::{check_at, gone, is_at};
pub use quoted::quoted;
pub use room::NoRoom;

/// Whether an entry of a directory is one that file systems and desktops make by themselves: a directory with nothing else in it is empty
/// to its users.
pub fn comes_by_itself(name: &str) -> bool {
    matches!(name, "lost+found" | ".DS_Store")
}

/// Make the names in a directory survive a power cut.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows has no call to sync one.
    if cfg!(not(unix)) {
        return Ok(());
    }
    sync_open_directory(&File::open(path)?)
}

/// [`sync_directory`] for a directory that is open.
pub fn sync_open_directory(directory: &File) -> io::Result<()> {
    match directory.sync_all() {
        // File systems that have nothing to sync in a directory refuse the call.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}
