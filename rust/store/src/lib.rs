//! Durable storage of a collection: every file operation, the record database and the segment files.
//!
//! The crate knows bytes alone: what a vector, a text or a segment means is the business of the engine. Layers, each of
//! which uses those below it:
//!
//! ```text
//! Store        batches, group commit, snapshots, publication of segments, backup
//! redb         transactions over B-trees, in one file           segment   immutable files of checksummed sections
//! PageFile     pages with checksums, written at a sync
//! Vfs          the operations of a file system: OsVfs, and SimVfs in tests
//! ```
//!
//! What is promised. When [`Store::commit`] returns and durability is [`Durability::Always`], the batch survives a crash of
//! the process and of the machine, whole. With the others, what was committed since the last [`Store::sync`] may be lost in
//! a crash of either kind, latest batches first and never a part of one. A disk that is full refuses a batch and nothing
//! else. After any other failed write or sync, writes are refused and reads go on. Damage is found when it is read, and
//! named; it is never served.
#![forbid(unsafe_code)]

mod batch;
mod copy;
mod database;
mod errors;
mod fresh;
mod group;
mod page_file;
mod pages;
mod reader;
mod record;
mod segment;
#[cfg(feature = "sim")]
pub mod sim;
mod store;
mod tables;
mod vfs;
mod view;
mod writer;

pub use batch::{Applied, Batch, Change, RowChange};
pub use errors::{CommitError, Corruption, OpenError, ReadError};
pub use fresh::FreshChunk;
pub use reader::Reader;
pub use record::{Record, RecordRef};
pub use segment::{SectionReader, Segment, SegmentWriter, Tag};
pub use store::{Durability, Options, Publication, Sizes, Store};
pub use vfs::{LockError, OsVfs, ReadOnlyVfs, Vfs, VfsFile, VfsLock};
pub use view::View;
