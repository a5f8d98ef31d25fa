//! Segments: the documents of some rows, as postings and as a list of terms for each document. A
//! segment is built once, never changes, and is written as bytes.

pub(crate) mod build;
pub(crate) mod bytes;
pub(crate) mod deletions;
pub(crate) mod dictionary;
pub(crate) mod pack;
pub(crate) mod postings;
pub(crate) mod segment;
pub(crate) mod varint;
