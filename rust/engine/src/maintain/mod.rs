//! What the thread in the background does: upkeep, checkpoints, numbering rows anew.

pub(crate) mod background;
pub(crate) mod checkpoint;
pub(crate) mod renumber;
pub(crate) mod upkeep;
