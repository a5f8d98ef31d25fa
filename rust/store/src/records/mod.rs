//! The records: the database that holds them on the disk, and in memory what the log has on top of
//! it.
//!
//! From the bottom up: `pages` lies between redb and its file, `check` checks every page before
//! redb reads it, `database` is redb without its panics, `tables` defines the tables, and `base` is
//! one state of the database. `memtable` has what is only in the log. A `reader` sees both, a
//! `stage` works out what batches change on top of it, and `replay` does that with the log.
//! `transactions` writes to the database, and to the view file that other processes read.

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
