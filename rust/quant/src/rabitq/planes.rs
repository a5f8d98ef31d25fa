//! The codes of a row, packed in planes of bits that the kernels take.
//!
//! ```text
//! bits   bytes of a row
//! 1      | 1-bit codes |
//! 2      | 2-bit codes |
//! 3      | 2-bit codes: the code / 2 | 1-bit codes: the code % 2 |
//! 4      | 4-bit codes |
//! ```

use tiercel_simd::{Isa, packed, packed1, packed2};

/// Codes that are packed together: a multiple of the codes in a block or a byte of each plane.
pub(super) const BLOCK: usize = 128;

/// Return the bytes of `n` codes.
pub(super) const fn bytes<const BITS: u8>(n: usize) -> usize {
    match BITS {
        1 => packed1::bytes(n),
        2 => packed2::bytes(n),
        3 => packed2::bytes(n) + packed1::bytes(n),
        4 => packed::bytes(n),
        _ => panic!("bits of a code"),
    }
}

/// Pack all codes of a row, one block of them at a time. `code` returns the codes from a place on,
/// at most a block.
#[inline(always)]
pub(super) fn pack<const BITS: u8>(n: usize, packed: &mut [u8], mut code: impl FnMut(usize, &mut [u8])) {
    let mut block = [0; BLOCK];
    let (high, low) = packed.split_at_mut(if BITS == 3 { packed2::bytes(n) } else { packed.len() });
    for first in (0..n).step_by(BLOCK) {
        let codes = &mut block[..(n - first).min(BLOCK)];
        code(first, codes);
        match BITS {
            1 => packed1::pack(codes, part(high, first / 8, packed1::bytes(codes.len()))),
            2 => packed2::pack(codes, part(high, first / 4, packed2::bytes(codes.len()))),
            3 => {
                packed1::pack(codes, part(low, first / 8, packed1::bytes(codes.len())));
                for code in &mut *codes {
                    *code >>= 1;
                }
                packed2::pack(codes, part(high, first / 4, packed2::bytes(codes.len())));
            }
            _ => packed::pack(codes, part(high, first / 2, packed::bytes(codes.len()))),
        }
    }
}

fn part(packed: &mut [u8], start: usize, len: usize) -> &mut [u8] {
    &mut packed[start..start + len]
}

/// Undo [`pack`], into one byte per code.
#[inline(always)]
pub(super) fn unpack<const BITS: u8>(packed: &[u8], codes: &mut [u8]) {
    match BITS {
        1 => packed1::unpack(packed, codes),
        2 => packed2::unpack(packed, codes),
        3 => {
            let (high, low) = packed.split_at(packed2::bytes(codes.len()));
            let mut block = [0; BLOCK];
            packed2::unpack(high, codes);
            for (codes, low) in codes.chunks_mut(BLOCK).zip(low.chunks(BLOCK / 8)) {
                let block = &mut block[..codes.len()];
                packed1::unpack(low, block);
                for (code, low) in codes.iter_mut().zip(block) {
                    *code = *code << 1 | *low;
                }
            }
        }
        _ => packed::unpack(packed, codes),
    }
}

/// Return the sum of products of codes and a query.
///
/// # Safety
///
/// There are [`bytes`]`(n)` bytes of codes and `n` values in the query, at most
/// [`tiercel_simd::MAX_CODES`], and the machine has the instruction set.
#[inline(always)]
pub(super) unsafe fn dot<I: Isa, const BITS: u8>(codes: *const u8, query: *const i8, n: usize) -> i32 {
    // SAFETY: as the caller promises; the planes of 3 bits follow each other.
    unsafe {
        match BITS {
            1 => I::dot_u1i8(codes, query, n),
            2 => I::dot_u2i8(codes, query, n),
            3 => 2 * I::dot_u2i8(codes, query, n) + I::dot_u1i8(codes.add(packed2::bytes(n)), query, n),
            _ => I::dot_u4i8(codes, query, n),
        }
    }
}
