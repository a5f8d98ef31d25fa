//! Products of 4-bit codes and a query, one row or four at a time, with AVX-512 and VNNI.
//!
//! A row of 384 codes is three blocks of 64 bytes; the query is six registers, loaded once for all
//! rows. The sums of several rows are reduced together.

// No intrinsic is called in a closure or in a function that is not inlined: it would be compiled
// without the instruction set, and each intrinsic would become a call.

use core::arch::x86_64::*;

/// A query in registers, which multiplies one row at a time.
pub trait Product: Copy {
    /// # Safety
    ///
    /// The machine has AVX-512 with VNNI, and there are 128 codes for each block.
    unsafe fn load(codes: &[i8]) -> Self;

    /// The product with one row.
    ///
    /// # Safety
    ///
    /// The machine has AVX-512 with VNNI, and the row has 64 bytes for each block.
    unsafe fn one(&self, row: *const u8) -> i32;
}

/// The codes of a query in registers: `BLOCKS` blocks of 128.
#[derive(Clone, Copy)]
pub struct Query<const BLOCKS: usize>([[__m512i; 2]; BLOCKS]);

impl<const BLOCKS: usize> Product for Query<BLOCKS> {
    #[inline(always)]
    unsafe fn load(codes: &[i8]) -> Self {
        assert!(codes.len() == 128 * BLOCKS, "128 codes a block");
        // SAFETY: as the caller promises.
        unsafe {
            let mut blocks = [[_mm512_setzero_si512(); 2]; BLOCKS];
            for (at, block) in blocks.iter_mut().enumerate() {
                let codes = codes.as_ptr().add(128 * at);
                *block = [_mm512_loadu_si512(codes.cast()), _mm512_loadu_si512(codes.add(64).cast())];
            }
            Self(blocks)
        }
    }

    #[inline(always)]
    unsafe fn one(&self, row: *const u8) -> i32 {
        // SAFETY: as the caller promises.
        unsafe { _mm512_reduce_add_epi32(self.sums(row)) }
    }
}

impl<const BLOCKS: usize> Query<BLOCKS> {
    /// The sums of one row, not reduced.
    ///
    /// # Safety
    ///
    /// The machine has AVX-512 with VNNI, and the row has 64 bytes for each block.
    #[inline(always)]
    unsafe fn sums(&self, row: *const u8) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe {
            let low_half = _mm512_set1_epi8(15);
            let mut sums = [_mm512_setzero_si512(); 2];
            for (at, [low, high]) in self.0.iter().enumerate() {
                let pair = _mm512_loadu_si512(row.add(64 * at).cast());
                sums[0] = _mm512_dpbusd_epi32(sums[0], _mm512_and_si512(pair, low_half), *low);
                sums[1] = _mm512_dpbusd_epi32(sums[1], _mm512_and_si512(_mm512_srli_epi16::<4>(pair), low_half), *high);
            }
            _mm512_add_epi32(sums[0], sums[1])
        }
    }

    /// The products with four rows.
    ///
    /// # Safety
    ///
    /// As for [`Self::sums`].
    #[inline(always)]
    pub unsafe fn four(&self, rows: [*const u8; 4]) -> __m128i {
        // SAFETY: as the caller promises.
        unsafe {
            let ab = pairs(self.sums(rows[0]), self.sums(rows[1]));
            let cd = pairs(self.sums(rows[2]), self.sums(rows[3]));
            let all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
            let half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64::<1>(all));
            _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
        }
    }
}

/// The same in registers of 256 bits.
#[derive(Clone, Copy)]
pub struct Halves<const BLOCKS: usize>([[__m256i; 4]; BLOCKS]);

impl<const BLOCKS: usize> Product for Halves<BLOCKS> {
    #[inline(always)]
    unsafe fn load(codes: &[i8]) -> Self {
        assert!(codes.len() == 128 * BLOCKS, "128 codes a block");
        // SAFETY: as the caller promises.
        unsafe {
            let mut blocks = [[_mm256_setzero_si256(); 4]; BLOCKS];
            for (at, part) in blocks.as_flattened_mut().iter_mut().enumerate() {
                *part = _mm256_loadu_si256(codes.as_ptr().add(32 * at).cast());
            }
            Self(blocks)
        }
    }

    #[inline(always)]
    unsafe fn one(&self, row: *const u8) -> i32 {
        // SAFETY: as the caller promises.
        unsafe {
            let low_half = _mm256_set1_epi8(15);
            let mut sums = [_mm256_setzero_si256(); 4];
            for (at, parts) in self.0.iter().enumerate() {
                for side in 0..2 {
                    let pair = _mm256_loadu_si256(row.add(64 * at + 32 * side).cast());
                    let (low, high) =
                        (_mm256_and_si256(pair, low_half), _mm256_and_si256(_mm256_srli_epi16::<4>(pair), low_half));
                    sums[side] = _mm256_dpbusd_epi32(sums[side], low, parts[side]);
                    sums[2 + side] = _mm256_dpbusd_epi32(sums[2 + side], high, parts[2 + side]);
                }
            }
            let all = _mm256_add_epi32(_mm256_add_epi32(sums[0], sums[1]), _mm256_add_epi32(sums[2], sums[3]));
            let half = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256::<1>(all));
            let two = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
        }
    }
}

/// The sum of the codes of a query.
pub fn sum_of(codes: &[i8]) -> f32 {
    codes.iter().map(|code| i32::from(*code)).sum::<i32>() as f32
}

/// The sum of the squares of the codes of a query.
pub fn square_of(codes: &[i8]) -> f32 {
    codes.iter().map(|code| i32::from(*code) * i32::from(*code)).sum::<i32>() as f32
}

/// Sums of neighbouring lanes of two registers: a, b, a, b in each quarter.
///
/// # Safety
///
/// The machine has AVX-512.
#[inline(always)]
unsafe fn pairs(a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: as the caller promises.
    unsafe { _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b)) }
}
