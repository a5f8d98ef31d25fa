//! What can be wrong with a file of sections.

use std::io;

use thiserror::Error;

/// What is wrong with a file of sections, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} at byte {offset}")]
pub struct Damage {
    /// What is wrong.
    pub what: String,
    /// Where in the file.
    pub offset: u64,
}

/// Why a file of sections was not read.
#[derive(Debug, Error)]
pub enum SectionError {
    /// The file is not what it must be.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The system refused an operation.
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub(super) fn damaged<T>(what: String, offset: u64) -> Result<T, SectionError> {
    Err(Damage { what, offset }.into())
}
