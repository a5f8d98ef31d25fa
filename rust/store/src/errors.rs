//! Errors of a store.

use std::any::Any;
use std::io;
use std::sync::Arc;

use thiserror::Error;
use tiercel_container::log::AppendError;
use tiercel_container::{NoRoom, quoted};

use crate::names::RECORDS_FILE;

pub use tiercel_container::{Corruption, ReadError};

/// Advice for a missing file.
pub(crate) const RESTORE: &str = "put it back, or restore the whole directory from a backup";

/// Why a store was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another opener holds it, in this process or another one.
    #[error("already open{}", .pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    AlreadyOpen {
        /// The process, if it is known.
        pid: Option<u32>,
    },
    /// The directory has no store.
    #[error("no collection there")]
    NotFound,
    /// The directory has no store but other files, which a new collection must not be mixed with.
    #[error("expected a collection, an empty directory or none, got a directory with {}", listed(.0))]
    Occupied(Vec<String>),
    /// The directory already has a store, so none can be created.
    #[error("the directory already has a collection")]
    Exists,
    /// A file is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The system refused an operation.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        ReadError::from(error).into()
    }
}

/// The first few of many names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Why a commit failed.
#[derive(Clone, Debug, Error)]
pub enum CommitError {
    /// A write or a sync failed, now or earlier. Nobody knows how much of it reached the disk, so
    /// all further writes are refused until the store is opened again. Reads go on.
    #[error("writes are refused because one failed: {why}; close the collection and open it again")]
    Failed {
        /// The first failure.
        why: String,
    },
    /// The file system accepts no more data. The batch was rolled back; once there is room the same
    /// call succeeds.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The record database is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// A forked process tried to write; only the process that opened the store may.
    #[error(
        "process {opened_by} opened the collection, and a forked process cannot write to it: after that process has closed it, open it in this one"
    )]
    Forked {
        /// The process that opened the store.
        opened_by: u32,
    },
    /// An argument is invalid.
    #[error("{0}")]
    Invalid(String),
    /// A record does not meet a condition of the batch. Nothing was changed.
    #[error("if_sequence: expected {}, got {}; read it again", wanted(id, *expected), found(*actual))]
    Conflict {
        /// Its id.
        id: String,
        /// The batch that should have written it last; 0 for no record.
        expected: u64,
        /// The batch that did; 0 for no record.
        actual: u64,
    },
    /// All 2**32 - 1 rows have been used.
    #[error("no rows left: a collection takes 2**32 - 1 upserts")]
    RowsExhausted,
    /// An operation outside the record database failed. Nothing was changed.
    #[error(transparent)]
    Io(Arc<io::Error>),
}

/// The error for damage in the record database at no certain place.
pub(crate) fn corrupt_records(what: String) -> ReadError {
    Corruption { file: RECORDS_FILE.to_owned(), what, offset: None }.into()
}

/// The error after a failed write or sync: from then on the content of the disk is unknown.
#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err needs")]
pub(crate) fn failed(error: io::Error) -> CommitError {
    CommitError::Failed { why: error.to_string() }
}

fn wanted(id: &str, sequence: u64) -> String {
    if sequence == 0 {
        format!("no record {}", quoted(id))
    } else {
        format!("record {} at sequence {sequence}", quoted(id))
    }
}

fn found(sequence: u64) -> String {
    if sequence == 0 { "no record".to_owned() } else { format!("sequence {sequence}") }
}

/// The error for a view that is too old: see [`crate::View::follow`].
pub(crate) fn outdated() -> ReadError {
    io::Error::new(OUTDATED, "the collection has changed since it was opened for reading; open it again").into()
}

/// Whether an error says that a view is too old: its pages have been overwritten. A new view works.
pub fn is_outdated(error: &io::Error) -> bool {
    error.kind() == OUTDATED
}

/// The kind that the system uses for files that changed after they were opened.
const OUTDATED: io::ErrorKind = io::ErrorKind::StaleNetworkFileHandle;

/// Return the message of a panic.
pub fn message_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}

impl From<io::Error> for CommitError {
    fn from(error: io::Error) -> Self {
        NoRoom::of(&error).map_or_else(|| Self::Io(Arc::new(error)), Self::NoRoom)
    }
}

impl From<ReadError> for CommitError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt(corruption) => Self::Corrupt(corruption),
            ReadError::Io(error) => error.into(),
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt(corruption) => Self::Corrupt(corruption),
            ReadError::Io(error) => Self::Io(error),
        }
    }
}

impl From<AppendError> for CommitError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NoRoom(why) => Self::NoRoom(why),
            AppendError::Failed(error) => failed(error),
        }
    }
}
