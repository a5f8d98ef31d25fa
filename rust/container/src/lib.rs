//! Files of tiercel: how to open, lock and replace them, and their formats.
//!
//! One of our directories may hold anything when we open it: a link to someone else's file, a pipe
//! that blocks its opener, a device that never ends. Every file is therefore opened through this
//! crate: it opens only regular files, follows no symbolic links where we write, and makes a file only
//! under a name that nothing has. A finished file takes the place of another by a rename only, see
//! [`Draft::put`]. Messages quote names as Python does.
//!
//! [`SectionWriter`] and its readers implement the format of all files that are written once.
//!
//! [`log`] implements files that are only appended to.
//!
//! [`Vfs`] puts all disk access behind one trait; `sim` is an in-memory disk that fails and crashes
//! when tests ask for it.
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

pub use bytes::{CHECKSUM, WrongChecksum, check_seal, seal, u32_at, u64_at, zeros};
pub use errors::{Corruption, ReadError};
pub use files::{Files, is_temporary, is_temporary_of, make_directory, sync_parent};
pub use identity::Identity;
pub use lock::LockError;
pub use open::{NotRegular, read_through_links};
pub use quoted::quoted;
pub use replace::{Draft, replace, replace_file};
pub use room::NoRoom;
pub use sections::{
    Damage, Kind, PayloadReader, SectionError, SectionFile, SectionReader, SectionWriter, Tag, file_len, is_optional,
};
pub use sector::{SECTOR, read_sector, write_sector};
pub use vfs::{
    DirEntry, FileKind, Metadata, OsVfs, ReadOnlyVfs, Vfs, VfsFile, VfsLock, VfsReader, VfsWriter, open_through_links,
    unnamed_file,
};

/// Whether file systems or desktops make this directory entry by themselves. Users see a directory
/// with nothing else in it as empty.
pub fn comes_by_itself(name: &str) -> bool {
    matches!(name, "lost+found" | ".DS_Store")
}
