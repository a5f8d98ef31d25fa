//! A log: what was put and deleted, in order, in files that are only appended to.
//!
//! ```text
//! directory/  log-7   log-8   log-9   synced
//!             oldest          newest, written to; `synced` says how far it is synced
//! ```
//!
//! **After a crash.** Records are written in order, and synced together. A crash leaves everything
//! up to the place that `synced` names, and after it any part of the newest segment that reached
//! the disk: records there count as far as they are whole, one after the other, and the rest is cut
//! off. A segment is synced before the next one begins. The oldest one is removed, and the
//! directory synced, when its living records have been written again and synced; a deletion may go
//! with it, because what it deleted went before it. Starting over overwrites `synced` with another
//! number of the log, and that alone makes the existing segments foreign; then they are removed. At
//! least one slot of `synced` always holds the magic, so the directory is recognised as a log's.
//!
//! **After damage.** The checksum of a record's head is bound to its place, and `synced` and the
//! numbers of the segments show what must be present. A damaged value is lost alone. A record whose
//! key is damaged may have replaced or deleted anything older: all of that is dropped. If a head is
//! damaged, or a file is cut, missing or foreign, the rest of that segment is dropped, too, and the
//! file is set aside as `log-7.damaged`. If `synced` itself cannot be trusted, nothing is. A file
//! that does not begin like a segment is somebody else's: it is left alone, and the segment whose
//! place it takes counts as missing. So a value that was replaced or deleted before the last sync
//! does not come back, unless files of an earlier time replace all of them.

mod directory;
mod place;
mod purpose;
mod record;
mod recover;
mod scan;
mod segment;
mod synced;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use tiercel_container::log::PREFIX;

use crate::directory::Directory;
use crate::packing::{Codec, Packed};
use crate::{Key, KeyRef};
use purpose::Purpose;
use record::{Head, Kind, Record};
use recover::recover;
use scan::{Next, Scan};
use segment::{Kept, START, Segment};
use synced::Synced;

pub(crate) use place::{Found, Place};
pub(crate) use record::{HEAD, Lost};

/// Bytes gathered before they are written.
const TOGETHER: usize = 1 << 20;

/// Bytes of the largest record that was not synced, and of the longest key, that a look reads: it
/// does not know the size of a tier.
const LOOKED_AT: u64 = 64 << 20;

/// Bytes written between two syncs.
const UNSYNCED: u64 = 16 << 20;

/// An open log. After an error it must start over.
pub(crate) struct Log {
    directory: Directory,
    limits: Limits,
    synced: Synced,
    /// Oldest first; the last is written to.
    segments: VecDeque<Kept>,
    /// Bytes to write at the end of the last segment.
    buffer: Vec<u8>,
    unsynced: u64,
    /// Whether a file was made since the last sync of the directory.
    is_new: bool,
}

/// Maximum sizes in a log.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of a segment.
    pub(crate) segment: u64,
    /// Bytes of a record: reading one never asks for more memory.
    pub(crate) record: u64,
}

/// The content of an opened log.
pub(crate) struct Content {
    /// The place of the value of each key, oldest first.
    pub(crate) places: Vec<(Key, Found)>,
    /// Segments and records that were damaged.
    pub(crate) damaged: u64,
}

/// A part of the oldest segment, for cleaning.
pub(crate) struct Part {
    /// Values in it, dead or alive.
    pub(crate) values: Vec<(Key, Place)>,
    /// Bytes of the part.
    pub(crate) bytes: u64,
    /// Where the next part begins.
    pub(crate) next: u64,
    /// Whether the segment ends with it.
    pub(crate) is_last: bool,
    /// Whether it has values whose keys are unknown.
    pub(crate) is_damaged: bool,
}

/// Whether a directory has a log, even a damaged one.
pub(crate) fn is_there(directory: &Directory) -> io::Result<bool> {
    Ok(Synced::is_ours(directory)? || !directory::whole_segments(directory)?.is_empty())
}

/// Whether a name is one of a log's files.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(synced::NAME) || name.starts_with(PREFIX)
}

