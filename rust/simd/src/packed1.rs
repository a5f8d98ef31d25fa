//! The memory layout of 1-bit codes.
//!
//! Bit `i % 8` of byte `i / 8` is code `i`, lowest bit first, so that 8 bytes are the mask of 64
//! values of the query:
//!
//! ```text
//! byte            0                     1
//!       +---------------------+----------------------+--
//! bits  | codes 7 6 5 .. 1 0  | codes 15 14 .. 9 8   |
//!       +---------------------+----------------------+--
//! ```
//!
//! The bits past the last code are 0.

/// Return the bytes that `n` codes take.
pub const fn bytes(n: usize) -> usize {
    n.div_ceil(8)
}

/// Pack codes (0 or 1), one per byte, into bits.
///
/// # Panics
///
/// If the length of `packed` is not [`bytes`] of the number of codes.
pub fn pack(codes: &[u8], packed: &mut [u8]) {
    assert_eq!(packed.len(), bytes(codes.len()), "length of the packed codes");
    for (codes, byte) in codes.chunks(8).zip(packed) {
        *byte = codes.iter().rev().fold(0, |bits, code| bits << 1 | (code & 1));
    }
}

/// Undo [`pack`].
///
/// # Panics
///
/// If the length of `packed` is not [`bytes`] of the number of codes.
pub fn unpack(packed: &[u8], codes: &mut [u8]) {
    assert_eq!(packed.len(), bytes(codes.len()), "length of the packed codes");
    for (codes, byte) in codes.chunks_mut(8).zip(packed) {
        for (bit, code) in codes.iter_mut().enumerate() {
            *code = byte >> bit & 1;
        }
    }
}
