//! Kernels for AVX-512 with VNNI. Tails are masked loads, so every length runs the same code.

use core::arch::x86_64::{
    __m256i, __m512, __m512i, _mm_cvtsi128_si64, _mm_maskz_loadu_epi8, _mm256_and_si256, _mm256_dpbusd_epi32,
    _mm256_loadu_si256, _mm256_mask_loadu_epi8, _mm256_maskz_loadu_epi8, _mm256_maskz_loadu_epi16, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_setzero_si256, _mm256_srli_epi16, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512,
    _mm512_broadcast_i64x4, _mm512_castsi512_si256, _mm512_cmpgt_epu64_mask, _mm512_cvtepi8_epi16,
    _mm512_cvtepu8_epi16, _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_extracti64x4_epi64,
    _mm512_inserti64x4, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_cmpgt_epu64_mask, _mm512_mask_storeu_epi64,
    _mm512_maskz_loadu_epi8, _mm512_maskz_loadu_epi64, _mm512_maskz_loadu_ps, _mm512_maskz_mov_epi8,
    _mm512_reduce_add_epi32, _mm512_reduce_add_ps, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi64,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi16, _mm512_srli_epi16, _mm512_srlv_epi16,
    _mm512_storeu_si512, _mm512_sub_epi8, _mm512_sub_epi16, _mm512_zextsi256_si512,
};

use super::hadamard512::hadamard;
use super::lookup512::sums_of_tables;
use super::tiles512::{integer_tile, step, tile};
use crate::isa::sealed::Sealed;
use crate::tables::ROWS;
use crate::{Isa, Level, packed::BLOCK, packed1, packed2};

/// Kernels for AVX-512.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512;

/// Return a mask of the lowest `count` bits.
#[inline(always)]
fn lowest(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// Values that load as single precision.
trait Load: Copy {
    /// Load 16 values, or only the first `count` with zeros for the rest.
    ///
    /// # Safety
    ///
    /// The machine has AVX-512, and `values` is valid for reads of `count` values.
    unsafe fn load(values: *const Self, count: usize) -> __m512;
}

impl Load for f32 {
    #[inline(always)]
    unsafe fn load(values: *const f32, count: usize) -> __m512 {
        // SAFETY: the caller promises `count` values, and masked lanes are not read.
        unsafe {
            if count >= 16 { _mm512_loadu_ps(values) } else { _mm512_maskz_loadu_ps(lowest(count) as u16, values) }
        }
    }
}

/// Half precision.
impl Load for u16 {
    #[inline(always)]
    unsafe fn load(values: *const u16, count: usize) -> __m512 {
        // SAFETY: the caller promises `count` values, and masked lanes are not read.
        unsafe {
            _mm512_cvtph_ps(if count >= 16 {
                _mm256_loadu_si256(values.cast())
            } else {
                _mm256_maskz_loadu_epi16(lowest(count) as u16, values.cast())
            })
        }
    }
}

/// Sum `step` over `n` values.
#[inline(always)]
unsafe fn sum_steps<const L2: bool, B: Load>(a: *const f32, b: *const B, n: usize) -> f32 {
    // SAFETY: indices stay below `n`, which the caller promises at both.
    unsafe {
        let mut sums = [_mm512_setzero_ps(); 4];
        let mut i = 0;
        while i + 64 <= n {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let at = i + 16 * lane;
                *sum = step::<L2>(f32::load(a.add(at), 16), B::load(b.add(at), 16), *sum);
            }
            i += 64;
        }
        while i < n {
            sums[0] = step::<L2>(f32::load(a.add(i), n - i), B::load(b.add(i), n - i), sums[0]);
            i += 16;
        }
        _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])))
    }
}

/// Load 64 bytes, or only the first `count` with zeros for the rest.
#[inline(always)]
unsafe fn load_bytes(values: *const i8, count: usize) -> __m512i {
    // SAFETY: the caller promises `count` bytes, and masked lanes are not read.
    unsafe {
        if count >= 64 { _mm512_loadu_si512(values.cast()) } else { _mm512_maskz_loadu_epi8(lowest(count), values) }
    }
}

