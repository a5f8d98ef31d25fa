//! What can be wrong with a filter, and with the metadata that is indexed.

use thiserror::Error;

/// Why a filter is none. Messages begin with the place in the filter, written as Python would reach it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// The text is not JSON.
    #[error("filter: expected JSON, got {0}")]
    NotJson(String),
    /// A value of another kind than what stands at its place.
    #[error("filter{at}: expected {expected}, got {got}")]
    Unexpected {
        /// Where in the filter.
        at: String,
        /// What stands there in a filter.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// A name with a dollar that means nothing at its place.
    #[error("filter{at}: expected {expected}, got the operator {got}")]
    Operator {
        /// Where in the filter.
        at: String,
        /// The operators of that place.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// Filters or operands within each other, too deep.
    #[error("filter{at}: expected at most {limit} levels within each other")]
    TooDeep {
        /// Where in the filter.
        at: String,
        /// The most levels.
        limit: usize,
    },
    /// More conditions and values than a filter may have.
    #[error("filter: expected at most {limit} conditions and values in all; split a long $in over several calls")]
    TooLarge {
        /// The most conditions and values.
        limit: usize,
    },
    /// More conditions than a filter may have.
    #[error("filter: expected at most {limit} conditions; $in takes many values as one")]
    TooManyConditions {
        /// The most conditions.
        limit: usize,
    },
    /// More fields than a filter may look at.
    #[error("filter: expected at most {limit} different fields")]
    TooManyFields {
        /// The most fields.
        limit: usize,
    },
}

/// Why a record cannot be indexed.
#[derive(Debug, Error)]
pub enum MetadataError {
    /// The metadata is not JSON.
    #[error("metadata of row {row}: {source}")]
    NotJson {
        /// The row.
        row: u32,
        /// What is wrong with the text.
        source: serde_json::Error,
    },
    /// More text than an index can take.
    #[error("metadata of row {row}: expected at most {limit} bytes of JSON")]
    TooLong {
        /// The row.
        row: u32,
        /// The most bytes.
        limit: usize,
    },
    /// A row that is in the index already, or out of turn.
    #[error("row {row}: expected rows from {from} up, ascending, below {to}")]
    Row {
        /// The row.
        row: u32,
        /// The first row that could come.
        from: u32,
        /// One past the last.
        to: u32,
    },
}
