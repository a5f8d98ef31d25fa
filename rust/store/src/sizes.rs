//! Space that a store takes.

/// Bytes on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of the record database.
    pub records: u64,
    /// Bytes of the log.
    pub log: u64,
    /// Bytes of the segments.
    pub segments: u64,
}
