//! How a value lies outside of memory: with what tells whether it is whole, and whose it is.
//!
//! ```text
//!  0      4         8           16       24        28       32
//!  +------+---------+-----------+--------+---------+--------+-------
//!  | TCLV | version | digest of | length | 0       | CRC32C | value
//!  |      |         | the key   |        |         |        |
//!  +------+---------+-----------+--------+---------+--------+-------
//!   little endian; the checksum is that of the 28 bytes before it and of the value
//! ```

use std::sync::Arc;

use crate::KeyRef;

const MAGIC: [u8; 4] = *b"TCLV";
const VERSION: u32 = 1;
const HEADER: usize = 32;

/// Bytes of a frame around a value of so many.
pub(crate) fn framed(value: usize) -> u64 {
    (HEADER + value) as u64
}

/// A value in its frame.
pub(crate) fn write(key: KeyRef<'_>, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + value.len());
    out.extend_from_slice(&head(key, value.len()));
    let sum = crc32c::crc32c_append(crc32c::crc32c(&out), value);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(value);
    out
}

/// The value of a frame, if it is whole and the key's.
pub(crate) fn read(key: KeyRef<'_>, frame: &[u8]) -> Option<Arc<[u8]>> {
    let (header, value) = frame.split_at_checked(HEADER)?;
    let (head_read, sum) = header.split_at(HEADER - 4);
    let expected = crc32c::crc32c_append(crc32c::crc32c(head_read), value);
    (head_read == head(key, value.len()) && sum == expected.to_le_bytes()).then(|| value.into())
}

fn head(key: KeyRef<'_>, length: usize) -> [u8; HEADER - 4] {
    let mut out = [0; HEADER - 4];
    out[..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&VERSION.to_le_bytes());
    out[8..16].copy_from_slice(&digest(key));
    out[16..24].copy_from_slice(&(length as u64).to_le_bytes());
    out
}

/// The first bytes of the BLAKE3 hash of a key.
fn digest(key: KeyRef<'_>) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[key.kind as u8]).update(key.bytes);
    let mut out = [0; 8];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyRef<'_> = KeyRef::bytes(b"key");

    #[test]
    fn a_value_comes_back_whole() {
        for value in [&b""[..], b"a", &[7; 5000]] {
            let frame = write(KEY, value);
            assert_eq!(frame.len() as u64, framed(value.len()));
            assert_eq!(read(KEY, &frame).as_deref(), Some(value));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let frame = write(KEY, b"some value");
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(KEY, &damaged), None, "bit {bit}");
        }
        for length in 0..frame.len() {
            assert_eq!(read(KEY, &frame[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn the_value_of_another_key_is_not_given() {
        let frame = write(KEY, b"some value");
        for key in [KeyRef::bytes(b"kez"), KeyRef::text("key"), KeyRef::bytes(b"")] {
            assert_eq!(read(key, &frame), None, "{key:?}");
        }
    }
}
