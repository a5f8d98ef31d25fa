//! The kernels by name, and loops over them.
//!
//! A loop that calls kernels is a type that implements [`Loop`]. [`Level::run`] compiles it once
//! per instruction set, with that set enabled for the whole loop, and chooses one at run time.
//! Kernels are inlined into the loop, and the choice is made once per loop rather than once per
//! distance.
//!
//! In loops and kernels, calls of kernels and instructions of the set never occur in a closure or
//! in a function that is not `#[inline(always)]`: a function that is not inlined is compiled
//! without the instruction set, which turns each instruction into a call.

use crate::{Level, tables};

pub(crate) mod sealed {
    /// A bound that nobody outside can name, so that only types of this crate are instruction sets.
    pub trait Sealed {}
}

/// Distance kernels of one instruction set.
///
/// The trait is sealed and the types are private, so a type that implements it occurs only inside a
/// loop run by [`Level::run`], which checks that the machine has the instruction set. Therefore
/// [`Loop::run`] is safe.
///
/// Kernels take any length and any alignment. Integer kernels return the same integer on every
/// instruction set; float kernels agree with [`crate::reference`] within [`crate::tolerance`].
///
/// # Safety
///
/// Every method requires that the machine has the instruction set, which a loop may assume, and
/// that the pointers are valid for reads of the lengths that the method documents.
pub trait Isa: sealed::Sealed + Copy + Send + Sync + 'static {
    /// The instruction set.
    const LEVEL: Level;

    /// Sum of `a[i] * b[i]`; both of length `n`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn dot_f32(a: *const f32, b: *const f32, n: usize) -> f32;

    /// Sum of `(a[i] - b[i])^2`; both of length `n`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn l2_f32(a: *const f32, b: *const f32, n: usize) -> f32;

    /// Sum of `a[i] * b[i]`, `b` in half precision; both of length `n`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn dot_f16(a: *const f32, b: *const u16, n: usize) -> f32;

    /// Sum of `(a[i] - b[i])^2`, `b` in half precision; both of length `n`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn l2_f16(a: *const f32, b: *const u16, n: usize) -> f32;

    /// Sum of `codes[i] * query[i]`; both of length `n`, at most [`crate::MAX_CODES`].
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn dot_u8i8(codes: *const u8, query: *const i8, n: usize) -> i32;

    /// Sum of `(codes[i] - 128 - query[i])^2`; both of length `n`, at most [`crate::MAX_CODES`].
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn l2_u8i8(codes: *const u8, query: *const i8, n: usize) -> i32;

    /// Sum of `codes[i] * query[i]` over `n` 4-bit codes, packed as in [`crate::packed`]; at most
    /// [`crate::MAX_CODES`].
    ///
    /// # Safety
    /// As for the trait; `codes` has [`crate::packed::bytes`]`(n)` bytes.
    unsafe fn dot_u4i8(codes: *const u8, query: *const i8, n: usize) -> i32;

    /// Sum of `(8 * codes[i] - 60 - query[i])^2` over `n` 4-bit codes, packed as in
    /// [`crate::packed`]; at most [`crate::MAX_CODES`].
    ///
    /// # Safety
    /// As for the trait; `codes` has [`crate::packed::bytes`]`(n)` bytes.
    unsafe fn l2_u4i8(codes: *const u8, query: *const i8, n: usize) -> i32;

    /// Sum of `codes[i] * query[i]` over `n` 1-bit codes, packed as in [`crate::packed1`]; at most
    /// [`crate::MAX_CODES`].
    ///
    /// # Safety
    /// As for the trait; `codes` has [`crate::packed1::bytes`]`(n)` bytes.
    unsafe fn dot_u1i8(codes: *const u8, query: *const i8, n: usize) -> i32;

    /// Sum of `codes[i] * query[i]` over `n` 2-bit codes, packed as in [`crate::packed2`]; at most
    /// [`crate::MAX_CODES`].
    ///
    /// # Safety
    /// As for the trait; `codes` has [`crate::packed2::bytes`]`(n)` bytes.
    unsafe fn dot_u2i8(codes: *const u8, query: *const i8, n: usize) -> i32;

    /// Most rows in a tile.
    const HIGH: usize;

    /// Queries in a tile.
    const WIDE: usize;

    /// Write the sums of products (or, with `L2`, of squared differences) of `count` rows with
    /// `WIDE` queries, all of length `n`, to `out[r * WIDE + q]`. `rows` holds one row after the
    /// other; `queries` holds the first value of each query, then the second.
    ///
    /// # Safety
    /// As for the trait; `count` is at most `HIGH`, and `out` is valid for writes of `count * WIDE`
    /// values.
    unsafe fn tile_f32<const L2: bool>(rows: *const f32, count: usize, queries: *const f32, n: usize, out: *mut f32);

    /// Whether [`Self::tile_i8`] takes a fraction of the time of [`Self::tile_f32`].
    const HAS_INTEGER_TILES: bool = false;

    /// Write the sums of products of `count` rows with `WIDE` queries, all of length `n`, a multiple
    /// of 4 up to [`crate::MAX_CODES`], to `out[r * WIDE + q]`. `rows` holds one row after the
    /// other; `queries` holds the first four values of each query, then the next four.
    ///
    /// # Safety
    /// As for the trait; `count` is at most `HIGH`, and `out` is valid for writes of `count * WIDE`
    /// values.
    #[inline(always)]
    unsafe fn tile_i8(rows: *const i8, count: usize, queries: *const u8, n: usize, out: *mut i32) {
        for (r, q) in (0..count).flat_map(|r| (0..Self::WIDE).map(move |q| (r, q))) {
            let product = |i: usize| {
                // SAFETY: the caller promises `count` rows and `WIDE` queries of `n` values.
                unsafe {
                    let query = *queries.add(i / 4 * 4 * Self::WIDE + 4 * q + i % 4);
                    i32::from(*rows.add(r * n + i)) * i32::from(query)
                }
            };
            // SAFETY: the caller promises room for `count` times `WIDE` sums.
            unsafe { *out.add(r * Self::WIDE + q) = (0..n).map(product).sum() };
        }
    }

    /// Write the sum of the distances that each of sixteen rows of 4-bit codes finds in `tables`, laid out
    /// as in [`tables`]. A row has `bytes` bytes; rows may be equal.
    ///
    /// # Safety
    /// As for the trait; `tables` has [`tables::bytes`]`(bytes)` bytes, and each row is valid for reads of
    /// `bytes` rounded up to a multiple of [`tables::READ`].
    #[inline(always)]
    unsafe fn sums_of_tables(
        tables: *const u8,
        rows: &[*const u8; tables::ROWS],
        bytes: usize,
        out: &mut [u32; tables::ROWS],
    ) {
        for (row, sum) in rows.iter().zip(out) {
            // SAFETY: as the caller promises.
            *sum = unsafe { sum_of_tables(tables, *row, bytes) };
        }
    }

    /// Apply the Walsh-Hadamard transform to `n` values, a power of two, and multiply them by
    /// `scale`. The result has the same bits on every instruction set.
    ///
    /// # Safety
    /// As for the trait; `values` is valid for writes, too.
    unsafe fn hadamard(values: *mut f32, n: usize, scale: f32);

    /// Make room for a value in a sorted array: move every greater one up a place, and return the
    /// place that is free now.
    ///
    /// # Safety
    /// As for the trait; `values` is sorted, holds `n` values, and is valid for writes of one more.
    unsafe fn make_room(values: *mut u64, n: usize, value: u64) -> usize;

    /// Prefetch the cache line at `address`. Any address is allowed, since a prefetch never faults.
    #[inline(always)]
    fn prefetch(address: *const u8) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of x86-64, and a prefetch of any address is harmless.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = address;
    }
}

/// Return the sum of the distances that a row of `bytes` bytes of 4-bit codes finds in tables.
///
/// # Safety
///
/// `tables` has [`tables::bytes`]`(bytes)` bytes, and the row has `bytes`.
#[inline(always)]
pub unsafe fn sum_of_tables(tables: *const u8, row: *const u8, bytes: usize) -> u32 {
    let mut sum = 0;
    for byte in 0..bytes {
        // SAFETY: the caller promises the byte, and a table for each of its halves.
        unsafe {
            let codes = usize::from(*row.add(byte));
            let low = *tables.add(tables::place(2 * byte) + codes % 16);
            let high = *tables.add(tables::place(2 * byte + 1) + codes / 16);
            sum += u32::from(low) + u32::from(high);
        }
    }
    sum
}

/// A loop over kernels, compiled for each instruction set.
pub trait Loop {
    /// The result of the loop.
    type Output;

    /// Run the loop. Mark it `#[inline(always)]`, so that it is compiled inside the function that
    /// enables the instruction set.
    fn run<I: Isa>(self) -> Self::Output;
}
