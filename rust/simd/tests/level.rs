//! All instruction sets of the machine are found, and `TIERCEL_SIMD` forces one or is an error.

use std::env;
use std::ffi::OsStr;
use std::process::Command;

use tiercel_simd::Level;

mod machine;

const VARIABLE: &str = "TIERCEL_SIMD";

/// The variable with the result that [`active_in_a_child`] must find in a child process.
const EXPECTED: &str = "TIERCEL_TEST_EXPECTED";

fn active() -> String {
    match Level::active() {
        Ok(level) => level.name().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The other half of [`assert_active`]. On its own it checks nothing.
#[test]
fn active_in_a_child() {
    if let Ok(expected) = env::var(EXPECTED) {
        assert_eq!(active(), expected);
    }
}

/// Assert the active instruction set for a value of `TIERCEL_SIMD`, in a child process, since a
/// process has only one environment.
fn assert_active(forced: Option<&OsStr>, expected: &str) {
    let mut child = Command::new(env::current_exe().expect("the path of this test"));
    child.args(["--exact", "active_in_a_child"]).env(EXPECTED, expected).env_remove(VARIABLE);
    if let Some(forced) = forced {
        child.env(VARIABLE, forced);
    }
    let output = child.output().expect("the child starts");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("1 passed"), "{VARIABLE}={forced:?}:\n{report}");
}

#[test]
fn every_instruction_set_of_the_machine_is_available() {
    assert_eq!(Level::available().collect::<Vec<_>>(), machine::levels());
}

#[test]
fn the_best_is_active_by_default() {
    let best = machine::levels().pop().expect("scalar at least").name();
    assert_active(None, best);
    assert_active(Some(OsStr::new("")), best);
}

#[test]
fn the_variable_forces_each() {
    for level in machine::levels() {
        assert_active(Some(OsStr::new(level.name())), level.name());
    }
}

#[test]
fn an_unknown_name_is_an_error() {
    for name in ["sse", "AVX2", "avx512 ", "0"] {
        let expected = format!("{VARIABLE}: expected scalar, avx2 or avx512, got '{name}'");
        assert_active(Some(OsStr::new(name)), &expected);
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_text_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let expected = format!("{VARIABLE}: expected scalar, avx2 or avx512, got 'avx2\u{fffd}'");
    assert_active(Some(OsStr::from_bytes(b"avx2\xff")), &expected);
}

/// This checks something only if the machine lacks an instruction set; the unit tests of `Level`
/// check the error everywhere.
#[test]
fn an_instruction_set_that_the_machine_lacks_is_an_error() {
    let has = machine::levels();
    let names = has.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ");
    for lacks in Level::ALL.into_iter().filter(|level| !has.contains(level)) {
        let name = lacks.name();
        let expected = format!("{VARIABLE}: expected an instruction set of this machine ({names}), got {name}");
        assert_active(Some(OsStr::new(name)), &expected);
    }
}
