//! How far rows, batches and log files are counted.

/// The most rows: a bitmap can hold the numbers of all.
pub(crate) const MAX_ROWS: u32 = u32::MAX;

/// Batches and log files are counted up from what a file says. This is far from all numbers that
/// counting can reach.
pub(crate) const MAX_NUMBER: u64 = 1 << 62;
