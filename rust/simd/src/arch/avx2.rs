//! Kernels for AVX2 with FMA and F16C.
//!
//! Byte products go through 16-bit lanes, since `vpmaddubsw` would saturate on full-range codes.

use core::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256,
    _mm256_castsi256_pd, _mm256_castsi256_si128, _mm256_cmpeq_epi8, _mm256_cmpgt_epi64, _mm256_cvtepi8_epi16,
    _mm256_cvtepu8_epi16, _mm256_cvtph_ps, _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_maskload_ps, _mm256_maskstore_epi64,
    _mm256_movemask_pd, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srli_epi16,
    _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi8, _mm256_sub_epi16, _mm256_sub_ps, _mm256_xor_si256,
};

use super::lookup256::sums_of_tables;
use super::portable::Portable;
use crate::isa::sealed::Sealed;
use crate::tables::ROWS;
use crate::{Isa, Level, packed::BLOCK, packed2};

/// Kernels for AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2;

#[inline(always)]
unsafe fn sum_ps(v: __m256) -> f32 {
    let mut lanes = [0.0f32; 8];
    // SAFETY: 8 floats fit the array.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), v) };
    ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))
}

#[inline(always)]
unsafe fn sum_epi32(v: __m256i) -> i32 {
    let mut lanes = [0i32; 8];
    // SAFETY: 8 integers fit the array.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), v) };
    lanes.iter().sum()
}

/// The mask of the first `count` of 8 lanes begins `count` before the middle.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Values that load as single precision.
trait Load: Copy {
    /// Load 8 values.
    ///
    /// # Safety
    ///
    /// The machine has AVX2 and F16C, and `values` is valid for reads of 8 values.
    unsafe fn load(values: *const Self) -> __m256;

    /// Load the first `count < 8` values; the rest is 0.
    ///
    /// # Safety
    ///
    /// The machine has AVX2 and F16C, and `values` is valid for reads of `count` values.
    unsafe fn load_tail(values: *const Self, count: usize) -> __m256;
}

impl Load for f32 {
    #[inline(always)]
    unsafe fn load(values: *const f32) -> __m256 {
        // SAFETY: the caller promises 8 values.
        unsafe { _mm256_loadu_ps(values) }
    }

    #[inline(always)]
    unsafe fn load_tail(values: *const f32, count: usize) -> __m256 {
        // SAFETY: 8 lanes fit after any of the first 9 of the masks; masked lanes are not read.
        unsafe { _mm256_maskload_ps(values, _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast())) }
    }
}

/// Half precision.
impl Load for u16 {
    #[inline(always)]
    unsafe fn load(values: *const u16) -> __m256 {
        // SAFETY: the caller promises 8 values.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(values.cast())) }
    }

    #[inline(always)]
    unsafe fn load_tail(values: *const u16, count: usize) -> __m256 {
        let mut lanes = [0u16; 8];
        // SAFETY: the caller promises `count` values, and the array holds 8.
        unsafe {
            core::ptr::copy_nonoverlapping(values, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }
}

/// `sum + a * b`, or `sum + (a - b)^2`.
#[inline(always)]
unsafe fn step<const L2: bool>(a: __m256, b: __m256, sum: __m256) -> __m256 {
    // SAFETY: the caller promises FMA.
    unsafe {
        if L2 {
            let difference = _mm256_sub_ps(a, b);
            _mm256_fmadd_ps(difference, difference, sum)
        } else {
            _mm256_fmadd_ps(a, b, sum)
        }
    }
}

/// Sum `step` over `n` values.
#[inline(always)]
unsafe fn sum_steps<const L2: bool, B: Load>(a: *const f32, b: *const B, n: usize) -> f32 {
    // SAFETY: indices stay below `n`, which the caller promises at both.
    unsafe {
        let mut sums = [_mm256_setzero_ps(); 4];
        let mut i = 0;
        while i + 32 <= n {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let at = i + 8 * lane;
                *sum = step::<L2>(f32::load(a.add(at)), B::load(b.add(at)), *sum);
            }
            i += 32;
        }
        while i + 8 <= n {
            sums[0] = step::<L2>(f32::load(a.add(i)), B::load(b.add(i)), sums[0]);
            i += 8;
        }
        if i < n {
            sums[1] = step::<L2>(f32::load_tail(a.add(i), n - i), B::load_tail(b.add(i), n - i), sums[1]);
        }
        sum_ps(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])))
    }
}

