//! Answer queries on a state of the index.

pub(crate) mod allowed;
pub(crate) mod best;
mod coarse;
pub(crate) mod flat;
pub(crate) mod likeness;
pub(crate) mod query;
pub(crate) mod recall;
