//! Room for bytes, numbers in them, and checksums at their end. All integers in files are little
//! endian, all checksums CRC32C.

use std::io;

/// Bytes of a checksum.
pub const CHECKSUM: usize = 4;

/// A checksum mismatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongChecksum {
    /// The checksum stored at the end of the bytes.
    pub expected: u32,
    /// The checksum computed from the bytes.
    pub got: u32,
}

/// Return `len` zeros to read into. A length that memory cannot hold is an error.
pub fn zeros(len: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    out.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    out.resize(len, 0);
    Ok(out)
}

/// Write the checksum of all bytes before the last four into the last four. It continues from
/// `seed`, the checksum of whatever precedes these bytes: 0 for nothing.
pub fn seal(seed: u32, bytes: &mut [u8]) {
    let (summed, stored) = bytes.split_at_mut(bytes.len() - CHECKSUM);
    stored.copy_from_slice(&crc32c::crc32c_append(seed, summed).to_le_bytes());
}

/// Check that the bytes were [sealed](seal) with this seed.
pub fn check_seal(seed: u32, bytes: &[u8]) -> Result<(), WrongChecksum> {
    let (summed, stored) = bytes.split_at(bytes.len() - CHECKSUM);
    let (expected, got) = (u32_at(stored, 0), crc32c::crc32c_append(seed, summed));
    if expected == got { Ok(()) } else { Err(WrongChecksum { expected, got }) }
}

/// Return the number in the four bytes at `at`, which must be in range.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// Return the number in the eight bytes at `at`, which must be in range.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_of_its_bytes_and_of_its_seed() {
        let mut bytes = *b"123456789....";
        seal(0, &mut bytes);
        assert_eq!(u32_at(&bytes, 9), 0xe306_9283);
        check_seal(0, &bytes).unwrap();
        assert_eq!(check_seal(1, &bytes).unwrap_err().expected, 0xe306_9283);
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(check_seal(0, &damaged).is_err(), "bit {bit}");
        }
    }
}
