//! Errors of filters, and of metadata to be indexed.

use thiserror::Error;

/// Why a filter is invalid. Messages begin with the place in the filter, written as a Python
/// expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// The text is not JSON.
    #[error("filter: expected JSON, got {0}")]
    NotJson(String),
    /// A value of a kind that is not allowed at its place.
    #[error("filter{at}: expected {expected}, got {got}")]
    Unexpected {
        /// The place in the filter.
        at: String,
        /// The values that are allowed there.
        expected: &'static str,
        /// The value that was passed.
        got: String,
    },
    /// A name with a dollar sign that is not an operator at its place.
    #[error("filter{at}: expected {expected}, got the operator {got}")]
    Operator {
        /// The place in the filter.
        at: String,
        /// The operators that are allowed there.
        expected: &'static str,
        /// The operator that was passed.
        got: String,
    },
    /// Filters or operands that are nested too deeply.
    #[error("filter{at}: expected at most {limit} levels of nesting")]
    TooDeep {
        /// The place in the filter.
        at: String,
        /// The maximum number of levels.
        limit: usize,
    },
    /// Too many conditions and values.
    #[error("filter: expected at most {limit} conditions and values in all; split a long $in over several calls")]
    TooLarge {
        /// The maximum number of conditions and values.
        limit: usize,
    },
    /// Too many conditions.
    #[error("filter: expected at most {limit} conditions; $in takes many values as one")]
    TooManyConditions {
        /// The maximum number of conditions.
        limit: usize,
    },
    /// Too many fields.
    #[error("filter: expected at most {limit} different fields")]
    TooManyFields {
        /// The maximum number of fields.
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
        /// The parse error.
        source: serde_json::Error,
    },
    /// Too much text for an index.
    #[error("metadata of row {row}: expected at most {limit} bytes of JSON")]
    TooLong {
        /// The row.
        row: u32,
        /// The maximum number of bytes.
        limit: usize,
    },
    /// A row that is already in the index, or out of order.
    #[error("row {row}: expected rows from {from} up, ascending, below {to}")]
    Row {
        /// The row.
        row: u32,
        /// The first row that is allowed.
        from: u32,
        /// One past the last.
        to: u32,
    },
}
