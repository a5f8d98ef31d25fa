//! Find the instruction sets of the machine, independently of the library.

use tiercel_simd::Level;

/// Ask the operating system, which also knows whether it saves the registers.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn levels() -> Vec<Level> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").expect("/proc/cpuinfo is readable");
    let line = cpu.lines().find(|line| line.starts_with("flags")).expect("a line of flags");
    let flags: Vec<&str> = line.split_whitespace().collect();
    let has = |needed: &[&str]| needed.iter().all(|flag| flags.contains(flag));
    let avx2 = has(&["avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "popcnt"]);
    let avx512 = avx2 && has(&["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"]);
    let mut levels = vec![Level::Scalar];
    levels.extend(avx2.then_some(Level::Avx2));
    levels.extend(avx512.then_some(Level::Avx512));
    levels
}

/// Without a second source, trust the library.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) fn levels() -> Vec<Level> {
    Level::available().collect()
}
