//! The state that searches see and how it changes: snapshots, their parts, and the additional state
//! of a writer.

pub(crate) mod apply;
pub(crate) mod checkpoint;
pub(crate) mod core;
pub(crate) mod current;
pub(crate) mod damage;
pub(crate) mod known;
pub(crate) mod load;
#[cfg(test)]
mod model;
pub(crate) mod pace;
pub(crate) mod passing;
pub(crate) mod placement;
pub(crate) mod signal;
pub(crate) mod snapshot;
mod sync;
pub(crate) mod unindexed;
pub(crate) mod vectors;
pub(crate) mod visibility;
#[cfg(test)]
mod visibility_tests;
pub(crate) mod writer;
