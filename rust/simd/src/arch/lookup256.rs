//! Sums of table lookups for AVX2: sixteen rows are turned into columns of sixteen bytes, whose halves
//! are looked up with a shuffle each.
//!
//! ```text
//! registers k = 0 ... 7         row k, 16 bytes       | row k + 8, 16 bytes
//! turned    i = 0 ... 7         byte 2 i of 16 rows   | byte 2 i + 1 of 16 rows
//! ```

use core::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi128_si256,
    _mm256_castsi256_si128, _mm256_cvtepu16_epi32, _mm256_extracti128_si256, _mm256_inserti128_si256,
    _mm256_loadu_si256, _mm256_permute4x64_epi64, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256, _mm256_unpackhi_epi8, _mm256_unpackhi_epi16,
    _mm256_unpackhi_epi32, _mm256_unpacklo_epi8, _mm256_unpacklo_epi16, _mm256_unpacklo_epi32,
};

use crate::tables::{READ, ROWS};

/// Sixteen bytes of each row, turned.
///
/// # Safety
///
/// The machine has AVX2; sixteen bytes of each row can be read from `at` on.
#[inline(always)]
unsafe fn turned(rows: &[*const u8; ROWS], at: usize) -> [__m256i; 8] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut a = [_mm256_setzero_si256(); 8];
        for (k, a) in a.iter_mut().enumerate() {
            let low = _mm256_castsi128_si256(_mm_loadu_si128(rows[k].add(at).cast()));
            *a = _mm256_inserti128_si256::<1>(low, _mm_loadu_si128(rows[k + 8].add(at).cast()));
        }
        let mut b = [_mm256_setzero_si256(); 8];
        for k in 0..4 {
            // Rows 2 k and 2 k + 1: bytes 0 to 7, then 8 to 15.
            b[k] = _mm256_unpacklo_epi8(a[2 * k], a[2 * k + 1]);
            b[k + 4] = _mm256_unpackhi_epi8(a[2 * k], a[2 * k + 1]);
        }
        for half in [0, 4] {
            // Rows 0 to 3 and 4 to 7: bytes 0 to 3, then 4 to 7, of this half.
            a[half] = _mm256_unpacklo_epi16(b[half], b[half + 1]);
            a[half + 1] = _mm256_unpackhi_epi16(b[half], b[half + 1]);
            a[half + 2] = _mm256_unpacklo_epi16(b[half + 2], b[half + 3]);
            a[half + 3] = _mm256_unpackhi_epi16(b[half + 2], b[half + 3]);
        }
        for half in [0, 4] {
            // All eight rows: two bytes each.
            b[half] = _mm256_unpacklo_epi32(a[half], a[half + 2]);
            b[half + 1] = _mm256_unpackhi_epi32(a[half], a[half + 2]);
            b[half + 2] = _mm256_unpacklo_epi32(a[half + 1], a[half + 3]);
            b[half + 3] = _mm256_unpackhi_epi32(a[half + 1], a[half + 3]);
        }
        for b in &mut b {
            *b = _mm256_permute4x64_epi64::<0b11_01_10_00>(*b);
        }
        b
    }
}

/// See [`crate::Isa::sums_of_tables`].
///
/// # Safety
///
/// As there; the machine has AVX2.
#[inline(always)]
pub(super) unsafe fn sums_of_tables(tables: *const u8, rows: &[*const u8; ROWS], bytes: usize, out: &mut [u32; ROWS]) {
    // SAFETY: the caller promises rows of `bytes` bytes, up to a multiple of sixteen, and their
    // tables, of which those past the end are zeros.
    unsafe {
        let (half, low_byte) = (_mm256_set1_epi8(15), _mm256_set1_epi16(255));
        let mut totals = [_mm256_setzero_si256(); 2];
        for first in (0..bytes).step_by(READ) {
            // Of even rows and of odd ones. At most 32 bytes are added to each of these sums.
            let mut sums = [_mm256_setzero_si256(); 2];
            let pairs = (bytes - first).min(READ).div_ceil(4) * 2;
            let columns = turned(rows, first);
            for (i, codes) in columns.iter().enumerate().take(pairs) {
                let table = tables.add((first + 2 * i) / 4 * 128 + (first + 2 * i) % 4 * 16);
                let low = _mm256_and_si256(*codes, half);
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(*codes), half);
                for (codes, table) in [(low, table), (high, table.add(64))] {
                    let found = _mm256_shuffle_epi8(_mm256_loadu_si256(table.cast()), codes);
                    sums[0] = _mm256_add_epi16(sums[0], _mm256_and_si256(found, low_byte));
                    sums[1] = _mm256_add_epi16(sums[1], _mm256_srli_epi16::<8>(found));
                }
            }
            for (total, sums) in totals.iter_mut().zip(sums) {
                let wide = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(sums));
                let other = _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(sums));
                *total = _mm256_add_epi32(*total, _mm256_add_epi32(wide, other));
            }
        }
        let mut parts = [[0u32; ROWS / 2]; 2];
        for (part, total) in parts.iter_mut().zip(totals) {
            _mm256_storeu_si256(part.as_mut_ptr().cast(), total);
        }
        for pair in 0..ROWS / 2 {
            (out[2 * pair], out[2 * pair + 1]) = (parts[0][pair], parts[1][pair]);
        }
    }
}
