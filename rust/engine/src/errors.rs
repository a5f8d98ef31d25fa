//! What can go wrong.

use thiserror::Error;
use tiercel_container::quoted;
use tiercel_index::{Interrupted, OptionsError, RowError, SearchError};
use tiercel_store as store;

use crate::filter::{FieldType, FilterError, SchemaError};

/// Why a collection was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The store was not opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The collection was made with something else.
    #[error("{option}: expected {stored}, {why}, got {wanted}")]
    Differs {
        /// What differs.
        option: &'static str,
        /// What the collection has.
        stored: String,
        /// Since when it has that, or where.
        why: &'static str,
        /// What was asked for.
        wanted: String,
    },
    /// A record does not agree with a schema that is to be added.
    #[error(
        "schema[{}]: expected a type that every record agrees with, got {wanted}, and the record {} has {got}",
        quoted(field),
        quoted(id)
    )]
    Disagrees {
        /// The field by its dotted name.
        field: String,
        /// Its type.
        wanted: FieldType,
        /// The record.
        id: String,
        /// What it has.
        got: String,
    },
    /// What was to be added to the configuration was not written.
    #[error(transparent)]
    Write(#[from] store::CommitError),
    /// It was written by a later version.
    #[error("expected a collection of format {expected}, got format {got}: use a newer tiercel")]
    Format {
        /// The format that can be read.
        expected: u64,
        /// The format that it has.
        got: u64,
    },
    /// The stored configuration makes no sense.
    #[error("the configuration {0}")]
    Config(&'static str),
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The instruction set asked for cannot be used.
    #[error("{0}")]
    Simd(String),
    /// A file within the collection is damaged.
    #[error("{file}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// Another collection has taken the place of the one that was opened.
    #[error("another collection is in the directory now: open it again")]
    Replaced,
    /// The process was forked while another thread was refreshing.
    #[error("the process was forked while another thread was refreshing the collection: open it again in this process")]
    Forked,
    /// The background thread was not started.
    #[error("no thread for the background work: {0}")]
    Thread(String),
}

impl From<store::ReadError> for OpenError {
    fn from(error: store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

/// Why nothing was written.
#[derive(Clone, Debug, Error)]
pub enum WriteError {
    /// A vector cannot be taken.
    #[error(transparent)]
    Row(#[from] RowError),
    /// An id cannot be taken.
    #[error("ids: expected 1 to {limit} bytes of UTF-8, got {got} at position {at}")]
    Id {
        /// The most bytes.
        limit: usize,
        /// The bytes it has.
        got: usize,
        /// Which id.
        at: usize,
    },
    /// Vectors of another length than those that are there.
    #[error("vectors: expected vectors of length {expected}, got {got}")]
    Dim {
        /// The length of those that are there.
        expected: usize,
        /// The length of those that came.
        got: usize,
    },
    /// First vectors of a length that none may have.
    #[error("vectors: expected vectors of length {low} to {high}, got {got}")]
    NoDim {
        /// The least length.
        low: usize,
        /// The greatest.
        high: usize,
        /// The length of those that came.
        got: usize,
    },
    /// Not as many values as the records have vectors.
    #[error("vectors: expected {expected} values, got {got}")]
    Length {
        /// Records with a vector, times their dimension.
        expected: usize,
        /// Values that came.
        got: usize,
    },
    /// Texts that cannot be taken.
    #[error(transparent)]
    Text(#[from] tiercel_text::BuildError),
    /// The store did not commit.
    #[error(transparent)]
    Commit(#[from] store::CommitError),
    /// What must be known first could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Something that was written could not be made searchable. The record is safe; opening the collection again finds it.
    #[error("writes are refused, since the collection must be opened again: {0}")]
    Unsearchable(String),
    /// This batch was written and could not be made searchable.
    #[error("the batch is on disk, but not searchable until the collection is opened again: {0}")]
    Unpublished(String),
    /// Metadata that could not be read.
    #[error("metadata[{at}] of record {}: {why}", quoted(id))]
    Metadata {
        /// Which record.
        at: usize,
        /// Its id.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// Metadata that does not agree with the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A deletion by a filter in which nothing is asked.
    #[error("filter: expected a condition, got a filter that holds for every record; clear() removes all records")]
    AllRecords,
    /// A deletion of records that pass only because no record has a field of the filter.
    #[error(
        "filter: expected a field that a record has, got {}: records pass only because they lack it; to remove those, write \
         ~F({}).exists()", quoted(.0), quoted(.0)
    )]
    NoSuchField(String),
    /// The collection is open for reading.
    #[error("the collection is open for reading: expected mode 'rw' to write or back up, got 'r'")]
    ReadOnly,
}

/// Why nothing was found.
#[derive(Clone, Debug, Error)]
pub enum QueryError {
    /// A query vector cannot be taken.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A vector to look for in a collection that has none.
    #[error(
        "vector: expected none, since the collection has no vectors yet; the first ones that are put in say how long all are"
    )]
    NoVectors,
    /// What is to be gone on from is no position of such a scan.
    #[error("after: expected the position of a scan with the same order_by, got {}", quoted(.0))]
    Position(String),
    /// Records were numbered anew twice since that position.
    #[error(
        "after: this position is from before the last two times that compact() or the background numbered the records anew; begin the scan again"
    )]
    OldPosition,
    /// The writer has written over what a scan in another process still had to read.
    #[error(
        "scan: the writer has gone on so far that this state is no longer on disk; call refresh and scan on after the position"
    )]
    LeftBehind,
    /// A filter that does not agree with the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The filter is none.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The text to look for is no query.
    #[error(transparent)]
    Text(#[from] tiercel_text::QueryError),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A file is damaged.
    #[error(transparent)]
    Corrupt(#[from] store::Corruption),
    /// The system refused an operation.
    #[error("{0}")]
    Io(std::sync::Arc<std::io::Error>),
    /// The process was forked while another thread was doing what the query needs.
    #[error("{0}")]
    Forked(String),
    /// No memory, or the like.
    #[error("{0}")]
    Failed(String),
}

impl From<Interrupted> for QueryError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl From<SearchError> for QueryError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Row(row) => Self::Row(row),
            SearchError::Interrupted => Self::Interrupted,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<store::ReadError> for QueryError {
    fn from(error: store::ReadError) -> Self {
        match error {
            store::ReadError::Corrupt(corruption) => Self::Corrupt(corruption),
            store::ReadError::Io(error) => Self::Io(std::sync::Arc::new(error)),
        }
    }
}

impl From<store::OpenError> for QueryError {
    fn from(error: store::OpenError) -> Self {
        match error {
            store::OpenError::Corrupt(corruption) => Self::Corrupt(corruption),
            store::OpenError::Io(error) => Self::Io(std::sync::Arc::new(error)),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<OpenError> for QueryError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Forked => Self::Forked(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}
