//! The work of the background thread: upkeep, checkpoints, and renumbering of rows.

pub(crate) mod background;
pub(crate) mod checkpoint;
pub(crate) mod rebuild;
pub(crate) mod renumber;
pub(crate) mod upkeep;