/// Find what opening the log of a directory would find, without changing anything.
pub(crate) fn look(directory: &Directory) -> io::Result<Content> {
    let Some(synced) = Synced::open(directory, Purpose::Look)? else {
        return Ok(Content { places: Vec::new(), damaged: u64::from(is_there(directory)?) });
    };
    let found = recover(directory, &synced, LOOKED_AT, Purpose::Look)?;
    Ok(Content { places: found.places.into_iter().collect(), damaged: found.damaged })
}

impl Log {
    /// Open the log of a directory, or begin one if there is none.
    pub(crate) fn open(directory: &Directory, limits: Limits) -> io::Result<(Self, Content)> {
        let directory = directory.clone();
        let Some(synced) = Synced::open(&directory, Purpose::Mend)? else {
            // It is unknown whether all segments are present.
            let was_there = is_there(&directory)?;
            directory::set_newest_aside(&directory)?;
            let log = Self::begin(directory, limits)?;
            return Ok((log, Content { places: Vec::new(), damaged: u64::from(was_there) }));
        };
        let found = recover(&directory, &synced, limits.record, Purpose::Mend)?;
        let damaged = found.damaged;
        if found.segments.is_empty() {
            return Ok((Self::begin(directory, limits)?, Content { places: Vec::new(), damaged }));
        }
        let mut log = Self { segments: found.segments, ..Self::empty(directory, limits, synced) };
        if found.is_full {
            log.add_segment()?;
        }
        let mut places: Vec<_> = found.places.into_iter().collect();
        places.sort_unstable_by_key(|(_, found)| (found.place.segment.number(), found.place.offset));
        Ok((log, Content { places, damaged }))
    }

    fn empty(directory: Directory, limits: Limits, synced: Synced) -> Self {
        Self { directory, limits, synced, segments: VecDeque::new(), buffer: Vec::new(), unsynced: 0, is_new: true }
    }

    /// Begin an empty log, in place of any in the directory.
    fn begin(directory: Directory, limits: Limits) -> io::Result<Self> {
        // While segments of the old log are removed, a crash must not leave a part of them that
        // counts as whole: so `synced` makes them foreign first. If the disk is full, they go first.
        let synced = Synced::create(&directory);
        for path in directory::whole_segments(&directory)? {
            // A file that cannot be removed only takes space.
            let _ = directory.vfs.remove(&path);
        }
        let synced = synced.or_else(|_| Synced::create(&directory))?;
        let mut log = Self::empty(directory, limits, synced);
        log.add_segment()?;
        log.directory.sync()?;
        Ok(log)
    }

    /// Forget everything, for good when this returns.
    pub(crate) fn begin_anew(&mut self) -> io::Result<()> {
        self.segments.clear();
        *self = Self::begin(self.directory.clone(), self.limits)?;
        Ok(())
    }

