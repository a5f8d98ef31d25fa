//! Tiles for AVX-512: the sums of a few rows with 32 queries.

use core::arch::x86_64::{
    __m512, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps,
};

/// `sum + a * b`, or `sum + (a - b)^2`.
///
/// # Safety
///
/// The machine has AVX-512.
#[inline(always)]
pub(super) unsafe fn step<const L2: bool>(a: __m512, b: __m512, sum: __m512) -> __m512 {
    // SAFETY: the caller promises AVX-512.
    unsafe {
        if L2 {
            let difference = _mm512_sub_ps(a, b);
            _mm512_fmadd_ps(difference, difference, sum)
        } else {
            _mm512_fmadd_ps(a, b, sum)
        }
    }
}

/// Sum `step` of `HIGH` rows with two vectors of queries. Twenty-four sums, two vectors of queries
/// and a value of a row fit the thirty-two registers.
///
/// # Safety
///
/// The machine has AVX-512; there are `HIGH` rows and 32 queries of `n` values, and room for the sums.
#[inline(always)]
pub(super) unsafe fn tile<const L2: bool, const HIGH: usize>(
    rows: *const f32,
    queries: *const f32,
    n: usize,
    out: *mut f32,
) {
    // SAFETY: the caller promises `HIGH` rows and 32 queries of `n` values, and room for the sums.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; HIGH];
        for i in 0..n {
            let query = [_mm512_loadu_ps(queries.add(32 * i)), _mm512_loadu_ps(queries.add(32 * i + 16))];
            for (r, sums) in sums.iter_mut().enumerate() {
                let value = _mm512_set1_ps(*rows.add(r * n + i));
                sums[0] = step::<L2>(value, query[0], sums[0]);
                sums[1] = step::<L2>(value, query[1], sums[1]);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            _mm512_storeu_ps(out.add(32 * r), sums[0]);
            _mm512_storeu_ps(out.add(32 * r + 16), sums[1]);
        }
    }
}

/// Sum products of `HIGH` rows with two vectors of queries, four values at a time.
///
/// # Safety
///
/// The machine has AVX-512; there are `HIGH` rows and 32 queries of `n` values, and room for the sums.
#[inline(always)]
pub(super) unsafe fn integer_tile<const HIGH: usize>(rows: *const i8, queries: *const u8, n: usize, out: *mut i32) {
    // SAFETY: the caller promises `HIGH` rows and 32 queries of `n` values, and room for the sums.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); 2]; HIGH];
        for i in (0..n).step_by(4) {
            let four = queries.add(32 * i);
            let query = [_mm512_loadu_si512(four.cast()), _mm512_loadu_si512(four.add(64).cast())];
            for (r, sums) in sums.iter_mut().enumerate() {
                let values = _mm512_set1_epi32(rows.add(r * n + i).cast::<i32>().read_unaligned());
                sums[0] = _mm512_dpbusd_epi32(sums[0], query[0], values);
                sums[1] = _mm512_dpbusd_epi32(sums[1], query[1], values);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            _mm512_storeu_si512(out.add(32 * r).cast(), sums[0]);
            _mm512_storeu_si512(out.add(32 * r + 16).cast(), sums[1]);
        }
    }
}
