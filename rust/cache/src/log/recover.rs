//! Recovering a log when it is opened.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use hashbrown::HashMap;

use super::directory::{numbers, set_aside};
use super::place::{Found, Place};
use super::purpose::Purpose;
use super::record::Kind;
use super::scan::{Next, Scan};
use super::segment::{Kept, START, Segment};
use super::synced::Synced;
use crate::Key;
use crate::directory::Directory;

/// The result of a recovery.
#[derive(Default)]
pub(super) struct Recovered {
    /// Usable segments, oldest first.
    pub(super) segments: VecDeque<Kept>,
    /// Whether the last segment is full.
    pub(super) is_full: bool,
    /// The latest record of each key that has a value.
    pub(super) places: HashMap<Key, Found>,
    /// Number of damaged segments and records.
    pub(super) damaged: u64,
    /// Bytes of the largest record that is read as a whole.
    most: u64,
    purpose: Purpose,
}

/// How a segment ends.
struct End {
    /// Everything up to here is sound.
    at: u64,
    is_full: bool,
}

/// Go through the segments of a directory.
///
/// Never ask for more than `most` bytes of memory: anything larger comes from a tier with more
/// room, or from damage.
pub(super) fn recover(directory: &Directory, synced: &Synced, most: u64, purpose: Purpose) -> io::Result<Recovered> {
    let mut found = Recovered { most, purpose, ..Recovered::default() };
    let numbers = numbers(directory)?;
    for (place, &number) in numbers.iter().enumerate() {
        if !found.take_up(directory, synced, number)? {
            for number in numbers[place + 1..].iter().filter(|_| purpose.mends()) {
                directory.vfs.remove(&Segment::path(directory, *number))?;
            }
            break;
        }
    }
    // A segment that was set aside has been counted already.
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

    /// Drop everything seen so far: what is lost now may have outdated it.
    fn lose_all(&mut self) -> io::Result<()> {
        self.damaged += 1;
        self.places.clear();
        let mends = self.purpose.mends();
        self.segments.drain(..).filter(|_| mends).try_for_each(|kept| kept.segment.remove())
    }

    fn set_aside(&self, directory: &Directory, number: u64) -> io::Result<()> {
        if self.purpose.mends() { set_aside(directory, number) } else { Ok(()) }
    }

    /// Go through the next segment; return false if the log ends in it.
    fn take_up(&mut self, directory: &Directory, synced: &Synced, number: u64) -> io::Result<bool> {
        let synced_to = match number.cmp(&synced.segment) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => synced.offset,
            std::cmp::Ordering::Greater => 0,
        };
        let Some(segment) = Segment::open(directory, synced.log, number, self.purpose)?.map(Arc::new) else {
            if synced_to == 0 {
                // It belongs to another log, or its head was not synced.
                if self.purpose.mends() {
                    directory.vfs.remove(&Segment::path(directory, number))?;
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

    /// Take up the records of a segment. Those that were not synced count as far as they are whole.
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
