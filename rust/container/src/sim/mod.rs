//! An in-memory file system that fails and crashes on request.
//!
//! [`SimVfs`] carries out operations, counts them and fails the one that a test chooses. After
//! [`SimVfs::record`] it also keeps them, so that [`Replay`] can stop after any of them and build a
//! state that the disk may have after a power cut there.

mod disk;
mod file;
mod replay;
mod tree;
mod vfs;

pub use disk::{Bug, Counts, Fault, FaultKind};
pub use replay::Replay;
pub use vfs::SimVfs;
