//! Why files are not read.

use std::io;

use thiserror::Error;

use crate::open::NotRegular;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}: {what}{}", at(*offset))]
pub struct Corruption {
    /// Name of the file in its directory.
    pub file: String,
    /// What is wrong.
    pub what: String,
    /// Where in the file; `None` if it is the file as a whole.
    pub offset: Option<u64>,
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default()
}

/// Why something was not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file is not what it must be.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The system refused an operation.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<NotRegular>()) {
            // What stands in place of a file is damage like any other.
            Some(NotRegular { name, got }) => {
                let what = format!("expected a regular file, got {got}");
                Self::Corrupt(Corruption { file: name.clone(), what, offset: None })
            }
            None => Self::Io(error),
        }
    }
}
