//! Finding the segments in a directory, and setting a damaged one aside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tiercel_container::log::number_of;

use super::segment::Segment;

/// Extension of a file that was set aside.
const DAMAGED: &str = "damaged";

/// Numbers of the segments in a directory, ascending.
pub(super) fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = segments(directory)?.into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The segments in a directory, including those of which a crash left only a part of the magic.
/// Other files with the name of a segment are somebody else's.
fn segments(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for (number, path) in named(directory)? {
        if Segment::magic(&path)?.is_some() {
            found.push((number, path));
        }
    }
    Ok(found)
}

/// Paths of the segments in a directory that have their whole magic, of any log.
pub(super) fn whole_segments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for (_, path) in named(directory)? {
        if Segment::magic(&path)? == Some(true) {
            found.push(path);
        }
    }
    Ok(found)
}

/// A number above those of all files in a directory.
pub(super) fn free_number(directory: &Path) -> io::Result<u64> {
    Ok(named(directory)?.into_iter().map(|(number, _)| number + 1).max().unwrap_or(1))
}

/// Files with the name of a segment.
fn named(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if let Some(number) = path.file_name().and_then(|name| numbered(name.to_str()?)) {
            found.push((number, path));
        }
    }
    Ok(found)
}

/// The number in the name of a segment. No log ever gets to half of all numbers.
fn numbered(name: &str) -> Option<u64> {
    number_of(name).filter(|number| *number <= u64::MAX / 2)
}

/// Set the newest segment aside, although newer ones may be missing.
pub(super) fn set_newest_aside(directory: &Path) -> io::Result<()> {
    numbers(directory)?.last().map_or(Ok(()), |number| set_aside(directory, *number))
}

/// Keep a damaged segment for inspection, in place of an earlier one.
pub(super) fn set_aside(directory: &Path, number: u64) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(DAMAGED)?.strip_suffix('.'));
        if name.and_then(numbered).is_some() && Segment::magic(&path)?.is_some() {
            fs::remove_file(path)?;
        }
    }
    let path = Segment::path(directory, number);
    let aside = path.with_extension(DAMAGED);
    // A file with that name is somebody else's.
    if fs::symlink_metadata(&aside).is_ok() { fs::remove_file(path) } else { fs::rename(&path, aside) }
}
