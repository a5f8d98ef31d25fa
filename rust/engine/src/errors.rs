//! Errors of opening, writing and searching.

use thiserror::Error;
use tiercel_container::quoted;
use tiercel_index::{AddError, GetError, Interrupted, OptionsError, RawError, RowError, SearchError, Storage};
use tiercel_store as store;

use crate::filter::{FieldType, FilterError, SchemaError};

/// A storage has more parts than vectors can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("storage: expected at most {most} parts{}, got {}", for_length(*dim), quoted(&storage.name()))]
pub struct StorageError {
    /// The storage.
    pub storage: Storage,
    /// The length of the vectors; `None` if any would do, and none does.
    pub dim: Option<usize>,
    /// The most parts of such vectors.
    pub most: usize,
}

/// Searches compare full vectors, which therefore cannot stay on disk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "raw: expected 'memory', since searches compare full vectors, got 'disk'; open with raw='memory', or let a writer \
     choose codes: storage='sq8' for a new collection, compact(storage='sq8') for one that exists"
)]
pub struct RawStorageError;

fn for_length(dim: Option<usize>) -> String {
    dim.map(|dim| format!(" for vectors of length {dim}")).unwrap_or_default()
}

/// Why a collection cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The collection has a different configuration.
    #[error("{option}: expected {stored}, {why}, got {wanted}")]
    Differs {
        /// The option that differs.
        option: &'static str,
        /// The value in the collection.
        stored: String,
        /// Why or where the collection has that.
        why: &'static str,
        /// The value that the caller asked for.
        wanted: String,
    },
    /// A record does not agree with the schema to be added.
    #[error(
        "schema[{}]: expected a type that every record agrees with, got {wanted}, and the record {} has {got}",
        quoted(field),
        quoted(id)
    )]
    Disagrees {
        /// The field, by its dotted name.
        field: String,
        /// Its type.
        wanted: FieldType,
        /// The record.
        id: String,
        /// The value in the record.
        got: String,
    },
    /// The extended configuration was not written.
    #[error(transparent)]
    Write(#[from] store::CommitError),
    /// A later version of tiercel wrote the collection.
    #[error("expected a collection of format {expected}, got format {got}: use a newer tiercel")]
    Format {
        /// The format that this version reads.
        expected: u64,
        /// The format of the collection.
        got: u64,
    },
    /// The stored configuration is invalid.
    #[error("the configuration {0}")]
    Config(&'static str),
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The vectors cannot have the storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Full vectors cannot stay on disk.
    #[error(transparent)]
    RawStorage(#[from] RawStorageError),
    /// A vector is beyond half precision.
    #[error(
        "rerank: expected 'full' or 'none', since half precision cannot hold every vector, those deleted since the last compact() included, got 'f16'"
    )]
    Halves,
    /// The requested instruction set is not available.
    #[error("{0}")]
    Simd(String),
    /// A file within the collection is damaged.
    #[error("{file}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// The reason.
        what: String,
    },
    /// Another collection has replaced the one that was opened.
    #[error("another collection is in the directory now: open it again")]
    Replaced,
    /// The process was forked while another thread was refreshing.
    #[error("the process was forked while another thread was refreshing the collection: open it again in this process")]
    Forked,
    /// The background threads could not be started.
    #[error("cannot start the background thread: {0}")]
    Thread(String),
}

