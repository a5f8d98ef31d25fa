//! The memory layout of 4-bit codes.
//!
//! Blocks of 128 codes take 64 bytes, so that one 64-byte load holds two runs of 64 codes in the
//! order of the query:
//!
//! ```text
//! byte       0            1                 63
//!       +------------+------------+-- --+------------+
//! low   |   code 0   |   code 1   |     |  code 63   |   bits 0 to 3
//! high  |  code 64   |  code 65   |     |  code 127  |   bits 4 to 7
//! ```
//!
//! A tail of `r < 128` codes takes `h = ceil(r / 2)` bytes in the same way: byte `j` holds code `j`
//! and code `h + j`; the last high half is 0 if `r` is odd.

/// Codes in a block.
pub const BLOCK: usize = 128;

/// Return the bytes that `n` codes take.
pub const fn bytes(n: usize) -> usize {
    n.div_ceil(2)
}

/// Pack codes (0 to 15), one per byte, into half bytes.
///
/// # Panics
///
/// If the length of `packed` is not [`bytes`] of the number of codes.
pub fn pack(codes: &[u8], packed: &mut [u8]) {
    assert_eq!(packed.len(), bytes(codes.len()), "length of the packed codes");
    for (codes, packed) in codes.chunks(BLOCK).zip(packed.chunks_mut(BLOCK / 2)) {
        let (low, high) = codes.split_at(packed.len());
        for (j, byte) in packed.iter_mut().enumerate() {
            *byte = (low[j] & 15) | (high.get(j).map_or(0, |code| code & 15) << 4);
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
    for (codes, packed) in codes.chunks_mut(BLOCK).zip(packed.chunks(BLOCK / 2)) {
        let (low, high) = codes.split_at_mut(packed.len());
        for (code, byte) in low.iter_mut().zip(packed) {
            *code = byte & 15;
        }
        for (code, byte) in high.iter_mut().zip(packed) {
            *code = byte >> 4;
        }
    }
}
