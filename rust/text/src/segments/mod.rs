//! Segments: the documents of some rows, as postings and as a list of terms for each document. They are built
//! once, never change, and are written as bytes.

pub(crate) mod build;
pub(crate) mod bytes;
pub(crate) mod deletions;
pub(crate) mod dictionary;
pub(crate) mod pack;
pub(crate) mod postings;
pub(crate) mod segment;
pub(crate) mod varint;
