//! The errors of text search.

use thiserror::Error;

/// Why a segment was not built or added.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BuildError {
    /// The rows of documents must increase, within a segment and from one segment to the next.
    #[error("rows: expected increasing rows, got {got} after {last}")]
    Order {
        /// The previous row.
        last: u32,
        /// The row that is not larger.
        got: u32,
    },
    /// The text is larger than a segment can hold.
    #[error("documents: expected at most {limit} bytes of text in a segment, got more")]
    TooLarge {
        /// The largest number of bytes.
        limit: usize,
    },
    /// The different terms of the text, which may be far longer than its words, are larger than a
    /// segment can hold.
    #[error("documents: expected at most {limit} bytes of different terms in a segment, got more")]
    TooManyTerms {
        /// The largest number of bytes.
        limit: usize,
    },
}

/// Why bytes are not a segment.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes were written by another version, or are something else.
    #[error("text segment: expected format {expected}, got {got}")]
    Format {
        /// The format that can be read.
        expected: u32,
        /// The number found in its place.
        got: u32,
    },
    /// The bytes are too few or too many, or contradict themselves.
    #[error("text segment: {what} is damaged")]
    Damaged {
        /// The damaged part.
        what: &'static str,
    },
}

/// Why a text is not a query.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// More phrases than a query may have.
    #[error("text: expected at most {limit} different phrases in a query, got more")]
    TooManyPhrases {
        /// The largest number allowed.
        limit: usize,
    },
    /// More words in phrases and after signs than a query may have.
    #[error("text: expected at most {limit} words in phrases and after a sign in a query, got more")]
    TooManyWords {
        /// The largest number allowed.
        limit: usize,
    },
}
