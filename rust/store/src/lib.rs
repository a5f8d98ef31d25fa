//! Durable storage of a collection: the record database, the log and the segment files, through the
//! container's `Vfs`.
//!
//! The crate handles only bytes: the engine knows the meaning of a vector, a text or a segment.
//! Each layer uses those below it:
//!
//! ```text
//! Store        batches, snapshots, publication of segments, backup
//! Writer       commits: to the log and to the memtable
//! view         reading what another process writes: a view of the records, and then the log
//! records      redb, in one file under checksums; the memtable, in memory: what is only in the log
//! log          what was committed, in files that are only appended to; group commit
//! segment      immutable files of checksummed sections
//! ```
//!
//! A commit is one append to the log and, if it must be durable, one sync. [`Store::apply`] moves
//! the changes gathered so far into the record database, in the order of keys and in one
//! transaction. The vectors stay in the log until they are in segments. Opening replays the log on
//! top of the database.
//!
//! The guarantees: when [`Store::commit`] returns, the whole batch survives a crash of the process,
//! and with [`Durability::Always`] also a crash of the machine. With the other settings a crash of
//! the machine may lose what was committed since the last [`Store::sync`], latest batches first and
//! never a part of one. A file system without room (full, over its quota, read-only) refuses a
//! batch and nothing else. After any other failed write or sync, writes are refused and reads go
//! on. Damage is found and named when it is read, and never served.
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
