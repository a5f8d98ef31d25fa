//! How far rows, batches and log files are counted.

/// The most rows: a bitmap can hold the numbers of all.
pub(crate) const MAX_ROWS: u32 = u32::MAX;
