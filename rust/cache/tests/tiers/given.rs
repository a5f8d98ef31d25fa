//! Inputs of the tests of tiers, and copies of directories.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::{TempDir, tempdir};

/// Bytes that differ from number to number, and do not compress.
pub(crate) fn content(number: u64, length: usize) -> Arc<[u8]> {
    let mut state = number;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A copy of a directory as a crash would leave it now: the tier is still open.
pub(crate) fn image(directory: &Path) -> TempDir {
    let copy = tempdir().expect("a directory");
    copy_all(directory, copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
