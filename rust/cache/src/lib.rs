//! Cache tiers: bytes by key, in memory, in an embedded store, and in files.
//!
//! Every tier stands behind one trait, [`Tier`], and is of use alone. A tier may forget any value at any time, to keep
//! to its size or because what it kept is damaged; it never gives a value that was not put under the key it is asked
//! for. [`seal`] and [`unseal`] make the frame that a value needs outside of memory, and [`Sketch`] tells which keys
//! are asked for often.

mod blocks;
mod claim;
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
pub use packing::shared;
pub use sketch::Sketch;
pub use store::Store;
pub use tier::{Counts, Evicted, Lasting, Put, Tier};
