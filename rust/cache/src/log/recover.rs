//! What is left of a log when it is opened.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;

use super::directory::{numbers, set_aside};
use super::disk::Purpose;
use super::place::{Found, Place};
use super::record::Kind;
use super::scan::{Next, Scan};
use super::segment::{Kept, START, Segment};
use super::synced::Synced;
use crate::Key;

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
