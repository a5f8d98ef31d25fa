//! Segment files: immutable, in sections with a checksum a block.
//!
//! ```text
//! header    0    8  magic: TIERCELS
//!           8    4  format version, u32: 2; 1 without the identity
//!           12   4  number of sections n, u32: at most 64
//!           16   8  length of the file, u64
//!           24  16  the identity of the collection
//!           40 20n  of each section: tag, 4 bytes; offset, u64; length, u64
//!              4    CRC32C of the bytes before, u32, then zeros up to a multiple of 64
//! section      payload, CRC32C of each 64 KiB of it, u32, then zeros up to a multiple of 64
//! ```
//!
//! Every byte is under a checksum, is one, or is a zero that is looked at. The header says where the file ends, so that one
//! which was cut is found by its length alone.

use std::io::{self, Write};
use std::path::Path;

use tiercel_container::quoted;

use crate::errors::{Corruption, RESTORE, ReadError};
use crate::identity::Identity;
use crate::names::RECORDS_FILE;
use tiercel_container::{Vfs, VfsFile};

/// Name of a section: four ASCII characters.
pub type Tag = [u8; 4];

/// Ending of the name of a segment file.
pub(crate) const SUFFIX: &str = ".seg";
const MAGIC: &[u8; 8] = b"TIERCELS";
const VERSION: u32 = 2;
const MAX_SECTIONS: usize = 64;
/// Bytes of a header before its sections in version 1, which later versions begin with, too.
const OLD_FIXED: usize = 24;
const FIXED: usize = OLD_FIXED + Identity::LEN;
const ENTRY: usize = 20;
const CHECKSUM: usize = 4;
const BLOCK: usize = 64 * 1024;
const ALIGN: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    tag: Tag,
    offset: u64,
    len: u64,
}

impl Section {
    /// Where its padding ends; `None` beyond the largest u64.
    fn end(&self) -> Option<u64> {
        let checksums = self.len.div_ceil(BLOCK as u64) * CHECKSUM as u64;
        self.offset.checked_add(self.len)?.checked_add(checksums)?.checked_next_multiple_of(ALIGN)
    }
}

/// Where sections of these lengths stand behind a header with so many bytes before them, and where the file ends.
fn layout(fixed: usize, sections: &[(Tag, u64)]) -> Option<(Vec<Section>, u64)> {
    let mut end = (header_len(fixed, sections.len()) as u64).next_multiple_of(ALIGN);
    let place = |&(tag, len): &(Tag, u64)| {
        let section = Section { tag, offset: end, len };
        end = section.end()?;
        Some(section)
    };
    let sections = sections.iter().map(place).collect::<Option<_>>()?;
    Some((sections, end))
}

fn header_len(fixed: usize, count: usize) -> usize {
    fixed + count * ENTRY + CHECKSUM
}

/// Writes the sections of a segment in the order in which they were announced.
pub struct SegmentWriter<'a> {
    out: Output<'a>,
    sections: Vec<Section>,
    file_len: u64,
    written: usize,
}

impl<'a> SegmentWriter<'a> {
    pub(crate) fn new(file: &'a dyn VfsFile, identity: Identity, sections: &[(Tag, u64)]) -> io::Result<Self> {
        if sections.len() > MAX_SECTIONS {
            return Err(misuse(format!("expected at most {MAX_SECTIONS} sections, got {}", sections.len())));
        }
        let (sections, file_len) =
            layout(FIXED, sections).ok_or_else(|| misuse("the sections do not fit in a file".into()))?;
        let mut header = Vec::with_capacity(header_len(FIXED, sections.len()));
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((sections.len() as u32).to_le_bytes());
        header.extend(file_len.to_le_bytes());
        header.extend(identity.0);
        for section in &sections {
            header.extend(section.tag);
            header.extend(section.offset.to_le_bytes());
            header.extend(section.len.to_le_bytes());
        }
        header.extend(crc32c::crc32c(&header).to_le_bytes());
        let mut out = Output { file, offset: 0, buffer: Vec::with_capacity(BLOCK) };
        out.write_all(&header)?;
        out.pad()?;
        Ok(Self { out, sections, file_len, written: 0 })
    }

