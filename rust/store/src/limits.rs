//! The largest number of rows.

/// Maximum number of rows: a bitmap can hold all their numbers.
pub(crate) const MAX_ROWS: u32 = u32::MAX;
