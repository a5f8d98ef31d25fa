//! The records of a segment, one after the other.

use std::io;

use super::record::{HEAD, Head, Kind};
use super::segment::{CHUNK, Segment};
use crate::Key;

/// Goes through the records of a segment.
pub(super) struct Scan<'a> {
    segment: &'a Segment,
    /// Where the next record is.
    at: u64,
    end: u64,
    /// Bytes of the longest key, with its head, that is read.
    most: u64,
    chunk: Vec<u8>,
    chunk_at: u64,
}

/// The next item of a segment.
pub(super) enum Next {
    /// A record, at an offset.
    Record { offset: u64, head: Head, key: Key },
    /// A record whose key is unknown.
    Nobodys,
    /// The segment is full, and ends here.
    End,
    /// No record: the file ends, or is damaged.
    Nothing,
}

impl<'a> Scan<'a> {
    /// Scan from a record to the end of the file. A key longer than `most` counts as unknown.
    pub(super) fn from(segment: &'a Segment, at: u64, most: u64) -> io::Result<Self> {
        Ok(Self { segment, at, end: segment.length()?, most, chunk: Vec::new(), chunk_at: 0 })
    }

    /// Where the next record begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        let (offset, seed) = (self.at, self.segment.seed());
        let head = self.bytes(HEAD)?.and_then(|bytes| Head::decode(bytes, seed, offset));
        let Some(head) = head.filter(|head| head.length() <= self.end - offset) else { return Ok(Next::Nothing) };
        let is_too_long = head.lead() > self.most;
        let lead = if is_too_long { None } else { self.bytes(head.lead())? };
        let key = lead.and_then(|lead| Some(head.key(lead)?.to_key()));
        self.at += head.length();
        Ok(match (head.kind, key) {
            (Kind::End, _) => Next::End,
            (_, Some(key)) => Next::Record { offset, head, key },
            (_, None) => Next::Nobodys,
        })
    }

    /// The next `length` bytes, if the segment has them.
    fn bytes(&mut self, length: u64) -> io::Result<Option<&[u8]>> {
        if length > self.end - self.at {
            return Ok(None);
        }
        let there = self.chunk_at + self.chunk.len() as u64;
        if self.at < self.chunk_at || self.at + length > there {
            self.chunk = self.segment.bytes(self.at, length.max(CHUNK).min(self.end - self.at))?;
            self.chunk_at = self.at;
        }
        let from = (self.at - self.chunk_at) as usize;
        Ok(Some(&self.chunk[from..from + length as usize]))
    }
}
