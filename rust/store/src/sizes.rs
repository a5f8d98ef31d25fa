//! How much a store takes.

/// Bytes on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Of the record database.
    pub records: u64,
    /// Of the log.
    pub log: u64,
    /// Of the segments.
    pub segments: u64,
}