    /// Write the next section, which must be `tag`; `fill` writes its payload in pieces of any size.
    pub fn section(&mut self, tag: Tag, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let section = match self.sections.get(self.written) {
            Some(next) if next.tag == tag => *next,
            _ => return Err(misuse(format!("section {}: expected another one next", tag.escape_ascii()))),
        };
        let mut payload =
            Payload { out: &mut self.out, left: section.len, block_left: BLOCK, checksum: 0, checksums: Vec::new() };
        fill(&mut payload)?;
        if payload.left > 0 {
            let (expected, got) = (section.len, section.len - payload.left);
            return Err(misuse(format!("section {}: expected {expected} bytes, got {got}", tag.escape_ascii())));
        }
        if payload.block_left < BLOCK {
            payload.end_block();
        }
        let checksums = payload.checksums;
        self.out.write_all(&checksums)?;
        self.written += 1;
        self.out.pad()
    }

    /// Check that every section was written; all bytes are in the file after that, not synced.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.written != self.sections.len() {
            return Err(misuse(format!("expected {} sections, got {}", self.sections.len(), self.written)));
        }
        self.out.flush()?;
        debug_assert_eq!(self.out.offset, self.file_len);
        Ok(())
    }
}

/// Takes the payload of a section.
struct Payload<'a, 'b> {
    out: &'a mut Output<'b>,
    left: u64,
    block_left: usize,
    checksum: u32,
    checksums: Vec<u8>,
}

impl Payload<'_, '_> {
    fn end_block(&mut self) {
        self.checksums.extend(self.checksum.to_le_bytes());
        self.checksum = 0;
        self.block_left = BLOCK;
    }
}

impl Write for Payload<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(misuse(format!("section: expected {} more bytes, got {}", self.left, bytes.len())));
        }
        let bytes = &bytes[..bytes.len().min(self.block_left)];
        self.out.write_all(bytes)?;
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        self.left -= bytes.len() as u64;
        self.block_left -= bytes.len();
        if self.block_left == 0 {
            self.end_block();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gathers what is written into pieces worth a call of the system.
struct Output<'a> {
    file: &'a dyn VfsFile,
    /// Where the buffer goes.
    offset: u64,
    buffer: Vec<u8>,
}

