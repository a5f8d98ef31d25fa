//! Files of tiercel: how they are opened, locked, replaced, and what holds them together.
//!
//! A directory of ours may hold anything when we come to it: a link to a file of somebody else, a pipe that blocks whoever opens it, a
//! device that never ends. So every file is opened through this crate: regular files only, no symbolic links followed where we
//! write, and a new file never takes the place of one that is there. What is wrong is told with names as Python writes them.
//!
//! [`SectionWriter`] and its readers are the format of all files that are written once.
//!
//! [`log`] has what is only added to.
//!
//! [`Vfs`] is all that touches a disk as one trait; `sim` is a disk in memory that fails and crashes as tests tell it.
#![forbid(unsafe_code)]

mod bytes;
mod directory;
mod errors;
mod files;
mod identity;
mod lock;
pub mod log;
mod open;
mod permissions;
mod place;
mod positioned;
mod quoted;
mod replace;
mod room;
mod sections;
mod sector;
#[cfg(feature = "sim")]
pub mod sim;
mod vfs;

pub use bytes::{CHECKSUM, WrongChecksum, check_seal, seal, u32_at, u64_at};
pub use directory::sync_directory;
pub use errors::{Corruption, ReadError};
pub use files::{Files, is_temporary, is_temporary_of, make_directory, sync_parent};
pub use identity::Identity;
pub use lock::{Lock, LockError};
pub use open::{NotRegular, create_new, open_or_create, open_to_read, open_to_write, read_through_links};
pub use permissions::keep_permissions;
pub use place::{check_at, gone, is_at};
pub use positioned::{read_at, write_at};
pub use quoted::quoted;
pub use replace::{Draft, replace, replace_file};
pub use room::NoRoom;
pub use sections::{
    Damage, Kind, PayloadReader, SectionError, SectionFile, SectionReader, SectionWriter, Tag, file_len, is_optional,
};
pub use sector::{SECTOR, read_sector, write_sector};
pub use vfs::{OsVfs, ReadOnlyVfs, Vfs, VfsFile, VfsLock, VfsWriter};

/// Whether an entry of a directory is one that file systems and desktops make by themselves: a directory with nothing else in it is empty
/// to its users.
pub fn comes_by_itself(name: &str) -> bool {
    matches!(name, "lost+found" | ".DS_Store")
}
