//! The records: the database that holds them on the disk, and what the log has on top of it, in memory.
//!
//! From the bottom up: `pages` lies between redb and its file, `check` looks at every page before redb
//! does, `database` is redb without its panics, `tables` says what is in it, and `base` is one state of
//! it. `memtable` has what is in the log alone. A `reader` sees both, a `stage` works out what batches
//! change on top of it, and `replay` does that with the log. `transactions` writes to the database, and
//! to the file of the view that other processes read.

pub(crate) mod base;
mod check;
pub(crate) mod copy;
mod database;
pub(crate) mod memtable;
mod numbers;
pub(crate) mod pages;
pub(crate) mod reader;
pub(crate) mod replay;
pub(crate) mod stage;
pub(crate) mod tables;
pub(crate) mod transactions;
pub(crate) mod verify;
pub(crate) mod view_file;
