//! Finding the segments in a directory, and setting a damaged one aside.

use std::io;
use std::path::PathBuf;

use tiercel_container::log::number_of;

use super::segment::Segment;
use crate::beginning::Beginning;
use crate::directory::{Directory, kind};

/// Extension of a file that was set aside.
const DAMAGED: &str = "damaged";

/// Numbers of the segments in a directory, ascending.
pub(super) fn numbers(directory: &Directory) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = segments(directory)?.into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The segments in a directory, including those whose header did not reach the disk before a crash.
/// Other files with the name of a segment are somebody else's.
fn segments(directory: &Directory) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for (number, path) in named(directory)? {
        if Segment::beginning(&*directory.vfs, &path)? != Beginning::Foreign {
            found.push((number, path));
        }
    }
    Ok(found)
}

/// Paths of the segments in a directory that have their header, of any log.
pub(super) fn whole_segments(directory: &Directory) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for (_, path) in named(directory)? {
        if Segment::beginning(&*directory.vfs, &path)? == Beginning::Ours {
            found.push(path);
        }
    }
    Ok(found)
}

/// A number above those of all files in a directory.
pub(super) fn free_number(directory: &Directory) -> io::Result<u64> {
    Ok(named(directory)?.into_iter().map(|(number, _)| number + 1).max().unwrap_or(1))
}

/// Files with the name of a segment.
fn named(directory: &Directory) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for name in directory.vfs.list(&directory.path)? {
        if let Some(number) = numbered(&name) {
            found.push((number, directory.at(&name)));
        }
    }
    Ok(found)
}

/// The number in the name of a segment. No log ever gets to half of all numbers.
fn numbered(name: &str) -> Option<u64> {
    number_of(name).filter(|number| *number <= u64::MAX / 2)
}

/// Set the newest segment aside, although newer ones may be missing.
pub(super) fn set_newest_aside(directory: &Directory) -> io::Result<()> {
    numbers(directory)?.last().map_or(Ok(()), |number| set_aside(directory, *number))
}

/// Keep a damaged segment for inspection, in place of an earlier one.
pub(super) fn set_aside(directory: &Directory, number: u64) -> io::Result<()> {
    let vfs = &*directory.vfs;
    for name in vfs.list(&directory.path)? {
        let path = directory.at(&name);
        let name = name.strip_suffix(DAMAGED).and_then(|name| name.strip_suffix('.'));
        if name.and_then(numbered).is_some() && Segment::beginning(vfs, &path)? != Beginning::Foreign {
            vfs.remove(&path)?;
        }
    }
    let path = Segment::path(directory, number);
    let aside = path.with_extension(DAMAGED);
    // A file with that name is somebody else's.
    if kind(vfs, &aside)?.is_some() { vfs.remove(&path) } else { vfs.rename(&path, &aside) }
}
