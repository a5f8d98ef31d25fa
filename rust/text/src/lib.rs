//! Text search: tokens, postings, BM25 with pruning by bounds.
//!
//! A [`Tokenizer`] turns texts into terms, a [`Segment`] holds the documents of some rows, a
//! [`TextIndex`] is a list of segments with the statistics of all live documents, and a [`Query`]
//! holds the words and phrases to find. None of them ever changes, so they are shared without
//! locks.

#![forbid(unsafe_code)]

mod analysis;
mod bm25;
mod errors;
mod hashing;
mod index;
mod search;
mod segments;

pub use analysis::language::Language;
pub use analysis::tokenizer::{ANALYZER, MAX_WORD_BYTES, Token, Tokenizer};
pub use bm25::{B, K1};
pub use errors::{BuildError, DecodeError, QueryError};
pub use hashing::HashingEmbedder;
pub use index::{Merge, TextIndex};
pub use search::best::Hit;
pub use search::constraints::Constraints;
pub use search::highlight::highlight;
pub use search::query::Query;
pub use segments::segment::Segment;
