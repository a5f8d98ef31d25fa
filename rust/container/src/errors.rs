//! Errors of reading files.

use std::io;

use thiserror::Error;

use crate::open::NotRegular;

/// Damage in a file, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}: {what}{}", at(*offset))]
pub struct Corruption {
    /// Name of the file in its directory.
    pub file: String,
    /// Description of the damage.
    pub what: String,
    /// Byte offset in the file; `None` for the file as a whole.
    pub offset: Option<u64>,
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default()
}

/// Why a read failed.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The system refused an operation.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<NotRegular>()) {
            // Anything else in the place of a file counts as damage.
            Some(NotRegular { name, got }) => {
                let what = format!("expected a regular file, got {got}");
                Self::Corrupt(Corruption { file: name.clone(), what, offset: None })
            }
            None => Self::Io(error),
        }
    }
}
