//! The memory layout of 2-bit codes.
//!
//! Blocks of 128 codes take 32 bytes, so that one 32-byte load holds four runs of 32 codes in the
//! order of the query:
//!
//! ```text
//! byte            0            1                  31
//!           +------------+------------+-- --+------------+
//! bits 0, 1 |   code 0   |   code 1   |     |  code 31   |
//! bits 2, 3 |  code 32   |  code 33   |     |  code 63   |
//! bits 4, 5 |  code 64   |  code 65   |     |  code 95   |
//! bits 6, 7 |  code 96   |  code 97   |     |  code 127  |
//!           +------------+------------+-- --+------------+
//! ```
//!
//! A tail of `r < 128` codes takes `h = ceil(r / 4)` bytes in the same way: byte `j` holds codes
//! `j`, `h + j`, `2 h + j` and `3 h + j`, or 0 in place of those that do not exist.

/// Codes in a block.
pub const BLOCK: usize = 128;

/// Codes in a byte.
const RUNS: usize = 4;

/// Return the bytes that `n` codes take.
pub const fn bytes(n: usize) -> usize {
    n.div_ceil(RUNS)
}

/// Pack codes (0 to 3), one per byte, into quarters of bytes.
///
/// # Panics
///
/// If the length of `packed` is not [`bytes`] of the number of codes.
pub fn pack(codes: &[u8], packed: &mut [u8]) {
    assert_eq!(packed.len(), bytes(codes.len()), "length of the packed codes");
    for (codes, packed) in codes.chunks(BLOCK).zip(packed.chunks_mut(BLOCK / RUNS)) {
        packed.fill(0);
        for (run, codes) in codes.chunks(packed.len()).enumerate() {
            for (byte, code) in packed.iter_mut().zip(codes) {
                *byte |= (code & 3) << (2 * run);
            }
        }
    }
}

/// Undo [`pack`].
///
/// # Panics
///
/// If the length of `packed` is not [`bytes`] of the number of codes.
pub fn unpack(packed: &[u8], codes: &mut [u8]) {
    assert_eq!(packed.len(), bytes(codes.len()), "length of the packed codes");
    for (codes, packed) in codes.chunks_mut(BLOCK).zip(packed.chunks(BLOCK / RUNS)) {
        for (run, codes) in codes.chunks_mut(packed.len()).enumerate() {
            for (code, byte) in codes.iter_mut().zip(packed) {
                *code = byte >> (2 * run) & 3;
            }
        }
    }
}
