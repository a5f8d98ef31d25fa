//! Integer kernels on slices, for loops outside of this crate: lengths are checked, a comparison a distance.
//!
//! They are safe because an instruction set is met in one place, inside a loop that `Level::run` runs: see [`Isa`].
//!
//! Every function panics when the codes are too short for the query, or the query is longer than [`MAX_CODES`].

use crate::{Isa, MAX_CODES, packed};

macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, |$n:ident| $bytes:expr) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name<I: Isa>(codes: &[u8], query: &[i8]) -> i32 {
            let $n = query.len();
            assert!(codes.len() >= $bytes && $n <= MAX_CODES, "lengths do not match");
            // SAFETY: the lengths were checked, and a loop has an instruction set that the machine has.
            unsafe { I::$name(codes.as_ptr(), query.as_ptr(), $n) }
        }
    };
}

kernel!(
    /// Sum of `codes[i] * query[i]`.
    dot_u8i8,
    |n| n
);
kernel!(
    /// Sum of `(codes[i] - 128 - query[i])^2`.
    l2_u8i8,
    |n| n
);
kernel!(
    /// Sum of `codes[i] * query[i]` over packed 4-bit codes.
    dot_u4i8,
    |n| packed::bytes(n)
);
kernel!(
    /// Sum of `(8 * codes[i] - 60 - query[i])^2` over packed 4-bit codes.
    l2_u4i8,
    |n| packed::bytes(n)
);
