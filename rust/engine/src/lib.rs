//! Collections: records found by vector, text and metadata, kept safely in a directory.
//!
//! ```text
//! Collection   open, write, search, read            the user's calls
//! Core         the newest Snapshot                  what searches need
//! Writer       the store, publishing of snapshots   shared with the background; readers have none
//! Viewer       newer snapshots from disk            follows the log of a collection open to read
//! Snapshot     visibility, vectors, text, fields    what a search sees; never changes
//! Background   growing segments into the graph, merges, checkpoints
//! ```
#![forbid(unsafe_code)]

mod collection;
mod config;
mod errors;
mod events;
mod faults;
pub mod filter;
mod follow;
mod maintain;
mod maintenance;
mod open;
mod pool;
mod search;
mod state;
mod trouble;
mod view;
mod write;

pub use collection::Collection;
pub use config::{Config, OpenOptions, metric_name};
pub use errors::{OpenError, QueryError, StorageError, WriteError};
pub use events::{Event, Events, Level};
pub use open::Running;
pub use search::among::{List, Moment, Norms};
pub use search::expand::{Expand, Walk};
pub use search::found::{Found, Match};
pub use search::fuse::Fusion;
pub use search::plan::{Plan, Stage, deep};
pub use search::position::Order;
pub use search::read::{Got, Stats};
pub use search::request::{Include, Search, Syntax};
pub use search::run::Candidates;
pub use search::scan::{Page, Scan};
pub use tiercel_store::{CommitError, Condition, Corruption, Durability, OpenError as StoreOpenError};
pub use tiercel_text::{Language, Tokenizer};
pub use trouble::{Trouble, Troubles};
pub use write::upsert::{MAX_ID, NewRecord};
