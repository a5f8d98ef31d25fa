//! The Walsh-Hadamard transform for AVX-512. The compiler makes a chain of shuffles of the portable
//! form, which takes five times as long.

use core::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_permute_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::portable::Portable;
use crate::Isa;

/// Registers that hold values through all steps of a transform. There are thirty-two.
const HELD: usize = 16;

/// The transform of `n` values: steps over memory until the rest fits the registers.
///
/// # Safety
///
/// The machine has AVX-512; `values` holds `n` values, a power of two.
#[inline(always)]
pub(super) unsafe fn hadamard(values: *mut f32, n: usize, scale: f32) {
    // SAFETY: pieces stay below `n`, which the caller promises.
    unsafe {
        let mut half = n / 2;
        while half >= HELD * 16 {
            for first in (0..n).step_by(2 * half) {
                for at in (first..first + half).step_by(16) {
                    let (low, high) = (values.add(at), values.add(at + half));
                    let (a, b) = (_mm512_loadu_ps(low), _mm512_loadu_ps(high));
                    _mm512_storeu_ps(low, _mm512_add_ps(a, b));
                    _mm512_storeu_ps(high, _mm512_sub_ps(a, b));
                }
            }
            half /= 2;
        }
        match n / 16 {
            0 => Portable::hadamard(values, n, scale),
            1 => hadamard_held::<1>(values, scale),
            2 => hadamard_held::<2>(values, scale),
            4 => hadamard_held::<4>(values, scale),
            8 => hadamard_held::<8>(values, scale),
            _ => {
                for first in (0..n).step_by(HELD * 16) {
                    hadamard_held::<HELD>(values.add(first), scale);
                }
            }
        }
    }
}

/// The Walsh-Hadamard transform of 16 values for each of `COUNT` registers, a power of two.
#[inline(always)]
unsafe fn hadamard_held<const COUNT: usize>(values: *mut f32, scale: f32) {
    // SAFETY: the caller promises AVX-512 and the values.
    unsafe {
        let mut held = [_mm512_setzero_ps(); COUNT];
        for (at, held) in held.iter_mut().enumerate() {
            *held = _mm512_loadu_ps(values.add(16 * at));
        }
        let mut half = COUNT / 2;
        while half > 0 {
            for at in 0..COUNT {
                if at & half == 0 {
                    let (a, b) = (held[at], held[at + half]);
                    (held[at], held[at + half]) = (_mm512_add_ps(a, b), _mm512_sub_ps(a, b));
                }
            }
            half /= 2;
        }
        for (at, held) in held.iter().enumerate() {
            let mixed = within_lanes(*held);
            _mm512_storeu_ps(values.add(16 * at), _mm512_mul_ps(mixed, _mm512_set1_ps(scale)));
        }
    }
}

/// The last four steps of a transform: the upper of each pair of lanes gets the difference. To
/// multiply by 1 or -1 is exact, so that fusing it with the sum changes no bit.
#[inline(always)]
unsafe fn within_lanes(lanes: __m512) -> __m512 {
    // SAFETY: the caller promises AVX-512.
    unsafe {
        let lanes = _mm512_fmadd_ps(lanes, signs(8), _mm512_shuffle_f32x4::<0b01_00_11_10>(lanes, lanes));
        let lanes = _mm512_fmadd_ps(lanes, signs(4), _mm512_shuffle_f32x4::<0b10_11_00_01>(lanes, lanes));
        let lanes = _mm512_fmadd_ps(lanes, signs(2), _mm512_permute_ps::<0b01_00_11_10>(lanes));
        _mm512_fmadd_ps(lanes, signs(1), _mm512_permute_ps::<0b10_11_00_01>(lanes))
    }
}

/// -1 for lanes whose number has the bit, else 1.
#[inline(always)]
unsafe fn signs(bit: usize) -> __m512 {
    let mut signs = [1.0f32; 16];
    for (lane, sign) in signs.iter_mut().enumerate() {
        if lane & bit != 0 {
            *sign = -1.0;
        }
    }
    // SAFETY: the caller promises AVX-512.
    unsafe { _mm512_loadu_ps(signs.as_ptr()) }
}
