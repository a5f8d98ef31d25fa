//! Where the records of a log are.

use std::sync::Arc;

use super::record::{HEAD, Head, Lost, Record};
use super::segment::Segment;
use crate::KeyRef;

/// Where a record is.
#[derive(Clone)]
pub(crate) struct Place {
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Place {
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.offset == other.offset && Arc::ptr_eq(&self.segment, &other.segment)
    }

    /// Bytes of the packed value of a key.
    pub(crate) fn packed(&self, key: KeyRef<'_>) -> u64 {
        self.length - HEAD - key.encoded_len()
    }

    /// Read the record of a key, if it is whole.
    pub(crate) fn record(&self, key: KeyRef<'_>) -> Result<Record, Lost> {
        let bytes = self.segment.bytes(self.offset, self.length)?;
        Record::decode(bytes, self.segment.seed(), self.offset, key)
    }

    /// Whether the record of a key is what was written. Little of it is in memory at a time.
    pub(crate) fn is_whole(&self, key: KeyRef<'_>) -> bool {
        let check = || {
            let lead = self.segment.bytes(self.offset, HEAD + key.encoded_len())?;
            let head = Head::decode(&lead, self.segment.seed(), self.offset).ok_or(Lost::Damaged)?;
            let is_here = head.length() == self.length && head.key(&lead) == Some(key);
            let start = self.offset + head.lead();
            Ok::<_, Lost>(is_here && self.segment.sum(start, head.body)? == head.body_sum)
        };
        check().unwrap_or(false)
    }

    /// Read the value of a key, if it is whole and has no more bytes than `most`.
    pub(crate) fn value(&self, key: KeyRef<'_>, most: u64) -> Result<Arc<[u8]>, Lost> {
        self.record(key)?.value(most)
    }
}
/// The value of a key.
pub(crate) struct Found {
    pub(crate) place: Place,
    /// Bytes of the value.
    pub(crate) value: u64,
}