/// Load 16 bytes of a query as 16-bit lanes.
#[inline(always)]
unsafe fn widen_i8(values: *const i8) -> __m256i {
    // SAFETY: the caller promises 16 values.
    unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(values.cast())) }
}

/// Squared differences of 32 signed codes and a query, summed in pairs.
#[inline(always)]
unsafe fn squares(codes: __m256i, query: *const i8) -> __m256i {
    // SAFETY: the caller promises 32 values in the query.
    unsafe {
        let low = _mm256_sub_epi16(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(codes)), widen_i8(query));
        let high =
            _mm256_sub_epi16(_mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(codes)), widen_i8(query.add(16)));
        _mm256_add_epi32(_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high))
    }
}

/// Sum `step` of `HIGH` rows with two vectors of queries. Twelve sums, two vectors of queries and a
/// value of a row take fifteen of the sixteen registers.
#[inline(always)]
unsafe fn tile<const L2: bool, const HIGH: usize>(rows: *const f32, queries: *const f32, n: usize, out: *mut f32) {
    // SAFETY: the caller promises `HIGH` rows and 16 queries of `n` values, and room for the sums.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); 2]; HIGH];
        for i in 0..n {
            let query = [_mm256_loadu_ps(queries.add(16 * i)), _mm256_loadu_ps(queries.add(16 * i + 8))];
            for (r, sums) in sums.iter_mut().enumerate() {
                let value = _mm256_set1_ps(*rows.add(r * n + i));
                sums[0] = step::<L2>(value, query[0], sums[0]);
                sums[1] = step::<L2>(value, query[1], sums[1]);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            _mm256_storeu_ps(out.add(16 * r), sums[0]);
            _mm256_storeu_ps(out.add(16 * r + 8), sums[1]);
        }
    }
}

/// For each bit of 4 bytes, repeated in both halves of a register: the byte that holds it, and the
/// bit within that byte.
static BYTES_OF_BITS: [u8; 32] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3];
const BITS_OF_BYTE: i64 = 0x8040_2010_0804_0201_u64.cast_signed();

/// Products of 128 1-bit codes and their part of a query, summed in lanes.
#[inline(always)]
unsafe fn dot_bits(codes: *const u8, query: *const i8) -> __m256i {
    // SAFETY: the caller promises 16 bytes of codes and 128 values in the query.
    unsafe {
        let bytes_of_bits = _mm256_loadu_si256(BYTES_OF_BITS.as_ptr().cast());
        let (bits, one) = (_mm256_set1_epi64x(BITS_OF_BYTE), _mm256_set1_epi8(1));
        let mut pairs = _mm256_setzero_si256();
        for part in 0..4 {
            let four = _mm256_set1_epi32(codes.add(4 * part).cast::<i32>().read_unaligned());
            let bit = _mm256_and_si256(_mm256_shuffle_epi8(four, bytes_of_bits), bits);
            let is_one = _mm256_cmpeq_epi8(bit, bits);
            let chosen = _mm256_and_si256(is_one, _mm256_loadu_si256(query.add(32 * part).cast()));
            // Four pairs of bytes stay far from the limits of 16 bits.
            pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(one, chosen));
        }
        _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
    }
}

