//! Portable kernels: plain loops over lanes, which the compiler vectorizes for the target.

use core::slice::{from_raw_parts, from_raw_parts_mut};

use crate::isa::sealed::Sealed;
use crate::{Isa, Level, packed::BLOCK, packed1, packed2};

/// Kernels for any machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// Lanes of an accumulator: a multiple of every vector width, and enough to hide the latency of an
/// addition.
const LANES: usize = 16;

/// Sum `term` over pairs in `LANES` independent lanes.
#[inline(always)]
fn sum_f32<B: Copy>(a: &[f32], b: &[B], term: impl Fn(f32, B) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    // Arrays rather than indices, since checks of indices would prevent vectorization.
    let (a, a_tail) = a.as_chunks::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, x), y) in lanes.iter_mut().zip(a).zip(b) {
            *sum += term(*x, *y);
        }
    }
    for ((sum, x), y) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *sum += term(*x, *y);
    }
    lanes.iter().sum()
}

/// Convert half precision to single precision, exactly, without a branch that would prevent
/// vectorization.
#[inline(always)]
fn widen(bits: u16) -> f32 {
    const INFINITY: u32 = 0x7c00 << 13;
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // The product changes the bias of the exponent from 15 to 127, and makes subnormal numbers
    // normal.
    let value = f32::from_bits(magnitude) * f32::from_bits((127 + 127 - 15) << 23);
    let special = if magnitude >= INFINITY { f32::INFINITY.to_bits() } else { 0 };
    f32::from_bits(value.to_bits() | special | sign)
}

/// Sum `term(code, query value)` over a packed row.
#[inline(always)]
fn sum_packed(codes: &[u8], query: &[i8], term: impl Fn(i32, i32) -> i32) -> i32 {
    let mut sum = 0;
    for (codes, query) in codes.chunks(BLOCK / 2).zip(query.chunks(BLOCK)) {
        let (low, high) = query.split_at(codes.len());
        for (code, q) in codes.iter().zip(low) {
            sum += term(i32::from(code & 15), i32::from(*q));
        }
        for (code, q) in codes.iter().zip(high) {
            sum += term(i32::from(code >> 4), i32::from(*q));
        }
    }
    sum
}

/// The Walsh-Hadamard transform.
#[inline(always)]
fn hadamard(values: &mut [f32], scale: f32) {
    let n = values.len();
    let mut half = n / 2;
    while half >= LANES {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (x, y) in low.iter_mut().zip(high) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
        half /= 2;
    }
    if n >= LANES {
        for lanes in values.as_chunks_mut::<LANES>().0 {
            *lanes = within_lanes(*lanes, scale);
        }
        return;
    }
    while half >= 1 {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (x, y) in low.iter_mut().zip(high) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
        half /= 2;
    }
    for value in values {
        *value *= scale;
    }
}

/// Do the last four steps of the transform inside one register.
#[inline(always)]
fn within_lanes(mut lanes: [f32; LANES], scale: f32) -> [f32; LANES] {
    for half in [8, 4, 2, 1] {
        let mut next = [0.0; LANES];
        for (i, value) in next.iter_mut().enumerate() {
            // The partner differs in one bit; the upper of a pair gets the difference.
            let partner = lanes[i ^ half];
            *value = if i & half == 0 { lanes[i] + partner } else { partner - lanes[i] };
        }
        lanes = next;
    }
    lanes.map(|value| value * scale)
}

/// Sum the values of a query whose code is 1.
#[inline(always)]
fn sum_chosen(codes: &[u8], query: &[i8]) -> i32 {
    /// Repeats a byte, and the bit that each repetition stands for.
    const REPEAT: u64 = 0x0101_0101_0101_0101;
    const BITS: u64 = 0x8040_2010_0804_0201;
    let mut lanes = [0i32; 8];
    let (whole, tail) = query.as_chunks::<8>();
    for (byte, query) in codes.iter().zip(whole) {
        let bits = ((u64::from(*byte) * REPEAT) & BITS).to_le_bytes();
        for ((sum, bit), q) in lanes.iter_mut().zip(bits).zip(query) {
            *sum += if bit == 0 { 0 } else { i32::from(*q) };
        }
    }
    let last = codes.get(whole.len()).copied().unwrap_or(0);
    for ((bit, sum), q) in lanes.iter_mut().enumerate().zip(tail) {
        *sum += i32::from(last >> bit & 1) * i32::from(*q);
    }
    lanes.iter().sum()
}

/// Sum the products of 2-bit codes with a query.
#[inline(always)]
fn sum_quarters(codes: &[u8], query: &[i8]) -> i32 {
    let mut sum = 0;
    let (blocks, tail) = codes.as_chunks::<{ packed2::BLOCK / 4 }>();
    let (queries, query_tail) = query.as_chunks::<{ packed2::BLOCK }>();
    for (codes, query) in blocks.iter().zip(queries) {
        let (runs, _) = query.as_chunks::<{ packed2::BLOCK / 4 }>();
        for (run, query) in runs.iter().enumerate() {
            sum += sum_run(codes, query, run);
        }
    }
    // A tail of more than 124 codes has as many bytes as a block.
    let tail = if queries.len() < blocks.len() { &blocks[queries.len()][..] } else { tail };
    for (run, query) in query_tail.chunks(tail.len().max(1)).enumerate() {
        sum += sum_run(tail, query, run);
    }
    sum
}

