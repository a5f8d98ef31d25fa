//! Following what another process commits.

pub(crate) mod reading;
pub(crate) mod steady;
pub(crate) mod viewer;
