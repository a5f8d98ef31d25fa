//! Errors, one enum per operation. Messages begin with the name of the argument.

use std::io;

use thiserror::Error;

use crate::size::Size;

/// An invalid row of vectors or queries; `argument` is the name of the array.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum RowError {
    /// Values that do not form whole rows.
    #[error("{argument}: expected rows of {dim} values, got {values} values in all")]
    Ragged {
        /// Name of the array.
        argument: &'static str,
        /// Values per row.
        dim: usize,
        /// Values received.
        values: usize,
    },
    /// NaN or infinity.
    #[error("{argument}: expected finite values, got {value} at row {row}, column {column}")]
    NotFinite {
        /// Name of the array.
        argument: &'static str,
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A value beyond half precision in an index that keeps `f16`.
    #[error("{argument}: expected values within float16 (±65504), got {value} at row {row}, column {column}")]
    Overflow {
        /// Name of the array.
        argument: &'static str,
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A vector without a direction under the cosine metric (zero, or so small or large that its
    /// norm is not a number).
    #[error("{argument}: expected a vector with a direction for the cosine metric, got norm {norm} at row {row}")]
    NoDirection {
        /// Name of the array.
        argument: &'static str,
        /// The row.
        row: usize,
        /// Its norm in float32.
        norm: f32,
    },
}

/// Why vectors were not added. Nothing was changed, except that the ids of an interrupted addition
/// are not counted again.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum AddError {
    /// A vector is invalid.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The numbers of ids and vectors differ.
    #[error("ids: expected one id for each of {expected} vectors, got {got}")]
    Ids {
        /// Number of vectors.
        expected: usize,
        /// Number of ids.
        got: usize,
    },
    /// An id occurs twice in the batch.
    #[error("ids: expected distinct ids, got {id} at rows {first} and {second}")]
    Repeated {
        /// The id.
        id: u64,
        /// Row where it occurs first.
        first: usize,
        /// Row where it occurs again.
        second: usize,
    },
    /// An id is already in the index.
    #[error("ids: expected new ids, got {id} at row {row}, which is in the index; upsert replaces its vector")]
    Taken {
        /// The id.
        id: u64,
        /// Its row.
        row: usize,
    },
    /// The largest u64 pads short results and is not a valid id.
    #[error("ids: expected 0 to 2**64 - 2, got 2**64 - 1 at row {row}")]
    Reserved {
        /// Its row.
        row: usize,
    },
    /// Counted ids have reached the largest u64.
    #[error("ids: expected explicit ids, since counting on from {last} would pass 2**64 - 2")]
    Exhausted {
        /// The largest id so far.
        last: u64,
    },
    /// More slots than an index can number.
    #[error("vectors: expected at most {limit} slots in an index, got {got}")]
    TooMany {
        /// The most slots of an index.
        limit: usize,
        /// The slots that the addition would need.
        got: usize,
    },
    /// Full vectors on disk could not be written or read.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// No storage is small enough for the budget of memory.
    #[error(transparent)]
    Memory(#[from] BudgetError),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<BuildError> for AddError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Raw(error) => Self::Raw(error),
            BuildError::Memory(error) => Self::Memory(error),
            BuildError::Interrupted(_) => Self::Interrupted,
        }
    }
}

/// Why a search has no answer.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SearchError {
    /// A query is invalid.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A mask of another length than the index.
    #[error("filter: expected a mask of length {expected}, one value for each of index.ids, got length {got}")]
    MaskLength {
        /// Vectors in the index.
        expected: usize,
        /// Length of the mask.
        got: usize,
    },
    /// Not enough memory for the results.
    #[error("not enough memory for {count} queries times {k} results")]
    TooLarge {
        /// Number of queries.
        count: usize,
        /// Results per query; of a range search, the most.
        k: usize,
    },
    /// Full vectors on disk could not be read.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A budget of memory that no storage fits into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "memory: expected at least {} for {slots} vectors, removed ones included, got {}{}",
    Size(*needed), Size(*budget), without_graph(*flat)
)]
pub struct BudgetError {
    /// The budget in bytes.
    pub budget: u64,
    /// The least that the vectors need.
    pub needed: u64,
    /// The least that they need without a graph or lists, if they have one.
    pub flat: Option<u64>,
    /// Number of vectors, with those that were removed.
    pub slots: usize,
}

fn without_graph(flat: Option<u64>) -> String {
    flat.map(|flat| format!("; kind='flat' takes {}", Size(flat))).unwrap_or_default()
}

/// Why an index was not optimized completely.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum BuildError {
    /// Full vectors on disk could not be written or read. Nothing was changed.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// No storage is small enough for the budget of memory. Nothing was changed.
    #[error(transparent)]
    Memory(#[from] BudgetError),
    /// The caller asked to stop. Work done before that is kept.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Full vectors on disk that could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RawError {
    /// The system refused.
    #[error("cannot {does} the file of full vectors{place}: {why}")]
    Io {
        /// What was tried: "read" or "write".
        does: &'static str,
        /// Where, if that is known, as words of the message.
        place: String,
        /// The system's number of the error, if it has one.
        code: Option<i32>,
        /// The kind of error.
        kind: io::ErrorKind,
        /// The system's message.
        why: String,
    },
    /// A vector is not the one that was written.
    #[error("expected the vector that was written to the file of full vectors, got another, at byte {offset}")]
    Changed {
        /// Its offset in the file, in bytes.
        offset: u64,
    },
}

impl RawError {
    /// A failure to write.
    pub(crate) fn write(error: &io::Error) -> Self {
        Self::io("write", String::new(), error)
    }

    /// A failure to read from `offset` on.
    pub(crate) fn read(error: &io::Error, offset: u64) -> Self {
        Self::io("read", format!(" at byte {offset}"), error)
    }

    fn io(does: &'static str, place: String, error: &io::Error) -> Self {
        let code = error.raw_os_error();
        let (text, number) = (error.to_string(), code.map(|code| format!(" (os error {code})")).unwrap_or_default());
        let why = text.strip_suffix(&number).unwrap_or(&text).to_owned();
        Self::Io { does, place, code, kind: error.kind(), why }
    }
}

impl From<RawError> for io::Error {
    fn from(error: RawError) -> Self {
        let kind = if let RawError::Io { kind, .. } = &error { *kind } else { io::ErrorKind::InvalidData };
        Self::new(kind, error)
    }
}

impl From<Interrupted> for AddError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl From<Interrupted> for SearchError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

/// The caller asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Why vectors were not returned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GetError {
    /// An id that is not in the index.
    #[error("ids: expected ids in the index, got {id}, which is not")]
    NotFound {
        /// The id.
        id: u64,
    },
    /// Full vectors on disk could not be read.
    #[error(transparent)]
    Raw(#[from] RawError),
}

/// The damage in a file, and its place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} at byte {offset}")]
pub struct Corruption {
    /// The damage.
    pub what: String,
    /// Its offset in the file, in bytes.
    pub offset: u64,
}

/// Why an index could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is damaged or not an index.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// Full vectors that searches compare must be in memory.
    #[error("raw: expected 'memory' for an index whose searches compare full vectors, got '{raw}'")]
    Compared {
        /// Where they were to be.
        raw: &'static str,
    },
    /// Forgotten vectors have no copy in half precision.
    #[error("rerank: expected 'none' for an index without full vectors, got 'f16'")]
    Forgotten,
    /// A vector is beyond half precision.
    #[error("{0}, for rerank 'f16'")]
    Half(RowError),
    /// `TIERCEL_SIMD` is not usable.
    #[error(transparent)]
    Simd(#[from] tiercel_simd::LevelError),
}