impl From<store::ReadError> for OpenError {
    fn from(error: store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

/// Why a write failed.
#[derive(Clone, Debug, Error)]
pub enum WriteError {
    /// A vector is invalid.
    #[error(transparent)]
    Row(#[from] RowError),
    /// An id is invalid.
    #[error("ids: expected 1 to {limit} bytes of UTF-8, got {got} at position {at}")]
    Id {
        /// The maximum number of bytes.
        limit: usize,
        /// The bytes of the id.
        got: usize,
        /// The position of the id.
        at: usize,
    },
    /// The vectors have another length than the existing ones.
    #[error("vectors: expected vectors of length {expected}, got {got}")]
    Dim {
        /// The length of the existing vectors.
        expected: usize,
        /// The length of the new vectors.
        got: usize,
    },
    /// The first vectors have a length out of range.
    #[error("vectors: expected vectors of length {low} to {high}, got {got}")]
    NoDim {
        /// The minimum length.
        low: usize,
        /// The maximum length.
        high: usize,
        /// The length of the new vectors.
        got: usize,
    },
    /// The first vectors have fewer values than the storage has parts.
    #[error(
        "vectors: expected vectors of at least {least} values for the collection's storage {}, got {got}",
        quoted(&storage.name())
    )]
    TooShort {
        /// The least length.
        least: usize,
        /// The storage of the collection.
        storage: Storage,
        /// The length of the new vectors.
        got: usize,
    },
    /// The vectors cannot have the storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Full vectors cannot stay on disk with that storage.
    #[error("storage: expected codes, since full vectors are on disk, got 'raw'")]
    RawStorage(#[from] RawStorageError),
    /// The number of values does not match the number of records with a vector.
    #[error("vectors: expected {expected} values, got {got}")]
    Length {
        /// The number of records with a vector, times their dim.
        expected: usize,
        /// The number of values passed.
        got: usize,
    },
    /// The texts cannot be indexed.
    #[error(transparent)]
    Text(#[from] tiercel_text::BuildError),
    /// The store did not commit.
    #[error(transparent)]
    Commit(#[from] store::CommitError),
    /// A read that the write depends on failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An earlier batch was written but could not be made searchable. Its records are safe; opening
    /// the collection again finds them.
    #[error("writes are refused until the collection is opened again: {0}")]
    Unsearchable(String),
    /// This batch was written but could not be made searchable.
    #[error("the batch is on disk, but not searchable until the collection is opened again: {0}")]
    Unpublished(String),
    /// Metadata cannot be read.
    #[error("metadata[{at}] of record {}: {why}", quoted(id))]
    Metadata {
        /// The position of the record.
        at: usize,
        /// Its id.
        id: String,
        /// The reason.
        why: String,
    },
    /// Metadata does not agree with the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A deletion by a filter without conditions.
    #[error("filter: expected a condition, got a filter that holds for every record; clear() removes all records")]
    AllRecords,
    /// A deletion by a filter. Records pass the filter only because no record has one of its fields.
    #[error(
        "filter: expected a field that a record has, got {}: records pass only because they lack it; to remove those, write \
         ~F({}).exists()", quoted(.0), quoted(.0)
    )]
    NoSuchField(String),
    /// The collection is open for reading.
    #[error("the collection is open for reading: expected mode 'rw' to write or back up, got 'r'")]
    ReadOnly,
}

/// Why a search or a read failed.
#[derive(Clone, Debug, Error)]
pub enum QueryError {
    /// A query vector is invalid.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A search by vector in a collection without vectors.
    #[error("vector: expected none, since the collection has no vectors yet; the first vectors added set the dim")]
    NoVectors,
    /// `after` is not a position of a scan in this order.
    #[error("after: expected the position of a scan with the same order_by, got {}", quoted(.0))]
    Position(String),
    /// The records were renumbered at least twice since that position.
    #[error(
        "after: compact() or background work has renumbered the records at least twice since this position; start the scan again"
    )]
    OldPosition,
    /// The writer has overwritten records that a scan in another process had yet to read.
    #[error(
        "scan: the writer has overwritten this state on disk; call refresh() and resume the scan after its last position"
    )]
    LeftBehind,
    /// A filter does not agree with the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The filter is invalid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The text is not a valid query.
    #[error(transparent)]
    Text(#[from] tiercel_text::QueryError),
    /// The caller stopped the query.
    #[error("interrupted")]
    Interrupted,
    /// A file is damaged.
    #[error(transparent)]
    Corrupt(#[from] store::Corruption),
    /// The system refused an operation.
    #[error("{0}")]
    Io(std::sync::Arc<std::io::Error>),
    /// The process was forked while another thread was refreshing the collection.
    #[error("{0}")]
    Forked(String),
    /// Another failure, such as a lack of memory.
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
            SearchError::Raw(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<RawError> for QueryError {
    fn from(error: RawError) -> Self {
        Self::Io(std::sync::Arc::new(error.into()))
    }
}

impl From<AddError> for WriteError {
    /// Only for vectors that were checked: they could not be added, and are not searchable.
    fn from(error: AddError) -> Self {
        match error {
            AddError::Raw(error) => Self::Query(error.into()),
            AddError::Interrupted => Self::Query(QueryError::Interrupted),
            error => Self::Unsearchable(error.to_string()),
        }
    }
}

impl From<GetError> for WriteError {
    /// Only for ids that are there: their vectors could not be read.
    fn from(error: GetError) -> Self {
        if let GetError::Raw(error) = error { Self::Query(error.into()) } else { Self::Unsearchable(error.to_string()) }
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
