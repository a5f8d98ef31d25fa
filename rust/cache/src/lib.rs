//! Cache tiers: bytes by key, in memory, in an embedded store, and in files.
//!
//! Every tier implements one trait, [`Tier`], and is useful alone. A tier may forget any value at
//! any time, to keep to its size or because the value is damaged; it never returns a value that was
//! not put under the requested key. [`seal`] and [`unseal`] make the frame that a value needs
//! outside of memory, and [`Sketch`] estimates how often keys are requested.

mod beginning;
mod blocks;
mod claim;
mod directory;
mod envelope;
mod errors;
mod files;
mod frame;
mod journal;
mod key;
mod lock;
mod log;
mod look;
mod memory;
mod opened;
mod packing;
mod shares;
mod sketch;
mod store;
mod tally;
mod tier;

pub use claim::Begin;
pub use envelope::{Envelope, Opened, Unpacked};
pub use errors::OpenError;
pub use files::Files;
pub use frame::{seal, unseal};
pub use key::{Key, KeyRef, Kind};
pub use look::Look;
pub use memory::Memory;
pub use packing::copied;
pub use sketch::Sketch;
pub use store::Store;
pub use tier::{Counts, Evicted, Lasting, Put, Tier};
