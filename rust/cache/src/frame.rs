//! The frame of a value outside of memory: it shows whether the value is whole, and whose it is.
//!
//! ```text
//!  0      4         8           16       24      25   28       32
//!  +------+---------+-----------+--------+-------+----+--------+------
//!  | TCLV | version | digest of | length | codec | 0  | CRC32C | body
//!  |      |         | the key   |        |       |    |        |
//!  +------+---------+-----------+--------+-------+----+--------+------
//!   little endian; the length is that of the value, the body is the value as the codec writes it (0: as it is, 1: zstd),
//!   the checksum is that of the 28 bytes before it and of the body
//! ```

use std::borrow::Cow;

use crate::KeyRef;
use crate::packing::{Codec, pack, unpack};

const MAGIC: [u8; 4] = *b"TCLV";
const VERSION: u32 = 1;
const HEADER: usize = 32;

/// Put a value into its frame, at a level of zstd if that makes it smaller. `None` if memory is
/// short.
pub fn seal(key: KeyRef<'_>, value: &[u8], level: Option<i32>) -> Option<Vec<u8>> {
    let (codec, body) = pack(value, level);
    let mut out = Vec::new();
    out.try_reserve_exact(HEADER + body.len()).ok()?;
    out.extend_from_slice(&head(key, value.len() as u64, codec));
    let sum = crc32c::crc32c_append(crc32c::crc32c(&out), &body);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(&body);
    Some(out)
}

/// Return the value of a frame, if it is whole, the key's, and has no more bytes than `most`.
pub fn unseal<'a>(key: KeyRef<'_>, frame: &'a [u8], most: u64) -> Option<Cow<'a, [u8]>> {
    let (header, body) = frame.split_at_checked(HEADER)?;
    let (head_read, sum) = header.split_at(HEADER - 4);
    let length = u64::from_le_bytes(head_read[16..24].try_into().ok()?);
    let codec = Codec::of(head_read[24])?;
    let expected = crc32c::crc32c_append(crc32c::crc32c(head_read), body);
    if head_read != head(key, length, codec) || sum != expected.to_le_bytes() {
        return None;
    }
    unpack(codec, body, length, most)
}

fn head(key: KeyRef<'_>, length: u64, codec: Codec) -> [u8; HEADER - 4] {
    let mut out = [0; HEADER - 4];
    out[..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&VERSION.to_le_bytes());
    out[8..16].copy_from_slice(&digest(key));
    out[16..24].copy_from_slice(&length.to_le_bytes());
    out[24] = codec as u8;
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
    const MOST: u64 = 5000;

    fn sealed(value: &[u8], level: Option<i32>) -> Vec<u8> {
        seal(KEY, value, level).unwrap()
    }

    #[test]
    fn a_value_that_is_larger_than_it_may_be_is_not_unpacked() {
        for level in [None, Some(3)] {
            let frame = sealed(&[7; 5000], level);
            assert!(unseal(KEY, &frame, MOST).is_some());
            assert_eq!(unseal(KEY, &frame, MOST - 1), None);
        }
    }

    #[test]
    fn a_value_comes_back_whole() {
        for value in [&b""[..], b"a", &[7; 5000]] {
            let frame = sealed(value, None);
            assert_eq!(frame.len(), HEADER + value.len());
            assert_eq!(unseal(KEY, &frame, MOST).as_deref(), Some(value));
            assert_eq!(unseal(KEY, &sealed(value, Some(3)), MOST).as_deref(), Some(value));
        }
        assert!(sealed(&[7; 5000], Some(3)).len() < 100);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        for level in [None, Some(3)] {
            let frame = sealed(b"some value of some value of some value of some value", level);
            for bit in 0..frame.len() * 8 {
                let mut damaged = frame.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(unseal(KEY, &damaged, MOST), None, "bit {bit}");
            }
            for length in 0..frame.len() {
                assert_eq!(unseal(KEY, &frame[..length], MOST), None, "{length} bytes");
            }
        }
    }

    #[test]
    fn a_length_that_is_not_the_value_s_is_seen_although_the_checksum_fits() {
        for (level, length) in [(None, 4999_u64), (Some(3), 4999), (Some(3), 5001), (Some(3), 1 << 40)] {
            let mut frame = sealed(&[7; 5000], level);
            frame[16..24].copy_from_slice(&length.to_le_bytes());
            let sum = crc32c::crc32c_append(crc32c::crc32c(&frame[..28]), &frame[32..]);
            frame[28..32].copy_from_slice(&sum.to_le_bytes());
            assert_eq!(unseal(KEY, &frame, MOST), None, "{length}");
        }
    }

    #[test]
    fn the_value_of_another_key_is_not_given() {
        let frame = sealed(b"some value", None);
        for key in [KeyRef::bytes(b"kez"), KeyRef::text("key"), KeyRef::bytes(b"")] {
            assert_eq!(unseal(key, &frame, MOST), None, "{key:?}");
        }
    }
}
