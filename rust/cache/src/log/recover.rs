//! What is left of a log when it is opened.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;

use super::record::{Kind, Place};
use super::segment::{Next, START, Scan, Segment};
use super::synced::Synced;
use super::{Found, Kept, NAME, Purpose};
use crate::Key;

/// What follows the name of a file that was set aside.
const DAMAGED: &str = "damaged";

/// What was found.
#[derive(Default)]
pub(super) struct Recovered {
    /// Segments that are of use, the oldest first.
    pub(super) segments: VecDeque<Kept>,
    /// Whether the last segment is full.
    pub(super) is_full: bool,
    /// The latest record of each key that has a value.
    pub(super) places: HashMap<Key, Found>,
    /// Segments and records that were damaged.
    pub(super) damaged: u64,
    /// Bytes of the largest record that is read as a whole.
    most: u64,
    purpose: Purpose,
}

/// How a segment ends.
struct End {
    /// Up to here all is well.
    at: u64,
    is_full: bool,
}

/// Go through the segments of a directory.
///
/// Memory for more than `most` bytes is not asked for: what is larger was written by a tier with more room, or by nobody.
pub(super) fn recover(directory: &Path, synced: &Synced, most: u64, purpose: Purpose) -> io::Result<Recovered> {
    let mut found = Recovered { most, purpose, ..Recovered::default() };
    let numbers = numbers(directory)?;
    for (place, &number) in numbers.iter().enumerate() {
        if !found.take_up(directory, synced, number)? {
            for number in numbers[place + 1..].iter().filter(|_| purpose.mends()) {
                fs::remove_file(Segment::path(directory, *number))?;
            }
            break;
        }
    }
    // One that was set aside is counted.
    if synced.offset > 0 && !numbers.contains(&synced.segment) && found.last().is_none_or(|last| last < synced.segment)
    {
        found.lose_all()?;
    }
    Ok(found)
}

impl Recovered {
    fn last(&self) -> Option<u64> {
        self.segments.back().map(|kept| kept.segment.number())
    }

    /// What was seen so far may be outdated by what is lost now.
    fn lose_all(&mut self) -> io::Result<()> {
        self.damaged += 1;
        self.places.clear();
        let mends = self.purpose.mends();
        self.segments.drain(..).filter(|_| mends).try_for_each(|kept| kept.segment.remove())
    }

    fn set_aside(&self, directory: &Path, number: u64) -> io::Result<()> {
        if self.purpose.mends() { set_aside(directory, number) } else { Ok(()) }
    }

    /// Go through the next segment. False if the log ends in it.
    fn take_up(&mut self, directory: &Path, synced: &Synced, number: u64) -> io::Result<bool> {
        let synced_to = match number.cmp(&synced.segment) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => synced.offset,
            std::cmp::Ordering::Greater => 0,
        };
        let Some(segment) = Segment::open(directory, synced.log, number, self.purpose)?.map(Arc::new) else {
            if synced_to == 0 {
                // It is not this log's, or its head was not synced.
                if self.purpose.mends() {
                    fs::remove_file(Segment::path(directory, number))?;
                }
                return Ok(false);
            }
            self.lose_all()?;
            self.set_aside(directory, number)?;
            return Ok(true);
        };
        if self.last().is_some_and(|last| last + 1 != number) {
            self.lose_all()?;
        }
        let End { at, is_full } = self.scan(&segment, synced_to)?;
        let is_whole = if number < synced.segment { is_full } else { at >= synced_to };
        if !is_whole {
            self.lose_all()?;
            self.set_aside(directory, number)?;
            return Ok(true);
        }
        if self.purpose.mends() {
            segment.cut(at)?;
        }
        self.segments.push_back(Kept { segment, length: at });
        self.is_full = is_full;
        Ok(is_full)
    }

    /// Take up the records of a segment. What was not synced counts as far as it is whole.
    fn scan(&mut self, segment: &Arc<Segment>, synced_to: u64) -> io::Result<End> {
        let mut scan = Scan::from(segment, START, self.most)?;
        loop {
            let at = scan.at();
            match scan.next()? {
                Next::Record { offset, head, key } => {
                    let place = Place { segment: Arc::clone(segment), offset, length: head.length() };
                    if offset >= synced_to && (place.length > self.most || place.record(key.borrow()).is_err()) {
                        return Ok(End { at, is_full: false });
                    }
                    match head.kind {
                        Kind::Value => self.places.insert(key, Found { place, value: head.value() }),
                        _ => self.places.remove(&key),
                    };
                }
                // It may have replaced or deleted any key.
                Next::Nobodys if at < synced_to => {
                    self.damaged += 1;
                    self.places.clear();
                }
                Next::End => return Ok(End { at: scan.at(), is_full: true }),
                Next::Nobodys | Next::Nothing => return Ok(End { at, is_full: false }),
            }
        }
    }
}

/// Numbers of the segments in a directory, in their order.
fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = segments(directory)?.into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Numbers of the segments in a directory, those of which a crash left no more than a part of the magic included. A file of the same
/// name that is none is somebody else's.
fn segments(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for (number, path) in named(directory)? {
        if Segment::magic(&path)?.is_some() {
            found.push((number, path));
        }
    }
    Ok(found)
}

/// Paths of the segments of whatever log in a directory, by their whole magic.
pub(super) fn whole_segments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for (_, path) in named(directory)? {
        if Segment::magic(&path)? == Some(true) {
            found.push(path);
        }
    }
    Ok(found)
}

/// A number that no file in a directory has, nor any above it.
pub(super) fn free_number(directory: &Path) -> io::Result<u64> {
    Ok(named(directory)?.into_iter().map(|(number, _)| number + 1).max().unwrap_or(1))
}

/// What has the name of a segment.
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

/// The number that is in the name of a segment. It is written in one way, and no log ever comes to half of all numbers.
fn numbered(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(NAME)?.strip_prefix('-')?;
    digits.parse().ok().filter(|number: &u64| *number <= u64::MAX / 2 && number.to_string() == digits)
}

/// Keep the newest segment, where nothing tells whether it is.
pub(super) fn set_newest_aside(directory: &Path) -> io::Result<()> {
    numbers(directory)?.last().map_or(Ok(()), |number| set_aside(directory, *number))
}

/// Keep a damaged segment for who wants to look at it, in place of an earlier one.
fn set_aside(directory: &Path, number: u64) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(DAMAGED)?.strip_suffix('.'));
        if name.and_then(numbered).is_some() && Segment::magic(&path)?.is_some() {
            fs::remove_file(path)?;
        }
    }
    let path = Segment::path(directory, number);
    let aside = path.with_extension(DAMAGED);
    // What is there is somebody else's.
    if fs::symlink_metadata(&aside).is_ok() { fs::remove_file(path) } else { fs::rename(&path, aside) }
}
