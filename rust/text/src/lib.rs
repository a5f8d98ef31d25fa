//! Text search: tokens, postings, BM25 with pruning by bounds.
//!
//! A [`Tokenizer`] makes terms of texts, [`Segment`]s hold the documents of some rows, a [`TextIndex`] is a list of
//! segments with the statistics of all that live, a [`Query`] is what is looked for. All of them never change, so they
//! are shared without locks.

#![forbid(unsafe_code)]

mod best;
mod bm25;
mod build;
mod bytes;
mod constraints;
mod deletions;
mod dictionary;
mod errors;
mod fold;
mod hashing;
mod highlight;
mod index;
mod language;
mod pack;
mod postings;
mod query;
mod required;
mod scorer;
mod search;
mod segment;
mod stop_words;
mod sums;
mod tokenizer;
mod varint;
mod words;

pub use best::Hit;
pub use bm25::{B, K1};
pub use constraints::Constraints;
pub use errors::{BuildError, DecodeError, QueryError};
pub use hashing::HashingEmbedder;
pub use highlight::highlight;
pub use index::{Merge, TextIndex};
pub use language::Language;
pub use query::Query;
pub use segment::Segment;
pub use tokenizer::{ANALYZER, MAX_WORD_BYTES, Token, Tokenizer};
