//! Collections: records found by vector, text and metadata, kept safely in a directory.
//!
//! ```text
//! Collection   open, write, search, read            what the user calls
//! Core         the newest Snapshot                  what searches need
//! Writer       store + what publishes snapshots     shared with the thread in the background; not there in a reader
//! Viewer       takes newer snapshots from the disk  of a collection that is open for reading, by following its log
//! Snapshot     stamps, vectors, text, fields        what a search sees; never changes
//! Background   tails into the graph, merges, checkpoints
//! ```
#![forbid(unsafe_code)]

mod among;
mod background;
mod checkpoint;
mod collection;
mod config;
mod current;
mod damage;
mod errors;
mod events;
mod expand;
mod faults;
pub mod filter;
mod follow;
mod fuse;
#[cfg(test)]
mod isolation;
mod mmr;
#[cfg(test)]
mod model;
mod open;
mod patch;
mod plan;
mod position;
mod read;
mod remove;
mod renumber;
mod run;
mod scan;
mod scope;
mod search;
mod select;
mod snapshot;
mod stamps;
#[cfg(test)]
mod stamps_tests;
mod sync;
mod trouble;
mod update;
mod vectors;
mod view;
mod write;
mod writer;

pub use among::{List, Moment, Norms};
pub use collection::Collection;
pub use config::{Config, Wanted, metric_name};
pub use errors::{OpenError, QueryError, WriteError};
pub use events::{Event, Events, Level};
pub use expand::{Expand, Walk};
pub use fuse::Fusion;
pub use open::Running;
pub use plan::{Plan, Stage, deep};
pub use read::{Got, Stats};
pub use run::Candidates;
pub use scan::{Order, Page, Scan};
pub use search::{Found, Include, Match, Search, Syntax};
pub use tiercel_store::{CommitError, Condition, Corruption, Durability, NoRoom, OpenError as StoreOpenError};
pub use tiercel_text::{Language, Tokenizer};
pub use trouble::{Trouble, Troubles};
pub use write::{MAX_ID, NewRecord};
