//! What can go wrong.

use thiserror::Error;

/// Why a segment was not built or taken in.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BuildError {
    /// The rows of documents must rise, within a segment and from one to the next.
    #[error("rows: expected them to rise, got {got} after {last}")]
    Order {
        /// The row before.
        last: u32,
        /// The row that is not larger.
        got: u32,
    },
    /// There is more text than a segment holds.
    #[error("documents: expected at most {limit} bytes of text in a segment, got more")]
    TooLarge {
        /// How many there may be.
        limit: usize,
    },
}

/// Why bytes are no segment.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// They were written by another version, or are something else.
    #[error("text segment: expected format {expected}, got {got}")]
    Format {
        /// The format that can be read.
        expected: u32,
        /// The number found in its place.
        got: u32,
    },
    /// They end too soon, go on too long, or contradict themselves.
    #[error("text segment: {what} is damaged")]
    Damaged {
        /// The part that is.
        what: &'static str,
    },
}

/// Why a text is no query.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// More phrases than a query may have.
    #[error("text: expected at most {limit} different phrases in a query, got more")]
    TooManyPhrases {
        /// The most there may be.
        limit: usize,
    },
    /// More words in phrases and behind signs than a query may have.
    #[error("text: expected at most {limit} words in phrases and behind signs in a query, got more")]
    TooManyWords {
        /// The most there may be.
        limit: usize,
    },
}
