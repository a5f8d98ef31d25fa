//! Distance kernels: a scalar reference, portable code, AVX2 and AVX-512, chosen at run time.
//!
//! Code for many distances implements [`Loop`] and runs through [`Level::run`], so that the whole
//! loop is compiled for the instruction set. The safe functions of [`kernels`] compute one distance
//! each.

#![expect(
    clippy::inline_always,
    reason = "a kernel must be compiled inside the function that enables its instruction set, never on its own"
)]

pub mod allocator;
mod arch;
mod buffer;
mod chunked;
mod dispatch;
mod isa;
pub mod kernels;
mod level;
pub mod packed;
pub mod packed1;
pub mod packed2;
pub mod reference;
pub mod tables;

pub use buffer::{Buffer, NoMemory, Plain};
pub use chunked::{Chunked, Table};
pub use isa::{Isa, Loop, sum_of_tables};
pub use level::{Level, LevelError};

/// Most codes that the squared distance of an integer kernel can sum without overflow: each term is
/// at most 255 squared.
pub const MAX_CODES: usize = i32::MAX as usize / (255 * 255);

/// Return the largest error, against [`mod@reference`], of a float kernel over `n` terms whose
/// absolute values sum to `magnitude`.
///
/// A sum of `n` rounded terms is off by at most about `n` half units in the last place of the sum
/// of their absolute values (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section
/// 4.2). Lanes make the error far smaller.
pub fn tolerance(n: usize, magnitude: f64) -> f64 {
    (n as f64 + 2.0) * f64::from(f32::EPSILON) / 2.0 * magnitude + f64::from(f32::MIN_POSITIVE)
}