/// Sum the products of one run of 2-bit codes with its part of a query.
#[inline(always)]
fn sum_run(codes: &[u8], query: &[i8], run: usize) -> i32 {
    let terms = codes.iter().zip(query).map(|(code, q)| i32::from(code >> (2 * run) & 3) * i32::from(*q));
    terms.sum()
}

impl Sealed for Portable {}

impl Isa for Portable {
    const LEVEL: Level = Level::Scalar;

    #[inline(always)]
    unsafe fn dot_f32(a: *const f32, b: *const f32, n: usize) -> f32 {
        // SAFETY: the caller promises `n` values at both.
        let (a, b) = unsafe { (from_raw_parts(a, n), from_raw_parts(b, n)) };
        sum_f32(a, b, |x, y| x * y)
    }

    #[inline(always)]
    unsafe fn l2_f32(a: *const f32, b: *const f32, n: usize) -> f32 {
        // SAFETY: the caller promises `n` values at both.
        let (a, b) = unsafe { (from_raw_parts(a, n), from_raw_parts(b, n)) };
        sum_f32(a, b, |x, y| (x - y) * (x - y))
    }

    #[inline(always)]
    unsafe fn dot_f16(a: *const f32, b: *const u16, n: usize) -> f32 {
        // SAFETY: the caller promises `n` values at both.
        let (a, b) = unsafe { (from_raw_parts(a, n), from_raw_parts(b, n)) };
        sum_f32(a, b, |x, y| x * widen(y))
    }

    #[inline(always)]
    unsafe fn l2_f16(a: *const f32, b: *const u16, n: usize) -> f32 {
        // SAFETY: the caller promises `n` values at both.
        let (a, b) = unsafe { (from_raw_parts(a, n), from_raw_parts(b, n)) };
        sum_f32(a, b, |x, y| (x - widen(y)) * (x - widen(y)))
    }

    #[inline(always)]
    unsafe fn dot_u8i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: the caller promises `n` values at both.
        let (codes, query) = unsafe { (from_raw_parts(codes, n), from_raw_parts(query, n)) };
        codes.iter().zip(query).map(|(c, q)| i32::from(*c) * i32::from(*q)).sum()
    }

    #[inline(always)]
    unsafe fn l2_u8i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: the caller promises `n` values at both.
        let (codes, query) = unsafe { (from_raw_parts(codes, n), from_raw_parts(query, n)) };
        codes
            .iter()
            .zip(query)
            .map(|(c, q)| {
                let difference = i32::from(*c) - 128 - i32::from(*q);
                difference * difference
            })
            .sum()
    }

    #[inline(always)]
    unsafe fn dot_u4i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: the caller promises `n` values, and as many packed codes.
        let (codes, query) = unsafe { (from_raw_parts(codes, n.div_ceil(2)), from_raw_parts(query, n)) };
        sum_packed(codes, query, |code, q| code * q)
    }

    #[inline(always)]
    unsafe fn l2_u4i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: the caller promises `n` values, and as many packed codes.
        let (codes, query) = unsafe { (from_raw_parts(codes, n.div_ceil(2)), from_raw_parts(query, n)) };
        sum_packed(codes, query, |code, q| (8 * code - 60 - q) * (8 * code - 60 - q))
    }

    #[inline(always)]
    unsafe fn dot_u1i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: the caller promises `n` values, and as many packed codes.
        let (codes, query) = unsafe { (from_raw_parts(codes, packed1::bytes(n)), from_raw_parts(query, n)) };
        sum_chosen(codes, query)
    }

    #[inline(always)]
    unsafe fn dot_u2i8(codes: *const u8, query: *const i8, n: usize) -> i32 {
        // SAFETY: the caller promises `n` values, and as many packed codes.
        let (codes, query) = unsafe { (from_raw_parts(codes, packed2::bytes(n)), from_raw_parts(query, n)) };
        sum_quarters(codes, query)
    }

    const HIGH: usize = 4;
    const WIDE: usize = 8;

    #[inline(always)]
    unsafe fn tile_f32<const L2: bool>(rows: *const f32, count: usize, queries: *const f32, n: usize, out: *mut f32) {
        // SAFETY: the caller promises these lengths.
        let (rows, queries) = unsafe { (from_raw_parts(rows, count * n), from_raw_parts(queries, n * Self::WIDE)) };
        for r in 0..count {
            let mut sums = [0.0f32; Self::WIDE];
            for (value, queries) in rows[r * n..][..n].iter().zip(queries.as_chunks::<{ Self::WIDE }>().0) {
                for (sum, query) in sums.iter_mut().zip(queries) {
                    *sum += if L2 { (value - query) * (value - query) } else { value * query };
                }
            }
            // SAFETY: the caller promises room for `count` times `WIDE` sums.
            unsafe { out.add(r * Self::WIDE).cast::<[f32; Self::WIDE]>().write_unaligned(sums) };
        }
    }

    #[inline(always)]
    unsafe fn hadamard(values: *mut f32, n: usize, scale: f32) {
        // SAFETY: the caller promises `n` values.
        hadamard(unsafe { from_raw_parts_mut(values, n) }, scale);
    }

    #[inline(always)]
    unsafe fn make_room(values: *mut u64, n: usize, value: u64) -> usize {
        // SAFETY: the caller promises `n` values, and room for one more.
        unsafe {
            let place = from_raw_parts(values, n).partition_point(|other| *other <= value);
            values.add(place + 1).copy_from(values.add(place), n - place);
            place
        }
    }
}
