//! Answer queries on a state of the index.

pub(crate) mod allowed;
pub(crate) mod best;
pub(crate) mod flat;
pub(crate) mod likeness;
mod offers;
pub(crate) mod probe;
pub(crate) mod query;
pub(crate) mod recall;
pub(crate) mod strategy;
