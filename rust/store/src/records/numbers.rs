//! Numbers in bytes that redb wrote, where they may be missing.

use std::fmt::Display;

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// A number that may be missing, in a message.
pub(crate) fn shown(number: Option<impl Display>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}
