//! How kept values are charged, and how the bytes of a tier are divided.
//!
//! A file takes whole blocks, and one more for its inode and its place in a directory. A record in
//! the log takes its bytes and half as much again, for the dead records that the log may have. So
//! the sum of all charges is about what the directory takes.

use crate::KeyRef;
use crate::log::{HEAD, Limits};

/// Bytes of a block of a file system.
const BLOCK: u64 = 4 << 10;

/// Maximum bytes of a content, as it is written, that is packed into the log: a file would take up
/// to three times as much of the disk.
pub(super) const PACKED: usize = 16 << 10;

/// A segment of the log is this fraction of the tier, and at least `SEGMENT` bytes.
const SEGMENTS: u64 = 64;
const SEGMENT: u64 = 128 << 10;

/// Segments that the log may take beyond its charge: the last one, one that waits to be written to
/// it, and one on its way into it.
const BEYOND: u64 = 3;

/// The charge of a file of `bytes`.
pub(super) fn in_file(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK)
}

/// The charge of a record with a body of `body` bytes.
pub(super) fn in_log(key: KeyRef<'_>, body: u64) -> u64 {
    let bytes = body.saturating_add(HEAD + key.encoded_len());
    bytes.saturating_add(bytes / 2)
}

/// How the bytes of a tier are divided.
pub(super) struct Division {
    /// Bytes that may be charged.
    pub(super) room: u64,
    /// Bytes of a segment of the log.
    segment: u64,
}

impl Division {
    pub(super) fn of(bytes: u64) -> Self {
        let segment = (bytes / SEGMENTS).max(SEGMENT);
        // In a tier smaller than a few segments, the log takes more than is set aside.
        Self { room: bytes - (BEYOND * segment).min(bytes / 8), segment }
    }

    /// The limits of a log whose largest record has `record` bytes.
    pub(super) fn limits(&self, record: u64) -> Limits {
        Limits { segment: self.segment, record }
    }

    /// Bytes that wait before they are written.
    pub(super) fn together(&self) -> u64 {
        self.segment.min(crate::opened::TOGETHER)
    }
}
