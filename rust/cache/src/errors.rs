//! Errors of opening a tier. A later failure is a miss, and counted.

use std::io;

/// Why a tier cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another tier, of this process or another, has it open.
    #[error("already open")]
    AlreadyOpen,
    /// The directory has no tier, and none may begin in it.
    #[error("no tier there")]
    Missing,
    /// The directory has content that no tier wrote.
    #[error("{0} is not a file of a tier")]
    Foreign(String),
    /// The system refused an operation.
    #[error(transparent)]
    Io(#[from] io::Error),
}
