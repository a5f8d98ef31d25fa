//! Compute one distance per call, with checked lengths. Loops over many distances use [`Loop`]
//! instead.
//!
//! Every function panics if the lengths do not match or the machine lacks the instruction set.

use crate::{Isa, Level, Loop, MAX_CODES, packed, packed1, packed2};

macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident($a:ident: $A:ty, $b:ident: $B:ty) -> $R:ty, $fits:expr) => {
        $(#[$doc])*
        pub fn $name(level: Level, $a: &[$A], $b: &[$B]) -> $R {
            struct One<'a>(&'a [$A], &'a [$B]);
            impl Loop for One<'_> {
                type Output = $R;
                #[inline(always)]
                fn run<I: Isa>(self) -> $R {
                    // SAFETY: the lengths were checked below, and the instruction set by
                    // `Level::run`.
                    unsafe { I::$name(self.0.as_ptr(), self.1.as_ptr(), self.1.len()) }
                }
            }
            assert!($fits, "lengths {} and {} do not match", $a.len(), $b.len());
            level.run(One($a, $b))
        }
    };
}

kernel!(
    /// Sum of `a[i] * b[i]`.
    dot_f32(a: f32, b: f32) -> f32,
    a.len() == b.len()
);
kernel!(
    /// Sum of `(a[i] - b[i])^2`.
    l2_f32(a: f32, b: f32) -> f32,
    a.len() == b.len()
);
kernel!(
    /// Sum of `a[i] * b[i]`, `b` in half precision.
    dot_f16(a: f32, b: u16) -> f32,
    a.len() == b.len()
);
kernel!(
    /// Sum of `(a[i] - b[i])^2`, `b` in half precision.
    l2_f16(a: f32, b: u16) -> f32,
    a.len() == b.len()
);
kernel!(
    /// Sum of `codes[i] * query[i]`.
    dot_u8i8(codes: u8, query: i8) -> i32,
    codes.len() == query.len() && query.len() <= MAX_CODES
);
kernel!(
    /// Sum of `(codes[i] - 128 - query[i])^2`.
    l2_u8i8(codes: u8, query: i8) -> i32,
    codes.len() == query.len() && query.len() <= MAX_CODES
);
kernel!(
    /// Sum of `codes[i] * query[i]` over packed 4-bit codes.
    dot_u4i8(codes: u8, query: i8) -> i32,
    codes.len() == packed::bytes(query.len()) && query.len() <= MAX_CODES
);
kernel!(
    /// Sum of `(8 * codes[i] - 60 - query[i])^2` over packed 4-bit codes.
    l2_u4i8(codes: u8, query: i8) -> i32,
    codes.len() == packed::bytes(query.len()) && query.len() <= MAX_CODES
);
kernel!(
    /// Sum of `codes[i] * query[i]` over packed 1-bit codes.
    dot_u1i8(codes: u8, query: i8) -> i32,
    codes.len() == packed1::bytes(query.len()) && query.len() <= MAX_CODES
);
kernel!(
    /// Sum of `codes[i] * query[i]` over packed 2-bit codes.
    dot_u2i8(codes: u8, query: i8) -> i32,
    codes.len() == packed2::bytes(query.len()) && query.len() <= MAX_CODES
);

/// Apply the Walsh-Hadamard transform to a power of two of values, and multiply them by `scale`.
pub fn hadamard(level: Level, values: &mut [f32], scale: f32) {
    struct One<'a>(&'a mut [f32], f32);
    impl Loop for One<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self) {
            // SAFETY: the length was checked below, and the instruction set by `Level::run`.
            unsafe { I::hadamard(self.0.as_mut_ptr(), self.0.len(), self.1) };
        }
    }
    assert!(values.len().is_power_of_two(), "{} values, expected a power of two", values.len());
    level.run(One(values, scale));
}

/// Insert a value into a sorted array.
pub fn insert_sorted(level: Level, values: &mut Vec<u64>, value: u64) {
    struct One<'a>(&'a mut Vec<u64>, u64);
    impl Loop for One<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self) {
            let n = self.0.len();
            self.0.reserve(1);
            // SAFETY: there is room for one more value, which is written before it counts;
            // `Level::run` checked the instruction set.
            unsafe {
                let place = I::make_room(self.0.as_mut_ptr(), n, self.1);
                self.0.as_mut_ptr().add(place).write(self.1);
                self.0.set_len(n + 1);
            }
        }
    }
    assert!(values.is_sorted(), "the values are sorted");
    level.run(One(values, value));
}