/// Squared differences of 64 signed codes and as many of a query, added to `sum`.
#[inline(always)]
unsafe fn add_squares(codes: __m512i, query: __m512i, sum: __m512i) -> __m512i {
    // SAFETY: the caller promises AVX-512.
    unsafe {
        let low = _mm512_sub_epi16(
            _mm512_cvtepi8_epi16(_mm512_castsi512_si256(codes)),
            _mm512_cvtepi8_epi16(_mm512_castsi512_si256(query)),
        );
        let high = _mm512_sub_epi16(
            _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64::<1>(codes)),
            _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64::<1>(query)),
        );
        _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(sum, low, low), high, high)
    }
}

/// The layout of a packed block: the number of codes in its low halves and in its high halves.
#[derive(Clone, Copy)]
struct Halves {
    low: usize,
    high: usize,
}

impl Halves {
    const WHOLE: Self = Self { low: BLOCK / 2, high: BLOCK / 2 };

    #[inline(always)]
    const fn of_tail(codes: usize) -> Self {
        Self { low: codes.div_ceil(2), high: codes / 2 }
    }
}

/// Products of a packed block and its part of a query, added to `sums`.
#[inline(always)]
unsafe fn dot_block(codes: *const u8, query: *const i8, halves: Halves, sums: [__m512i; 2]) -> [__m512i; 2] {
    // SAFETY: the caller promises AVX-512 and codes and a query of these halves.
    unsafe {
        let low_half = _mm512_set1_epi8(15);
        let pair = load_bytes(codes.cast(), halves.low);
        let low = _mm512_and_si512(pair, low_half);
        let high = _mm512_and_si512(_mm512_srli_epi16::<4>(pair), low_half);
        [
            _mm512_dpbusd_epi32(sums[0], low, load_bytes(query, halves.low)),
            _mm512_dpbusd_epi32(sums[1], high, load_bytes(query.add(halves.low), halves.high)),
        ]
    }
}

/// Squared differences of a packed block and its part of a query, added to `sum`.
#[inline(always)]
unsafe fn l2_block(codes: *const u8, query: *const i8, halves: Halves, sum: __m512i) -> __m512i {
    // SAFETY: the caller promises AVX-512 and codes and a query of these halves.
    unsafe {
        let (times_eight, sixty) = (_mm512_set1_epi8(0x78), _mm512_set1_epi8(60));
        let pair = load_bytes(codes.cast(), halves.low);
        let low = _mm512_sub_epi8(_mm512_and_si512(_mm512_slli_epi16::<3>(pair), times_eight), sixty);
        let high = _mm512_sub_epi8(_mm512_and_si512(_mm512_srli_epi16::<1>(pair), times_eight), sixty);
        // Lanes past the end must be 0 on both sides.
        let low = _mm512_maskz_mov_epi8(lowest(halves.low), low);
        let high = _mm512_maskz_mov_epi8(lowest(halves.high), high);
        let sum = add_squares(low, load_bytes(query, halves.low), sum);
        add_squares(high, load_bytes(query.add(halves.low), halves.high), sum)
    }
}

/// The values of a query whose code is 1, added to `sum`; at most 64 codes.
#[inline(always)]
unsafe fn add_chosen(codes: *const u8, query: *const i8, count: usize, sum: __m512i) -> __m512i {
    // SAFETY: the caller promises AVX-512, `count` packed codes and as many values; masked lanes
    // are not read.
    unsafe {
        let chosen = if count >= 64 {
            codes.cast::<u64>().read_unaligned()
        } else {
            let bytes = _mm_maskz_loadu_epi8(lowest(packed1::bytes(count)) as u16, codes.cast());
            _mm_cvtsi128_si64(bytes).cast_unsigned() & lowest(count)
        };
        _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_maskz_loadu_epi8(chosen, query))
    }
}

