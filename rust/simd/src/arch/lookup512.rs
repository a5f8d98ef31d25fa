//! Sums of table lookups for AVX-512: sixteen rows are turned into columns of sixteen bytes, whose
//! halves are looked up with a shuffle each.
//!
//! ```text
//! registers k = 0 ... 3         row k, 16 bytes    | row k + 4          | row k + 8          | row k + 12
//! turned    i = 0 ... 3         byte 4 i, 16 rows  | byte 4 i + 1       | byte 4 i + 2       | byte 4 i + 3
//! ```

use core::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_add_epi16, _mm512_add_epi32, _mm512_and_si512, _mm512_castsi128_si512,
    _mm512_castsi512_si256, _mm512_cvtepu16_epi32, _mm512_extracti64x4_epi64, _mm512_inserti32x4, _mm512_loadu_si512,
    _mm512_permutexvar_epi32, _mm512_set_epi32, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_unpackhi_epi8, _mm512_unpackhi_epi16,
    _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
};

use crate::tables::{READ, ROWS};

/// Sixteen bytes of each row, turned.
///
/// # Safety
///
/// The machine has AVX-512; sixteen bytes of each row can be read from `at` on.
#[inline(always)]
unsafe fn turned(rows: &[*const u8; ROWS], at: usize) -> [__m512i; 4] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut a = [_mm512_setzero_si512(); 4];
        for (k, a) in a.iter_mut().enumerate() {
            let first = _mm512_castsi128_si512(_mm_loadu_si128(rows[k].add(at).cast()));
            let two = _mm512_inserti32x4::<1>(first, _mm_loadu_si128(rows[k + 4].add(at).cast()));
            let three = _mm512_inserti32x4::<2>(two, _mm_loadu_si128(rows[k + 8].add(at).cast()));
            *a = _mm512_inserti32x4::<3>(three, _mm_loadu_si128(rows[k + 12].add(at).cast()));
        }
        // Two rows of each four: bytes 0 to 7, then 8 to 15.
        let low = [_mm512_unpacklo_epi8(a[0], a[1]), _mm512_unpacklo_epi8(a[2], a[3])];
        let high = [_mm512_unpackhi_epi8(a[0], a[1]), _mm512_unpackhi_epi8(a[2], a[3])];
        // Four rows: four bytes.
        let fours = [
            _mm512_unpacklo_epi16(low[0], low[1]),
            _mm512_unpackhi_epi16(low[0], low[1]),
            _mm512_unpacklo_epi16(high[0], high[1]),
            _mm512_unpackhi_epi16(high[0], high[1]),
        ];
        let order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
        for (a, four) in a.iter_mut().zip(fours) {
            *a = _mm512_permutexvar_epi32(order, four);
        }
        a
    }
}

/// See [`crate::Isa::sums_of_tables`].
///
/// # Safety
///
/// As there; the machine has AVX-512.
#[inline(always)]
pub(super) unsafe fn sums_of_tables(tables: *const u8, rows: &[*const u8; ROWS], bytes: usize, out: &mut [u32; ROWS]) {
    // SAFETY: the caller promises rows of `bytes` bytes, up to a multiple of sixteen, and their
    // tables, of which those past the end are zeros.
    unsafe {
        let (half, low_byte) = (_mm512_set1_epi8(15), _mm512_set1_epi16(255));
        let mut totals = [_mm512_setzero_si512(); 2];
        let mut first = 0;
        while first < bytes {
            // Of even rows and of odd ones. At most 128 bytes are added to each of these sums.
            let mut sums = [_mm512_setzero_si512(); 2];
            let end = bytes.min(first + 16 * READ);
            while first < end {
                let fours = (end - first).min(READ).div_ceil(4);
                let columns = turned(rows, first);
                for (i, codes) in columns.iter().enumerate().take(fours) {
                    let table = tables.add((first + 4 * i) * 32);
                    let low = _mm512_and_si512(*codes, half);
                    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(*codes), half);
                    for (codes, table) in [(low, table), (high, table.add(64))] {
                        let found = _mm512_shuffle_epi8(_mm512_loadu_si512(table.cast()), codes);
                        sums[0] = _mm512_add_epi16(sums[0], _mm512_and_si512(found, low_byte));
                        sums[1] = _mm512_add_epi16(sums[1], _mm512_srli_epi16::<8>(found));
                    }
                }
                first += READ;
            }
            for (total, sums) in totals.iter_mut().zip(sums) {
                let wide = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(sums));
                let other = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(sums));
                *total = _mm512_add_epi32(*total, _mm512_add_epi32(wide, other));
            }
        }
        let mut parts = [[0u32; ROWS]; 2];
        for (part, total) in parts.iter_mut().zip(totals) {
            _mm512_storeu_si512(part.as_mut_ptr().cast(), total);
        }
        // What was found in even columns, then in odd ones.
        for pair in 0..ROWS / 2 {
            out[2 * pair] = parts[0][pair] + parts[0][pair + 8];
            out[2 * pair + 1] = parts[1][pair] + parts[1][pair + 8];
        }
    }
}