    /// Check that the files still have their names: otherwise nobody finds what is written to them.
    pub(crate) fn check_in_place(&self) -> io::Result<()> {
        self.synced.check_in_place(&self.directory)?;
        self.segments.iter().try_for_each(|kept| kept.segment.check_in_place())
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|kept| kept.length).sum::<u64>() + self.buffer.len() as u64
    }

    /// Add the value of a key. It can be read once it is [written](Self::write).
    pub(crate) fn put(&mut self, key: KeyRef<'_>, packed: &Packed) -> io::Result<Place> {
        let key = key.encoded();
        let head = Head::of(Kind::Value, &key, packed.codec, packed.length, &packed.body);
        self.add(head, &key, &packed.body)
    }

    /// Add the deletion of a key.
    pub(crate) fn delete(&mut self, key: KeyRef<'_>) -> io::Result<()> {
        let key = key.encoded();
        self.add(Head::of(Kind::Deletion, &key, Codec::Plain, 0, &[]), &key, &[]).map(drop)
    }

    fn add(&mut self, head: Head, key: &[u8], body: &[u8]) -> io::Result<Place> {
        let place = self.room(head.length())?;
        self.buffer.extend_from_slice(&head.encode(place.segment.seed(), place.offset));
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(body);
        Ok(place)
    }

    /// Add an existing record again.
    pub(crate) fn put_again(&mut self, record: Record) -> io::Result<Place> {
        let place = self.room(record.length())?;
        self.buffer.extend_from_slice(&record.moved_to(place.segment.seed(), place.offset));
        Ok(place)
    }

    /// Find a place for a record of `length` bytes, which must be the next in the buffer.
    fn room(&mut self, length: u64) -> io::Result<Place> {
        if self.buffer.len() >= TOGETHER {
            self.write()?;
        }
        let end = self.end()?;
        if end > START && end + length > self.limits.segment {
            self.end_segment()?;
        }
        let offset = self.end()?;
        let segment = Arc::clone(&self.last()?.segment);
        Ok(Place { segment, offset, length })
    }

    /// The segment that is written to; an error if starting over has failed.
    fn last(&mut self) -> io::Result<&mut Kept> {
        self.segments.back_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Where the next record begins.
    fn end(&mut self) -> io::Result<u64> {
        Ok(self.last()?.length + self.buffer.len() as u64)
    }

    fn end_segment(&mut self) -> io::Result<()> {
        let (offset, seed) = (self.end()?, self.last()?.segment.seed());
        self.buffer.extend_from_slice(&Head::of(Kind::End, &[], Codec::Plain, 0, &[]).encode(seed, offset));
        self.sync()?;
        self.add_segment()
    }

    fn add_segment(&mut self) -> io::Result<()> {
        let number = match self.segments.back() {
            Some(kept) => kept.segment.number() + 1,
            None => directory::free_number(&self.directory)?,
        };
        let segment = Arc::new(Segment::create(&self.directory, self.synced.log, number)?);
        self.segments.push_back(Kept { segment, length: START });
        self.is_new = true;
        Ok(())
    }

    /// Write what was added, and sync it if much was written since the last sync.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            // There is nothing to lose, so nothing may fail, such as making a segment.
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let last = self.last()?;
        last.segment.write(&buffer, last.length)?;
        last.length += buffer.len() as u64;
        self.unsynced += buffer.len() as u64;
        // Memory for one large value is not kept.
        if buffer.capacity() <= 4 * TOGETHER {
            self.buffer = buffer;
            self.buffer.clear();
        }
        if self.unsynced >= UNSYNCED { self.sync_written() } else { Ok(()) }
    }

    /// Sync everything that was added.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        if self.unsynced > 0 || self.is_new { self.sync_written() } else { Ok(()) }
    }

    fn sync_written(&mut self) -> io::Result<()> {
        let Kept { segment, length } = self.last()?;
        let (segment, length) = (Arc::clone(segment), *length);
        segment.sync()?;
        if self.is_new {
            self.directory.sync()?;
        }
        self.synced.write(segment.number(), length)?;
        (self.unsynced, self.is_new) = (0, false);
        Ok(())
    }

    /// Read a part of about `bytes` of the oldest segment, from an offset on or from its beginning;
    /// `None` if that segment is written to.
    pub(crate) fn oldest(&self, from: Option<u64>, bytes: u64) -> io::Result<Option<Part>> {
        let Some(kept) = self.segments.front().filter(|_| self.segments.len() > 1) else { return Ok(None) };
        let from = from.unwrap_or(START);
        let mut scan = Scan::from(&kept.segment, from, self.limits.record)?;
        let (mut values, mut is_damaged) = (Vec::new(), false);
        let is_last = loop {
            match scan.next()? {
                Next::Record { offset, head, key } if head.kind == Kind::Value => {
                    let place = Place { segment: Arc::clone(&kept.segment), offset, length: head.length() };
                    values.push((key, place));
                }
                Next::Record { .. } => {}
                Next::Nobodys => is_damaged = true,
                Next::End => break true,
                Next::Nothing => {
                    is_damaged = true;
                    break true;
                }
            }
            if scan.at() - from >= bytes {
                break false;
            }
        };
        Ok(Some(Part { values, bytes: scan.at() - from, next: scan.at(), is_last, is_damaged }))
    }

    /// Whether a place is in the oldest segment.
    pub(crate) fn is_in_oldest(&self, place: &Place) -> bool {
        self.segments.front().is_some_and(|kept| Arc::ptr_eq(&kept.segment, &place.segment))
    }

    /// Remove the oldest segment.
    pub(crate) fn remove_oldest(&mut self) -> io::Result<()> {
        if let Some(kept) = self.segments.pop_front() {
            kept.segment.remove()?;
            self.directory.sync()?;
        }
        Ok(())
    }
}