/// Products of a block of 2-bit codes and its part of a query, added to `sums`.
#[inline(always)]
unsafe fn dot_quarters(codes: *const u8, query: *const i8, sums: [__m512i; 2]) -> [__m512i; 2] {
    // SAFETY: the caller promises AVX-512, a block of codes and 128 values in the query.
    unsafe {
        let three = _mm512_set1_epi8(3);
        let second_half = _mm512_inserti64x4::<1>(_mm512_setzero_si512(), _mm256_set1_epi16(2));
        let twice = _mm512_broadcast_i64x4(_mm256_loadu_si256(codes.cast()));
        // The first run of codes in the lower half, the second in the upper one.
        let pair = _mm512_srlv_epi16(twice, second_half);
        let (low, high) = (_mm512_and_si512(pair, three), _mm512_and_si512(_mm512_srli_epi16::<4>(pair), three));
        [
            _mm512_dpbusd_epi32(sums[0], low, _mm512_loadu_si512(query.cast())),
            _mm512_dpbusd_epi32(sums[1], high, _mm512_loadu_si512(query.add(64).cast())),
        ]
    }
}

/// Products of a tail of 2-bit codes, fewer than a block, and its part of a query.
#[inline(always)]
unsafe fn dot_quarters_of_tail(codes: *const u8, query: *const i8, count: usize) -> __m256i {
    // SAFETY: the caller promises AVX-512, `count` packed codes and as many values; masked lanes
    // are not read.
    unsafe {
        let three = _mm256_set1_epi8(3);
        let bytes = packed2::bytes(count);
        let four = _mm256_maskz_loadu_epi8(lowest(bytes) as u32, codes.cast());
        let runs = [four, _mm256_srli_epi16::<2>(four), _mm256_srli_epi16::<4>(four), _mm256_srli_epi16::<6>(four)];
        let mut sum = _mm256_setzero_si256();
        for (run, codes) in runs.into_iter().enumerate() {
            let first = (run * bytes).min(count);
            let some = lowest((count - first).min(bytes)) as u32;
            let query = _mm256_maskz_loadu_epi8(some, query.add(first));
            sum = _mm256_dpbusd_epi32(sum, _mm256_and_si256(codes, three), query);
        }
        sum
    }
}

impl Sealed for Avx512 {}

