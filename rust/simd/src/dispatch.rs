//! Compile a loop for each instruction set, and choose one of them.

#[cfg(target_arch = "x86_64")]
use crate::arch::{Avx2, Avx512};
use crate::{Level, Loop, arch::Portable};

impl Level {
    /// Run a loop on this instruction set.
    ///
    /// # Panics
    ///
    /// If the machine lacks it.
    #[inline]
    pub fn run<L: Loop>(self, work: L) -> L::Output {
        // The standard library caches detection, so this costs a load and a test of a few
        // features per loop.
        assert!(self.is_available(), "instruction set {} is not available", self.name());
        match self {
            Self::Scalar => work.run::<Portable>(),
            // SAFETY: availability was checked above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: availability was checked above.
            #[cfg(all(target_arch = "x86_64", not(without_avx512)))]
            Self::Avx512 => unsafe { run_avx512(work) },
            #[cfg(any(not(target_arch = "x86_64"), without_avx512))]
            _ => unreachable!("this build has no such instruction set"),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<L: Loop>(work: L) -> L::Output {
    work.run::<Avx2>()
}

#[cfg(target_arch = "x86_64")]
#[cfg_attr(without_avx512, expect(dead_code, reason = "never called, but still checked by the compiler"))]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx512<L: Loop>(work: L) -> L::Output {
    work.run::<Avx512>()
}
