//! The records of a log: each has a key and its value, or the deletion of the key.
//!
//! ```text
//!  0      4      5       6         8        16       24       32       36       40       44
//!  +------+------+-------+---------+--------+--------+--------+--------+--------+--------+-----+------
//!  | TCLR | kind | codec | version | key    | body   | value  | CRC32C | CRC32C | CRC32C | key | body
//!  |      |      |       |         | length | length | length | of key | of     | of the |     |
//!  |      |      |       |         |        |        |        |        | body   | head   |     |
//!  +------+------+-------+---------+--------+--------+--------+--------+--------+--------+-----+------
//!   little endian; the key is its kind (0: text, 1: bytes, 2: the hash of a content) and its bytes;
//!   the body is the value as the codec writes it
//! ```
//!
//! The checksum of the head begins with the log, the segment and the place in it. So a record in
//! any other place, such as in another record's value or in a misplaced page, does not count.

use std::io;
use std::sync::Arc;

use tiercel_container::seal;

use crate::KeyRef;
use crate::packing::{Codec, copied, unpack};

/// Bytes before the key.
pub(crate) const HEAD: u64 = 44;
const LEAD: usize = HEAD as usize;
/// Where the checksum of the head is.
const SUM: usize = LEAD - 4;

const MAGIC: [u8; 4] = *b"TCLR";
const VERSION: u16 = 1;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No more records follow in this segment.
    End = 0,
    /// The key has no value.
    Deletion = 1,
    /// The key has this value.
    Value = 2,
}

/// The head of a record.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: Kind,
    codec: Codec,
    key: u64,
    pub(super) body: u64,
    value: u64,
    key_sum: u32,
    pub(super) body_sum: u32,
}

impl Head {
    pub(super) fn of(kind: Kind, key: &[u8], codec: Codec, value: u64, body: &[u8]) -> Self {
        Self {
            kind,
            codec,
            key: key.len() as u64,
            body: body.len() as u64,
            value,
            key_sum: crc32c::crc32c(key),
            body_sum: crc32c::crc32c(body),
        }
    }

    /// Encode the head of a record at an offset of a segment.
    pub(super) fn encode(&self, seed: u32, offset: u64) -> [u8; LEAD] {
        let mut out = [0; LEAD];
        out[..4].copy_from_slice(&MAGIC);
        out[4] = self.kind as u8;
        out[5] = self.codec as u8;
        out[6..8].copy_from_slice(&VERSION.to_le_bytes());
        out[8..16].copy_from_slice(&self.key.to_le_bytes());
        out[16..24].copy_from_slice(&self.body.to_le_bytes());
        out[24..32].copy_from_slice(&self.value.to_le_bytes());
        out[32..36].copy_from_slice(&self.key_sum.to_le_bytes());
        out[36..SUM].copy_from_slice(&self.body_sum.to_le_bytes());
        seal(crc32c::crc32c_append(seed, &offset.to_le_bytes()), &mut out);
        out
    }

    /// Decode the head of a record, if there is one at this offset of the segment.
    pub(super) fn decode(bytes: &[u8], seed: u32, offset: u64) -> Option<Self> {
        let four = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let eight = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let head = Self {
            kind: [Kind::End, Kind::Deletion, Kind::Value]
                .into_iter()
                .find(|kind| bytes.get(4) == Some(&(*kind as u8)))?,
            codec: Codec::of(*bytes.get(5)?)?,
            key: eight(8)?,
            body: eight(16)?,
            value: eight(24)?,
            key_sum: four(32)?,
            body_sum: four(36)?,
        };
        (head.encode(seed, offset)[..] == *bytes.get(..LEAD)?).then_some(head)
    }

    /// Bytes up to the body.
    pub(super) fn lead(&self) -> u64 {
        self.key.saturating_add(HEAD)
    }

    /// Bytes of the record.
    pub(super) fn length(&self) -> u64 {
        self.lead().saturating_add(self.body)
    }

    /// Bytes of the value.
    pub(super) fn value(&self) -> u64 {
        self.value
    }

    /// The key of a record that begins with these bytes, if it is whole.
    pub(super) fn key<'a>(&self, lead: &'a [u8]) -> Option<KeyRef<'a>> {
        let key = lead.get(LEAD..)?;
        if crc32c::crc32c(key) == self.key_sum { KeyRef::decoded(key) } else { None }
    }
}

/// A record in memory, head, key and body.
pub(crate) struct Record {
    head: Head,
    bytes: Vec<u8>,
}

/// Why a record cannot be read.
pub(crate) enum Lost {
    /// It is not what was written.
    Damaged,
    /// The system cannot read it, or there is no memory for it.
    Refused,
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Damaged } else { Self::Refused }
    }
}

impl Record {
    /// Decode the record of a key from the bytes at an offset of the segment, if it is whole.
    pub(super) fn decode(bytes: Vec<u8>, seed: u32, offset: u64, key: KeyRef<'_>) -> Result<Self, Lost> {
        let head = Head::decode(&bytes, seed, offset).ok_or(Lost::Damaged)?;
        let (lead, body) = bytes.split_at_checked(head.lead() as usize).ok_or(Lost::Damaged)?;
        let whole = head.length() == bytes.len() as u64 && crc32c::crc32c(body) == head.body_sum;
        if !whole || head.key(lead) != Some(key) {
            return Err(Lost::Damaged);
        }
        Ok(Self { head, bytes })
    }

    pub(super) fn length(&self) -> u64 {
        self.head.length()
    }

    /// The value, if it has no more bytes than `most`.
    pub(super) fn value(&self, most: u64) -> Result<Arc<[u8]>, Lost> {
        let body = &self.bytes[self.head.lead() as usize..];
        let value = unpack(self.head.codec, body, self.head.value, most).ok_or(Lost::Damaged)?;
        copied(&value).ok_or(Lost::Refused)
    }

    /// Return the bytes of the record for another offset, in any segment.
    pub(super) fn moved_to(mut self, seed: u32, offset: u64) -> Vec<u8> {
        self.bytes[..LEAD].copy_from_slice(&self.head.encode(seed, offset));
        self.bytes
    }
}
