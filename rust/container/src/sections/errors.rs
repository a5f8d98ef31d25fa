//! Errors of files of sections.

use std::io;

use thiserror::Error;

/// Damage in a file of sections, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} at byte {offset}")]
pub struct Damage {
    /// Description of the damage.
    pub what: String,
    /// Byte offset in the file.
    pub offset: u64,
}

/// Why reading a file of sections failed.
#[derive(Debug, Error)]
pub enum SectionError {
    /// The file is damaged or of another kind.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The system refused an operation.
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub(super) fn damaged<T>(what: String, offset: u64) -> Result<T, SectionError> {
    Err(Damage { what, offset }.into())
}
