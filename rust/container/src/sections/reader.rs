//! Reads a file from front to back.

use std::io::{self, Read};

use bytemuck::Pod;

use super::errors::{SectionError, damaged};
use super::header::{Header, Input, name};
use super::layout::{BLOCK, Kind, Section, Tag, is_optional};
use crate::bytes::{CHECKSUM, u32_at};

/// Reads sections in the order in which they stand in the file.
#[derive(Debug)]
pub struct SectionReader<R> {
    input: Input<R>,
    sections: Vec<Section>,
    file_len: u64,
    /// How many sections have been read.
    read: usize,
    /// Whether the input returns only verified bytes, so that blocks need no check.
    is_verified: bool,
}

impl<R: Read> SectionReader<R> {
    /// Check the header of an input of `len` bytes that must hold the sections `tags`, in this
    /// order. Optional ones may be missing.
    pub fn new(input: R, len: u64, kind: &Kind, tags: &[Tag]) -> Result<Self, SectionError> {
        let mut input = Input::at(0, input);
        let header = Header::read(&mut input, len, kind)?;
        header.check_tags(tags)?;
        Ok(Self { input, sections: header.layout.sections, file_len: len, read: 0, is_verified: false })
    }

    /// As [`Self::new`], for an input that returns only verified bytes, such as a
    /// [`PayloadReader`](crate::PayloadReader): the checksums of blocks are skipped.
    pub fn of_verified(input: R, len: u64, kind: &Kind, tags: &[Tag]) -> Result<Self, SectionError> {
        Ok(Self { is_verified: true, ..Self::new(input, len, kind, tags)? })
    }

    /// Whether the file has this optional section.
    pub fn has(&self, tag: Tag) -> bool {
        self.sections.iter().any(|section| section.tag == tag)
    }

    /// Where section `tag` begins in the file.
    pub fn start(&self, tag: Tag) -> u64 {
        self.section(tag).offset
    }

    fn section(&self, tag: Tag) -> Section {
        let section = self.sections.iter().find(|section| section.tag == tag);
        *section.expect("a tag that the reader was made with")
    }

