//! The content of groups of the [log](tiercel_container::log): batches of changes to records, and
//! vectors.

pub(crate) mod batch;
pub(crate) mod fresh;
pub(crate) mod read;