impl Output<'_> {
    fn pad(&mut self) -> io::Result<()> {
        let end = self.offset + self.buffer.len() as u64;
        self.write_all(&[0; ALIGN as usize][..(end.next_multiple_of(ALIGN) - end) as usize])
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend(bytes);
        if self.buffer.len() >= BLOCK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// An open segment file. Its header has been checked; a section is checked when it is read.
#[derive(Debug)]
pub struct Segment {
    file: Box<dyn VfsFile>,
    name: String,
    identity: Identity,
    sections: Vec<Section>,
    file_len: u64,
}

impl Segment {
    /// Open a segment file in the directory of the store that has this identity.
    pub(crate) fn open(vfs: &dyn Vfs, dir: &Path, identity: Identity, name: &str) -> Result<Self, ReadError> {
        check_stored_name(name)?;
        let name = file_name(name);
        match vfs.open(&dir.join(&name)) {
            Ok(file) => {
                let segment = Self::from_file(file, &name)?;
                if segment.identity.fits(identity) {
                    return Ok(segment);
                }
                Err(segment.corrupt(segment.identity.is_foreign(identity), OLD_FIXED as u64))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("expected a segment, got no file: {RESTORE}");
                Err(Corruption { file: name, what, offset: None }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn from_file(file: Box<dyn VfsFile>, name: &str) -> Result<Self, ReadError> {
        let got = file.len()?;
        let corrupt = |what: String, offset: u64| Corruption { file: name.to_owned(), what, offset: Some(offset) };
        let (identity, fixed, sections) = read_header(file.as_ref(), got, corrupt)?;
        let lens: Vec<_> = sections.iter().map(|section| (section.tag, section.len)).collect();
        if layout(fixed, &lens) != Some((sections.clone(), got)) {
            let what = "header: expected sections that follow one another up to the end of the file".to_owned();
            return Err(corrupt(what, fixed as u64).into());
        }
        let segment = Self { file, name: name.to_owned(), identity, sections, file_len: got };
        segment.padding(header_len(fixed, segment.sections.len()) as u64)?;
        Ok(segment)
    }

    /// Whether it has this identity, and not just none.
    pub(crate) fn is_of(&self, identity: Identity) -> bool {
        self.identity == identity
    }

    /// The sections, in the order in which they stand.
    pub fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.sections.iter().map(|section| section.tag)
    }

    /// Bytes of a section; `None` if there is none.
    pub fn len(&self, tag: Tag) -> Option<u64> {
        self.sections.iter().find(|section| section.tag == tag).map(|section| section.len)
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Read a section.
    pub fn read(&self, tag: Tag) -> Result<Vec<u8>, ReadError> {
        let section = self.section(tag)?;
        let mut out = Vec::new();
        let len = usize::try_from(section.len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        out.try_reserve_exact(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        out.resize(len, 0);
        self.read_into(tag, &mut out)?;
        Ok(out)
    }

    /// Read a section into memory of its length. On failure the memory holds anything.
    pub fn read_into(&self, tag: Tag, out: &mut [u8]) -> Result<(), ReadError> {
        let section = self.section(tag)?;
        if section.len != out.len() as u64 {
            let what = format!("section {}: expected {} bytes, got {}", tag.escape_ascii(), out.len(), section.len);
            return Err(self.corrupt(what, section.offset));
        }
        let stored = self.checksums(section)?;
        for (block, bytes) in out.chunks_mut(BLOCK).enumerate() {
            self.read_block(section, &stored, block, bytes)?;
        }
        Ok(())
    }

    /// Read a section from its begin to its end, without memory for all of it.
    pub fn reader(&self, tag: Tag) -> Result<SectionReader<'_>, ReadError> {
        let section = self.section(tag)?;
        Ok(SectionReader {
            segment: self,
            section,
            stored: self.checksums(section)?,
            next: 0,
            block: Vec::new(),
            at: 0,
        })
    }

    /// The checksums of the blocks of a section.
    fn checksums(&self, section: Section) -> Result<Vec<u8>, ReadError> {
        let mut stored = vec![0; section.len.div_ceil(BLOCK as u64) as usize * CHECKSUM];
        self.file.read_at(section.offset + section.len, &mut stored)?;
        self.padding(section.offset + section.len + stored.len() as u64)?;
        Ok(stored)
    }

    /// Read a block and compare its checksum.
    fn read_block(&self, section: Section, stored: &[u8], block: usize, out: &mut [u8]) -> Result<(), ReadError> {
        let at = section.offset + (block * BLOCK) as u64;
        self.file.read_at(at, out)?;
        let (expected, got) = (u32_at(stored, block * CHECKSUM), crc32c::crc32c(out));
        if expected == got {
            return Ok(());
        }
        let tag = section.tag.escape_ascii();
        let what = format!("section {tag}, block {block}: expected checksum {expected:08x}, got {got:08x}");
        Err(self.corrupt(what, at))
    }

    /// Read everything.
    pub(crate) fn verify(&self) -> Result<(), ReadError> {
        self.tags().try_for_each(|tag| self.read(tag).map(drop))
    }

    fn section(&self, tag: Tag) -> Result<Section, ReadError> {
        let section = self.sections.iter().find(|section| section.tag == tag).copied();
        section.ok_or_else(|| self.corrupt(format!("header: expected a section {}, got none", tag.escape_ascii()), 0))
    }

    /// Look at the zeros from `at` up to the next multiple of 64.
    fn padding(&self, at: u64) -> Result<(), ReadError> {
        let mut zeros = [0; ALIGN as usize];
        let zeros = &mut zeros[..(at.next_multiple_of(ALIGN) - at) as usize];
        self.file.read_at(at, zeros)?;
        match zeros.iter().position(|&byte| byte != 0) {
            Some(index) => Err(self.corrupt("expected zeros between sections".to_owned(), at + index as u64)),
            None => Ok(()),
        }
    }

    fn corrupt(&self, what: String, offset: u64) -> ReadError {
        Corruption { file: self.name.clone(), what, offset: Some(offset) }.into()
    }
}

/// Reads a section block by block; what it gives has been verified. Damage is an error of kind `InvalidData`.
#[derive(Debug)]
pub struct SectionReader<'a> {
    segment: &'a Segment,
    section: Section,
    stored: Vec<u8>,
    /// The block that comes after the one in memory.
    next: usize,
    block: Vec<u8>,
    /// How much of the block has been given.
    at: usize,
}

impl io::Read for SectionReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let rest = self.section.len.saturating_sub((self.next * BLOCK) as u64);
            self.block.resize(rest.min(BLOCK as u64) as usize, 0);
            if rest > 0 {
                let read = self.segment.read_block(self.section, &self.stored, self.next, &mut self.block);
                read.map_err(|error| match error {
                    ReadError::Io(error) => error,
                    ReadError::Corrupt(corruption) => io::Error::new(io::ErrorKind::InvalidData, corruption),
                })?;
                self.next += 1;
            }
            self.at = 0;
        }
        let len = out.len().min(self.block.len() - self.at);
        out[..len].copy_from_slice(&self.block[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// The identity in the header of a file of `got` bytes, where its sections are listed, and what they are.
fn read_header(
    file: &dyn VfsFile,
    got: u64,
    corrupt: impl Fn(String, u64) -> Corruption,
) -> Result<(Identity, usize, Vec<Section>), ReadError> {
    let mut header = vec![0; OLD_FIXED];
    if got < OLD_FIXED as u64 {
        return Err(corrupt(format!("file: expected a segment, got {got} bytes"), got).into());
    }
    file.read_at(0, &mut header)?;
    if &header[..8] != MAGIC {
        return Err(corrupt(format!("file: expected TIERCELS, got {}", header[..8].escape_ascii()), 0).into());
    }
    let (version, count) = (u32_at(&header, 8), u32_at(&header, 12) as usize);
    let fixed = match version {
        1 => OLD_FIXED,
        VERSION => FIXED,
        _ => return Err(corrupt(format!("header: expected format version {VERSION}, got {version}"), 8).into()),
    };
    if count > MAX_SECTIONS || header_len(fixed, count) as u64 > got {
        return Err(corrupt(format!("header: expected at most {MAX_SECTIONS} sections, got {count}"), 12).into());
    }
    header.resize(header_len(fixed, count), 0);
    file.read_at(0, &mut header)?;
    let (summed, stored) = header.split_at(header.len() - CHECKSUM);
    let (expected, computed) = (u32_at(stored, 0), crc32c::crc32c(summed));
    if expected != computed {
        return Err(corrupt(format!("header: expected checksum {expected:08x}, got {computed:08x}"), 0).into());
    }
    let expected = u64_at(&header, 16);
    if expected != got {
        return Err(corrupt(format!("file: expected {expected} bytes, as its header says, got {got}"), got).into());
    }
    let section = |entry: &[u8]| Section {
        tag: [entry[0], entry[1], entry[2], entry[3]],
        offset: u64_at(entry, 4),
        len: u64_at(entry, 12),
    };
    let identity = if fixed == FIXED { Identity::at(summed, OLD_FIXED) } else { Identity::NONE };
    Ok((identity, fixed, summed[fixed..].chunks_exact(ENTRY).map(section).collect()))
}

/// Whether a segment can have this name. It becomes the name of a file, so nothing in it may lead elsewhere.
pub fn is_segment_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= 100 && name.bytes().all(plain)
}

/// Check a name that the record database has.
pub(crate) fn check_stored_name(name: &str) -> Result<(), ReadError> {
    if is_segment_name(name) {
        return Ok(());
    }
    let what = format!("expected the name of a segment, got {}", quoted(name));
    Err(Corruption { file: RECORDS_FILE.to_owned(), what, offset: None }.into())
}

/// The name of the file of a segment.
pub(crate) fn file_name(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn misuse(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
