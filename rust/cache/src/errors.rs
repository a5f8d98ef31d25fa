//! What can go wrong while a tier is opened. What goes wrong later is a miss, and counted.

use std::io;

/// A tier cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another tier, of this process or of another, has it open.
    #[error("already open")]
    AlreadyOpen,
    /// There is no tier in the directory, and none may begin there.
    #[error("no tier there")]
    Missing,
    /// The directory has something in it, and nothing that a tier wrote.
    #[error("{0} is no file of a tier")]
    Foreign(String),
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}
