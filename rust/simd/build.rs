//! Leave AVX-512 out of test builds on machines that cannot run it: loops are compiled for each
//! instruction set, which takes most of the time of these builds. Cargo before 1.93 does not say
//! whether a build is one for tests, so nothing is left out there.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(without_avx512)");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let is_for_tests = std::env::var_os("CARGO_CFG_DEBUG_ASSERTIONS").is_some();
    if is_for_tests && variable("HOST") == variable("TARGET") && !has_avx512() {
        println!("cargo::rustc-cfg=without_avx512");
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}