/// Products of a block of 2-bit codes and its part of a query, summed in lanes.
#[inline(always)]
unsafe fn dot_quarters(codes: *const u8, query: *const i8) -> __m256i {
    // SAFETY: the caller promises a block of codes and 128 values in the query.
    unsafe {
        let lowest = _mm256_set1_epi8(3);
        let four = _mm256_loadu_si256(codes.cast());
        let runs = [four, _mm256_srli_epi16::<2>(four), _mm256_srli_epi16::<4>(four), _mm256_srli_epi16::<6>(four)];
        let mut pairs = _mm256_setzero_si256();
        for (run, codes) in runs.into_iter().enumerate() {
            let query = _mm256_loadu_si256(query.add(32 * run).cast());
            // Codes are at most 3, so four pairs of products stay far from the limits of 16 bits.
            pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(_mm256_and_si256(codes, lowest), query));
        }
        _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
    }
}

impl Sealed for Avx2 {}

impl Isa for Avx2 {
    const LEVEL: Level = Level::Avx2;

    #[inline(always)]
    unsafe fn dot_f32(a: *const f32, b: *const f32, n: usize) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { sum_steps::<false, _>(a, b, n) }
    }

    #[inline(always)]
    unsafe fn l2_f32(a: *const f32, b: *const f32, n: usize) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { sum_steps::<true, _>(a, b, n) }
    }

    #[inline(always)]
    unsafe fn dot_f16(a: *const f32, b: *const u16, n: usize) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { sum_steps::<false, _>(a, b, n) }
    }

    #[inline(always)]
    unsafe fn l2_f16(a: *const f32, b: *const u16, n: usize) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { sum_steps::<true, _>(a, b, n) }
    }

    #[inline(always)]
    unsafe fn dot_u8i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: indices stay below `n`, which the caller promises.
        unsafe {
            let mut sums = [_mm256_setzero_si256(); 2];
            let mut i = 0;
            while i + 32 <= n {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let at = i + 16 * lane;
                    let code = _mm256_cvtepu8_epi16(_mm_loadu_si128(codes.add(at).cast()));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(code, widen_i8(query.add(at))));
                }
                i += 32;
            }
            sum_epi32(_mm256_add_epi32(sums[0], sums[1])) + Portable::dot_u8i8(codes.add(i), query.add(i), n - i)
        }
    }

    #[inline(always)]
    unsafe fn l2_u8i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: indices stay below `n`, which the caller promises.
        unsafe {
            let offset = _mm256_set1_epi16(128);
            let mut sums = [_mm256_setzero_si256(); 2];
            let mut i = 0;
            while i + 32 <= n {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let at = i + 16 * lane;
                    let code = _mm256_cvtepu8_epi16(_mm_loadu_si128(codes.add(at).cast()));
                    let difference = _mm256_sub_epi16(_mm256_sub_epi16(code, offset), widen_i8(query.add(at)));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(difference, difference));
                }
                i += 32;
            }
            sum_epi32(_mm256_add_epi32(sums[0], sums[1])) + Portable::l2_u8i8(codes.add(i), query.add(i), n - i)
        }
    }

    #[inline(always)]
    unsafe fn dot_u4i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: whole blocks stay below `n`, which the caller promises.
        unsafe {
            let (low_half, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
            let mut sum = _mm256_setzero_si256();
            let mut i = 0;
            while i + BLOCK <= n {
                for part in [0, 32] {
                    let pair = _mm256_loadu_si256(codes.add(i / 2 + part).cast());
                    let low = _mm256_and_si256(pair, low_half);
                    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(pair), low_half);
                    let q_low = _mm256_loadu_si256(query.add(i + part).cast());
                    let q_high = _mm256_loadu_si256(query.add(i + 64 + part).cast());
                    // Codes are at most 15, so pairs of products stay far from saturation.
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(low, q_low), ones));
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(high, q_high), ones));
                }
                i += BLOCK;
            }
            sum_epi32(sum) + Portable::dot_u4i8(codes.add(i / 2), query.add(i), n - i)
        }
    }

    #[inline(always)]
    unsafe fn l2_u4i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: whole blocks stay below `n`, which the caller promises.
        unsafe {
            let (times_eight, sixty) = (_mm256_set1_epi8(0x78), _mm256_set1_epi8(60));
            let mut sum = _mm256_setzero_si256();
            let mut i = 0;
            while i + BLOCK <= n {
                for part in [0, 32] {
                    let pair = _mm256_loadu_si256(codes.add(i / 2 + part).cast());
                    let low = _mm256_sub_epi8(_mm256_and_si256(_mm256_slli_epi16::<3>(pair), times_eight), sixty);
                    let high = _mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16::<1>(pair), times_eight), sixty);
                    sum = _mm256_add_epi32(sum, squares(low, query.add(i + part)));
                    sum = _mm256_add_epi32(sum, squares(high, query.add(i + 64 + part)));
                }
                i += BLOCK;
            }
            sum_epi32(sum) + Portable::l2_u4i8(codes.add(i / 2), query.add(i), n - i)
        }
    }

    #[inline(always)]
    unsafe fn dot_u1i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: whole parts stay below `n`, which the caller promises.
        unsafe {
            let mut sum = _mm256_setzero_si256();
            let mut i = 0;
            while i + 128 <= n {
                sum = _mm256_add_epi32(sum, dot_bits(codes.add(i / 8), query.add(i)));
                i += 128;
            }
            sum_epi32(sum) + Portable::dot_u1i8(codes.add(i / 8), query.add(i), n - i)
        }
    }

    #[inline(always)]
    unsafe fn dot_u2i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: whole blocks stay below `n`, which the caller promises.
        unsafe {
            let mut sum = _mm256_setzero_si256();
            let mut i = 0;
            while i + packed2::BLOCK <= n {
                sum = _mm256_add_epi32(sum, dot_quarters(codes.add(i / 4), query.add(i)));
                i += packed2::BLOCK;
            }
            sum_epi32(sum) + Portable::dot_u2i8(codes.add(i / 4), query.add(i), n - i)
        }
    }

    const HIGH: usize = 6;
    const WIDE: usize = 16;

    #[inline(always)]
    unsafe fn tile_f32<const L2: bool>(rows: *const f32, count: usize, queries: *const f32, n: usize, out: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe {
            if count == Self::HIGH {
                tile::<L2, { Self::HIGH }>(rows, queries, n, out);
            } else {
                for r in 0..count {
                    tile::<L2, 1>(rows.add(r * n), queries, n, out.add(r * Self::WIDE));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn sums_of_tables(tables: *const u8, rows: &[*const u8; ROWS], bytes: usize, out: &mut [u32; ROWS]) {
        // SAFETY: as the caller promises.
        unsafe { sums_of_tables(tables, rows, bytes, out) };
    }

    #[inline(always)]
    unsafe fn hadamard(values: *mut f32, n: usize, scale: f32) {
        // SAFETY: as the caller promises.
        unsafe { Portable::hadamard(values, n, scale) };
    }

    #[inline(always)]
    unsafe fn make_room(values: *mut u64, n: usize, value: u64) -> usize {
        // SAFETY: blocks stay below `n`, and end one place higher, as the caller promises.
        unsafe {
            // Comparisons are signed.
            let sign = _mm256_set1_epi64x(i64::MIN);
            let limit = _mm256_xor_si256(_mm256_set1_epi64x(value as i64), sign);
            let mut end = n;
            while end >= 4 {
                let block = _mm256_loadu_si256(values.add(end - 4).cast());
                let greater = _mm256_cmpgt_epi64(_mm256_xor_si256(block, sign), limit);
                let mask = _mm256_movemask_pd(_mm256_castsi256_pd(greater));
                if mask == 0b1111 {
                    _mm256_storeu_si256(values.add(end - 3).cast(), block);
                    end -= 4;
                } else {
                    // The greater ones are the last of the block.
                    _mm256_maskstore_epi64(values.add(end - 3).cast(), greater, block);
                    return end - mask.count_ones() as usize;
                }
            }
            Portable::make_room(values, end, value)
        }
    }
}
