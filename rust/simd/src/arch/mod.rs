//! The kernels of each instruction set, one file each; a long kernel has another.
//!
//! Every file here follows the rule of [`crate::isa`]: kernels and instructions of the set never
//! occur in a closure or in a function that is not `#[inline(always)]`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod hadamard512;
#[cfg(target_arch = "x86_64")]
mod lookup256;
#[cfg(target_arch = "x86_64")]
mod lookup512;
mod portable;
#[cfg(target_arch = "x86_64")]
mod tiles512;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;