impl Isa for Avx512 {
    const LEVEL: Level = Level::Avx512;

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
            let mut sums = [_mm512_setzero_si512(); 2];
            let mut i = 0;
            while i + 128 <= n {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let at = i + 64 * lane;
                    *sum = _mm512_dpbusd_epi32(
                        *sum,
                        _mm512_loadu_si512(codes.add(at).cast()),
                        _mm512_loadu_si512(query.add(at).cast()),
                    );
                }
                i += 128;
            }
            while i < n {
                let (code, q) = (load_bytes(codes.add(i).cast(), n - i), load_bytes(query.add(i), n - i));
                sums[0] = _mm512_dpbusd_epi32(sums[0], code, q);
                i += 64;
            }
            _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
        }
    }

    #[inline(always)]
    unsafe fn l2_u8i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: indices stay below `n`, which the caller promises; masked lanes are not read.
        unsafe {
            let offset = _mm512_set1_epi16(128);
            let mut sum = _mm512_setzero_si512();
            let mut i = 0;
            while i + 32 <= n {
                let code = _mm512_cvtepu8_epi16(_mm256_loadu_si256(codes.add(i).cast()));
                let q = _mm512_cvtepi8_epi16(_mm256_loadu_si256(query.add(i).cast()));
                let difference = _mm512_sub_epi16(_mm512_sub_epi16(code, offset), q);
                sum = _mm512_dpwssd_epi32(sum, difference, difference);
                i += 32;
            }
            if i < n {
                let mask = lowest(n - i) as u32;
                // 128 is the zero of a code, so lanes past the end have no difference.
                let code = _mm256_mask_loadu_epi8(_mm256_set1_epi8(-128), mask, codes.add(i).cast());
                let q = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(mask, query.add(i)));
                let difference = _mm512_sub_epi16(_mm512_sub_epi16(_mm512_cvtepu8_epi16(code), offset), q);
                sum = _mm512_dpwssd_epi32(sum, difference, difference);
            }
            _mm512_reduce_add_epi32(sum)
        }
    }

    #[inline(always)]
    unsafe fn dot_u4i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: blocks stay below `n`, which the caller promises.
        unsafe {
            let mut sums = [_mm512_setzero_si512(); 2];
            let mut i = 0;
            while i + BLOCK <= n {
                sums = dot_block(codes.add(i / 2), query.add(i), Halves::WHOLE, sums);
                i += BLOCK;
            }
            if i < n {
                sums = dot_block(codes.add(i / 2), query.add(i), Halves::of_tail(n - i), sums);
            }
            _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
        }
    }

    #[inline(always)]
    unsafe fn l2_u4i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: blocks stay below `n`, which the caller promises.
        unsafe {
            let mut sum = _mm512_setzero_si512();
            let mut i = 0;
            while i + BLOCK <= n {
                sum = l2_block(codes.add(i / 2), query.add(i), Halves::WHOLE, sum);
                i += BLOCK;
            }
            if i < n {
                sum = l2_block(codes.add(i / 2), query.add(i), Halves::of_tail(n - i), sum);
            }
            _mm512_reduce_add_epi32(sum)
        }
    }

    #[inline(always)]
    unsafe fn dot_u1i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: codes stay below `n`, which the caller promises.
        unsafe {
            let mut sums = [_mm512_setzero_si512(); 2];
            let mut i = 0;
            while i + 128 <= n {
                sums[0] = add_chosen(codes.add(i / 8), query.add(i), 64, sums[0]);
                sums[1] = add_chosen(codes.add(i / 8 + 8), query.add(i + 64), 64, sums[1]);
                i += 128;
            }
            while i < n {
                sums[0] = add_chosen(codes.add(i / 8), query.add(i), n - i, sums[0]);
                i += 64;
            }
            _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
        }
    }

    #[inline(always)]
    unsafe fn dot_u2i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: blocks stay below `n`, which the caller promises.
        unsafe {
            let mut sums = [_mm512_setzero_si512(); 2];
            let mut i = 0;
            while i + packed2::BLOCK <= n {
                sums = dot_quarters(codes.add(i / 4), query.add(i), sums);
                i += packed2::BLOCK;
            }
            if i < n {
                let tail = dot_quarters_of_tail(codes.add(i / 4), query.add(i), n - i);
                sums[0] = _mm512_add_epi32(sums[0], _mm512_zextsi256_si512(tail));
            }
            _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
        }
    }

    const HIGH: usize = 12;
    const WIDE: usize = 32;

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

    const HAS_INTEGER_TILES: bool = true;

    #[inline(always)]
    unsafe fn tile_i8(rows: *const i8, count: usize, queries: *const u8, n: usize, out: *mut i32) {
        // SAFETY: as the caller promises.
        unsafe {
            if count == Self::HIGH {
                integer_tile::<{ Self::HIGH }>(rows, queries, n, out);
            } else {
                for r in 0..count {
                    integer_tile::<1>(rows.add(r * n), queries, n, out.add(r * Self::WIDE));
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
        unsafe { hadamard(values, n, scale) };
    }

    #[inline(always)]
    unsafe fn make_room(values: *mut u64, n: usize, value: u64) -> usize {
        // SAFETY: blocks stay below `n`, and end one place higher, as the caller promises; masked
        // lanes are neither read nor written.
        unsafe {
            let limit = _mm512_set1_epi64(value as i64);
            let mut end = n;
            while end >= 8 {
                let block = _mm512_loadu_si512(values.add(end - 8).cast());
                let greater = _mm512_cmpgt_epu64_mask(block, limit);
                if greater == 0xff {
                    _mm512_storeu_si512(values.add(end - 7).cast(), block);
                    end -= 8;
                } else {
                    // The greater ones are the last of the block.
                    _mm512_mask_storeu_epi64(values.add(end - 7).cast(), greater, block);
                    return end - greater.count_ones() as usize;
                }
            }
            let lanes = lowest(end) as u8;
            let block = _mm512_maskz_loadu_epi64(lanes, values.cast());
            let greater = _mm512_mask_cmpgt_epu64_mask(lanes, block, limit);
            _mm512_mask_storeu_epi64(values.add(1).cast(), greater, block);
            end - greater.count_ones() as usize
        }
    }
}
