//! Following the commits of another process.

pub(crate) mod reading;
pub(crate) mod steady;
pub(crate) mod viewer;