    /// Check that section `tag` holds `items` items of `item_len` bytes, before memory is allocated
    /// for them. Return its length in bytes.
    pub fn expect_len(&self, tag: Tag, items: u64, item_len: usize) -> Result<usize, SectionError> {
        let section = self.section(tag);
        if items.checked_mul(item_len as u64) != Some(section.len) {
            let got = section.len;
            let what = format!("section {}: expected {items} items of {item_len} bytes, got {got} bytes", name(tag));
            return damaged(what, section.offset);
        }
        usize::try_from(section.len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory).into())
    }

    /// Read section `tag`, which must be the next one apart from optional ones, into memory of its
    /// length. On failure the content of the memory is undefined.
    pub fn read_into(&mut self, tag: Tag, out: &mut [u8]) -> Result<(), SectionError> {
        self.expect_len(tag, out.len() as u64, 1)?;
        self.read_pieces(tag, &mut std::iter::once(out))
    }

    /// As [`Self::read_into`], into pieces of memory that together are as long as the section.
    pub fn read_pieces(&mut self, tag: Tag, pieces: &mut dyn Iterator<Item = &mut [u8]>) -> Result<(), SectionError> {
        let mut payload = self.begin(tag)?;
        for piece in pieces {
            payload.fill(self, piece)?;
        }
        self.end(tag, payload)
    }

    /// As [`Self::read_into`], in parts of up to `part.len()` bytes, which `take` gets before they
    /// are verified. Use what it made of them only if this succeeds.
    pub fn read_parts(&mut self, tag: Tag, part: &mut [u8], mut take: impl FnMut(&[u8])) -> Result<(), SectionError> {
        let mut payload = self.begin(tag)?;
        let mut left = self.section(tag).len;
        while left > 0 {
            let some = left.min(part.len() as u64) as usize;
            payload.fill(self, &mut part[..some])?;
            take(&part[..some]);
            left -= some as u64;
        }
        self.end(tag, payload)
    }

    /// Begin to read section `tag`.
    fn begin(&mut self, tag: Tag) -> Result<Payload, SectionError> {
        while self.sections[self.read].tag != tag {
            self.pass_over()?;
        }
        Ok(Payload::default())
    }

    /// End a section whose payload has been read.
    fn end(&mut self, tag: Tag, payload: Payload) -> Result<(), SectionError> {
        assert_eq!(payload.done as u64, self.section(tag).len, "pieces are as long as their section");
        self.end_section(&payload.into_checksums())
    }

    /// Read section `tag`, which must be the next one apart from optional ones and hold `items`
    /// items.
    pub fn read_vec<T: Pod>(&mut self, tag: Tag, items: u64) -> Result<Vec<T>, SectionError> {
        let items = self.expect_len(tag, items, size_of::<T>())? / size_of::<T>();
        let mut out = Vec::new();
        out.try_reserve_exact(items).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        out.resize(items, T::zeroed());
        self.read_into(tag, bytemuck::cast_slice_mut(&mut out))?;
        Ok(out)
    }

    /// Check that every section was read, apart from optional ones, and that the input ends.
    pub fn finish(mut self) -> Result<(), SectionError> {
        while self.read < self.sections.len() {
            self.pass_over()?;
        }
        match self.input.fill(&mut [0]) {
            Ok(()) => damaged(format!("file: expected {} bytes, got more", self.file_len), self.file_len),
            Err(SectionError::Damaged(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Skip an optional section. It is checked like any other, so that damage is found wherever it
    /// is.
    fn pass_over(&mut self) -> Result<(), SectionError> {
        let section = self.sections[self.read];
        assert!(is_optional(section.tag), "sections are read in order, and only optional ones are skipped");
        let mut checksums = Vec::new();
        let mut block = vec![0; section.len.min(BLOCK as u64) as usize];
        let mut left = section.len;
        while left > 0 {
            let block = &mut block[..left.min(BLOCK as u64) as usize];
            self.input.fill(block)?;
            checksums.extend(self.append(0, block).to_le_bytes());
            left -= block.len() as u64;
        }
        self.end_section(&checksums)
    }

    /// Extend a checksum by more bytes, unless the input is verified.
    fn append(&self, checksum: u32, bytes: &[u8]) -> u32 {
        if self.is_verified { 0 } else { crc32c::crc32c_append(checksum, bytes) }
    }

    /// Compare the checksums of the blocks that were read with those in the file.
    fn end_section(&mut self, computed: &[u8]) -> Result<(), SectionError> {
        const CHUNK: usize = 4096;
        let section = self.sections[self.read];
        for (chunk, computed) in computed.chunks(CHUNK).enumerate() {
            let mut stored = [0; CHUNK];
            let stored = &mut stored[..computed.len()];
            self.input.fill(stored)?;
            if self.is_verified {
                continue;
            }
            let mut pairs = stored.chunks_exact(CHECKSUM).zip(computed.chunks_exact(CHECKSUM));
            if let Some(index) = pairs.position(|(stored, computed)| stored != computed) {
                let (expected, got) = (u32_at(stored, index * CHECKSUM), u32_at(computed, index * CHECKSUM));
                return unequal(section, chunk * CHUNK / CHECKSUM + index, expected, got);
            }
        }
        self.input.padding(&format!("section {}", name(section.tag)))?;
        self.read += 1;
        Ok(())
    }
}

/// The payload of a section while it is read. A block is summed while it is in the cache, and
/// compared when the stored checksums are read.
#[derive(Default)]
struct Payload {
    checksums: Vec<u8>,
    /// The checksum of the block so far.
    checksum: u32,
    /// Bytes read.
    done: usize,
}

impl Payload {
    /// Fill the next piece of memory.
    fn fill<R: Read>(&mut self, reader: &mut SectionReader<R>, mut piece: &mut [u8]) -> Result<(), SectionError> {
        while !piece.is_empty() {
            let left = (BLOCK - self.done % BLOCK).min(piece.len());
            let (some, rest) = piece.split_at_mut(left);
            reader.input.fill(some)?;
            self.checksum = reader.append(self.checksum, some);
            self.done += left;
            if self.done.is_multiple_of(BLOCK) {
                self.checksums.extend(self.checksum.to_le_bytes());
                self.checksum = 0;
            }
            piece = rest;
        }
        Ok(())
    }

    /// Return the checksums of all blocks.
    fn into_checksums(mut self) -> Vec<u8> {
        if !self.done.is_multiple_of(BLOCK) {
            self.checksums.extend(self.checksum.to_le_bytes());
        }
        self.checksums
    }
}

/// The error for a block with the wrong checksum.
pub(super) fn unequal<T>(section: Section, block: usize, expected: u32, got: u32) -> Result<T, SectionError> {
    let tag = name(section.tag);
    let what = format!("section {tag}, block {block}: expected checksum {expected:08x}, got {got:08x}");
    damaged(what, section.offset + (block * BLOCK) as u64)
}
