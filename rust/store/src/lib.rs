//! Durable storage of a collection: the record database, the log and the segment files, through `Vfs` of the container.
//!
//! The crate knows bytes alone: what a vector, a text or a segment means is the business of the engine.
//! Layers, each of which uses those below it:
//!
//! ```text
//! Store        batches, snapshots, publication of segments, backup
//! Writer       commits: to the log and to the memtable
//! view         reading what another process writes: a view of the records, and then the log
//! records      redb, in one file under checksums; in memory, the memtable: what is in the log alone
//! log          what was committed, in files that are only added to; group commit
//! segment      immutable files of checksummed sections
//! ```
//!
//! A commit is one append to the log and, if it must be durable, one sync. [`Store::apply`] puts what has gathered into the record
//! database, ordered by key, in one transaction. The vectors stay in the log until segments have them. Opening reads the
//! log on top of the database.
//!
//! What is promised. When [`Store::commit`] returns, the batch survives a crash of the process, whole; and of the machine, if
//! durability is [`Durability::Always`]. With the others, what was committed since the last [`Store::sync`] may be lost in
//! a crash of the machine, latest batches first and never a part of one. A file system without room (full, over
//! its quota, read-only) refuses a batch and nothing else. After any other failed write or sync, writes are refused and reads go on. Damage is found when it is read, and
//! named; it is never served.
#![forbid(unsafe_code)]

mod backup;
mod batch;
mod errors;
mod found;
mod limits;
mod log;
mod maintain;
mod names;
mod options;
mod prepared;
mod publication;
mod record;
mod records;
mod renumber;
mod segment;
mod shared_bytes;
mod sizes;
mod store;
mod view;
mod writer;

pub use batch::{Applied, Batch, Change, Condition, RowChange};
pub use errors::{CommitError, Corruption, OpenError, ReadError, is_outdated, message_of};
pub use log::fresh::FreshChunk;
pub use options::{Durability, Options};
pub use prepared::Prepared;
pub use publication::Publication;
pub use record::{Record, RecordRef};
pub use records::reader::Reader;
pub use renumber::Quiet;
pub use segment::{SegmentFile, SegmentWriter, is_segment_name};
pub use shared_bytes::SharedBytes;
pub use sizes::Sizes;
pub use store::Store;
pub use view::View;
pub use view::follow::{Followed, Follower};
