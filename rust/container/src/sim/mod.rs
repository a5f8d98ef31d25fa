//! A file system in memory that fails and crashes as it is told.
//!
//! [`SimVfs`] carries out operations, counts them and lets the one that a test chooses fail. After [`SimVfs::record`] it
//! also keeps them, so that [`Replay`] can stop after any of them and say what a disk may hold after a power cut there.

mod disk;
mod replay;
mod vfs;

pub use replay::Replay;
pub use vfs::{Bug, Counts, Fault, FaultKind, SimVfs};
